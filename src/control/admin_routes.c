// SPDX-License-Identifier: Apache-2.0
// The admin API's routes, one row each, and the handlers that need no worker.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/admin_connections.h"
#include "control/admin_page.h"
#include "control/admin_request.h"
#include "control/control.h"
#include "io/helper.h"
#include "io/sys.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "policy/account.h"
#include "snap/snap.h"

typedef void route_fn(struct control *control, const struct admin_request *request,
		      struct admin_reply *reply);

enum { WORKERS_MAX = 1024, USERS_MAX = 10000 };

static void healthz(struct control *control, const struct admin_request *request,
		    struct admin_reply *reply)
{
	admin_say(reply, 200, "alive");
}

static void ready(struct control *control, const struct admin_request *request,
		  struct admin_reply *reply)
{
	if (control->draining)
		admin_say(reply, 503, "draining");
	else
		admin_say(reply, 200, "ready");
}

// Figures that are sampled rather than counted.
static void sample(struct control *control)
{
	struct helper_stats stats;

	helper_stats(control->shared.helper, &stats);
	metric_gauge_set(&control->metrics->helper_queue, (int64_t)stats.waiting);
}

static unsigned gather_parts(struct control *control, const struct metrics *parts[WORKERS_MAX + 1])
{
	unsigned n = 0;

	sample(control);
	parts[n++] = control->metrics;
	for (unsigned i = 0; i < control->worker_count && i < WORKERS_MAX; i++)
		parts[n++] = control->workers[i].metrics;
	return n;
}

// Per-user series: the users of the snapshot that have an account.
static bool user_figures(void *ctx, size_t i, struct metrics_user *ret)
{
	struct control *control = ctx;
	uint64_t now = control->loop.now;

	if (i >= control->snap->user_count)
		return false;
	const struct snap_user *user = &control->snap->users[i];
	struct account *account = account_get_user(control->shared.accounts, user->id, now);
	*ret = (struct metrics_user){.name = user->name, .name_len = user->name_len};
	if (account) {
		account_bytes(account, &ret->bytes_up, &ret->bytes_down);
		ret->connections_total = atomic_load(&account->conn_total_atomic);
		ret->connections_live = atomic_load(&account->conn_live_atomic);
		ret->requests_denied = atomic_load(&account->conn_refused_atomic);
		account_unref(account, now);
	}
	return true;
}

static void metrics(struct control *control, const struct admin_request *request,
		    struct admin_reply *reply)
{
	const struct metrics *parts[WORKERS_MAX + 1];
	struct slice accept = http_head_value(request->head, HTTP_FIELD_ACCEPT);
	unsigned long users;

	if (admin_query_number(request, "users", 0, &users) < 0) {
		admin_say(reply, 400, "users is a number: 1 asks for series per user");
		return;
	}
	struct metrics_page page = {
		.format = metrics_negotiate(accept.data, accept.len),
		.parts = parts,
		.part_count = gather_parts(control, parts),
		.start_ns = control->started_wall,
		.process = true,
		.users = users ? user_figures : NULL,
		.users_ctx = control,
		.users_max = USERS_MAX,
	};
	reply->type = metrics_content_type(page.format);
	if (metrics_write(&reply->body, &page) < 0) {
		text_truncate(&reply->body, 0);
		admin_say(reply, 503, "out of memory");
	}
}

static void config(struct control *control, const struct admin_request *request,
		   struct admin_reply *reply)
{
	const char *dump = config_dump(control->snap);

	reply->type = "application/json";
	text_str(&reply->body, dump ? dump : "{}");
}

static void reload(struct control *control, const struct admin_request *request,
		   struct admin_reply *reply)
{
	struct text why;

	text_init(&why, 65536);
	if (control_reload(control, "admin API", &why) == 0) {
		admin_say(reply, 200, "reloaded");
	} else {
		reply->status = 422;
		text_str(&reply->body, "The reload failed; the running configuration stays.\n");
		text_bytes(&reply->body, why.data, why.len);
	}
	text_release(&why);
}

static void drain(struct control *control, const struct admin_request *request,
		  struct admin_reply *reply)
{
	if (!control->draining)
		control_drain(control, "admin API");
	admin_say(reply, 202, "draining");
}

static void show_levels(struct control *control, const struct admin_request *request,
			struct admin_reply *reply)
{
	reply->type = "application/json";
	text_char(&reply->body, '{');
	for (unsigned module = 0; module < LOG_MODULE_COUNT; module++)
		text_printf(&reply->body, "%s\"%s\":\"%s\"", module ? "," : "",
			    log_module_name(module),
			    log_level_name(log_level((enum log_module)module)));
	text_str(&reply->body, "}\n");
}

static void set_level(struct control *control, const struct admin_request *request,
		      struct admin_reply *reply)
{
	char name[32];
	int level, module = -1;

	if (admin_query(request, "level", name, sizeof(name)) < 0 ||
	    (level = log_level_parse(name)) < 0) {
		admin_say(reply, 400, "level is one of error, warn, info, debug");
		return;
	}
	int n = admin_query(request, "module", name, sizeof(name));
	if (n != -ENOENT && (n < 0 || (module = log_module_parse(name)) < 0)) {
		admin_say(reply, 400, "there is no such module; GET /loglevel lists them");
		return;
	}
	if (module < 0)
		log_set_level_all((enum log_level)level);
	else
		log_set_level((enum log_module)module, (enum log_level)level);
	log_each(LOG_LEVEL_INFO, LOG_ADMIN, "log level set",
		 LOG_STR("module", module < 0 ? "all" : log_module_name((enum log_module)module)),
		 LOG_STR("level", log_level_name((enum log_level)level)), LOG_END);
	show_levels(control, request, reply);
}

// Totals for the live page.
static void stats(struct control *control, const struct admin_request *request,
		  struct admin_reply *reply)
{
	const struct metrics *parts[WORKERS_MAX + 1];
	unsigned n = gather_parts(control, parts);
	struct metrics *sum = metrics_new();
	struct text *out = &reply->body;

	if (!sum) {
		admin_say(reply, 503, "out of memory");
		return;
	}
	for (unsigned i = 0; i < n; i++)
		metrics_sum(sum, parts[i]);
	reply->type = "application/json";
	text_printf(
		out,
		"{\"version\":\"%s\",\"now\":%lld,\"started\":%lld,\"revision\":%lld,\"draining\":%"
		"s,"
		"\"reload_failed\":%s,\"workers\":%u,\"live\":%u,\"accepted\":%llu,\"relays\":%lld,"
		"\"paced\":%lld,\"protocols\":{",
		SLUICE_VERSION, (long long)(sys_wall() / 1000000),
		(long long)(control->started_wall / 1000000), (long long)control->snap->generation,
		control->draining ? "true" : "false", control->reload_failed ? "true" : "false",
		control->worker_count, control_live(control),
		(unsigned long long)sum->connections_accepted, (long long)sum->relays_live,
		(long long)sum->relays_paced);
	for (unsigned p = 0; p < METRIC_PROTOCOL_COUNT; p++) {
		uint64_t bytes[METRIC_DIRECTION_COUNT] = {0}, spliced = 0;
		for (unsigned d = 0; d < METRIC_DIRECTION_COUNT; d++)
			for (unsigned m = 0; m < METRIC_MOVER_COUNT; m++) {
				bytes[d] += sum->relay_bytes[p][d][m];
				spliced += m == METRIC_MOVER_SPLICE ? sum->relay_bytes[p][d][m] : 0;
			}
		text_printf(out,
			    "%s\"%s\":{\"live\":%lld,\"seen\":%llu,\"up\":%llu,\"down\":%llu,"
			    "\"spliced\":%llu}",
			    p ? "," : "", metric_protocol_name(p),
			    (long long)sum->connections_live[p],
			    (unsigned long long)sum->connections_recognised[p],
			    (unsigned long long)bytes[METRIC_DIRECTION_UP],
			    (unsigned long long)bytes[METRIC_DIRECTION_DOWN],
			    (unsigned long long)spliced);
	}
	text_str(out, "},\"closes\":{");
	bool first = true;
	for (unsigned r = 0; r < METRIC_CLOSE_COUNT; r++) {
		if (!sum->connections_closed[r])
			continue;
		text_printf(out, "%s\"%s\":%llu", first ? "" : ",",
			    close_reason_name((enum close_reason)r),
			    (unsigned long long)sum->connections_closed[r]);
		first = false;
	}
	text_str(out, "}}\n");
	metrics_free(sum);
}

struct route {
	const char *method;
	const char *path; // a trailing "*" takes anything
	route_fn *run;
};

static const struct route routes[] = {
	{"GET", "/", admin_page},
	{"GET", "/page/*", admin_page},
	{"GET", "/healthz", healthz},
	{"GET", "/ready", ready},
	{"GET", "/metrics", metrics},
	{"GET", "/stats", stats},
	{"GET", "/config", config},
	{"GET", "/loglevel", show_levels},
	{"POST", "/loglevel", set_level},
	{"POST", "/reload", reload},
	{"POST", "/drain", drain},
	{"GET", "/connections", admin_connections},
	{"GET", "/connections/closed", admin_connections_closed},
	{"GET", "/connections/*", admin_connection},
	{"POST", "/connections/*", admin_connection_close},
};

static bool path_matches(const char *pattern, struct slice path)
{
	size_t len = strlen(pattern);

	if (pattern[len - 1] == '*')
		return path.len >= len && !memcmp(path.data, pattern, len - 1);
	return slice_equal(path, slice_make(pattern, len));
}

void admin_route(struct control *control, const struct admin_request *request,
		 struct admin_reply *reply)
{
	struct slice method = request->head->method_name;
	const char *allow = NULL;

	reply->type = "text/plain; charset=utf-8";
	if (request->head->method == HTTP_METHOD_HEAD)
		method = SLICE("GET");
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!path_matches(routes[i].path, request->path))
			continue;
		if (!allow || strcmp(allow, routes[i].method) == 0)
			allow = routes[i].method;
		else
			allow = "GET, HEAD, POST";
		if (!slice_equal(method, slice_from_string(routes[i].method)))
			continue;
		routes[i].run(control, request, reply);
		return;
	}
	if (allow) {
		reply->allow = strcmp(allow, "GET") == 0 ? "GET, HEAD" : allow;
		admin_say(reply, 405, "This address is not asked so: changes are made by POST.");
	} else {
		admin_say(reply, 404, "There is nothing here; doc/admin.md lists what there is.");
	}
}
