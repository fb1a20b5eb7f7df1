// SPDX-License-Identifier: Apache-2.0
// The connection table: each worker is asked in turn and answers with what matches.
#include "control/admin_connections.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/list.h>

#include "base/host.h"
#include "control/admin_request.h"
#include "control/control.h"
#include "front/session.h"
#include "io/sys.h"
#include "obs/flight.h"
#include "obs/metrics.h"
#include "snap/snap.h"
#include "worker/worker.h"

enum {
	LIMIT_DEFAULT = 100,
	LIMIT_MAX = 10000,
	LOOK_AT_CLOCK = 16, // sessions
	EVENTS_MAX = 512,
};
// How long one request waits for workers that do not answer, in all.
#define PATIENCE_NS 1000000000ULL
// How long a worker walks through its sessions before it goes on serving them.
#define WALK_NS 200000ULL

enum sort { SORT_ID, SORT_BYTES, SORT_AGE };

struct wanted {
	char user[SNAP_USER_NAME_MAX + 1], client[ENDPOINT_STRLEN], protocol[32], phase[16];
	char destination[HOST_STRLEN];
	enum sort sort;
	unsigned long limit;
	uint64_t id; // 0: any
};

struct item {
	uint64_t key; // larger comes first
	char *text;   // owned
	size_t len;
};

// The best `limit` of what all workers have: a min-heap once it is full.
struct gathered {
	const struct wanted *wanted;
	struct text text; // of one session, while it is made
	struct item *items;
	size_t count;
	uint64_t newest; // id: later sessions are not looked at, so that the walk has an end
	uint64_t matched;
	unsigned unanswered; // workers
	bool resumed, ended; // the walk through one worker's sessions
	bool failed;         // no memory
};

static uint64_t bytes_of(const struct session *session)
{
	return relay_bytes(&session->relay, RELAY_UP) + relay_bytes(&session->relay, RELAY_DOWN);
}

static uint64_t key_of(const struct session *session, enum sort sort)
{
	switch (sort) {
	case SORT_BYTES:
		return bytes_of(session);
	case SORT_AGE:
		return UINT64_MAX - session->accepted;
	default:
		return UINT64_MAX - session->id;
	}
}

static bool matches(const struct session *session, const struct wanted *wanted)
{
	char text[ENDPOINT_STRLEN];

	if (wanted->id && session->id != wanted->id)
		return false;
	if (*wanted->user && (!session->user_name || strcmp(session->user_name, wanted->user) != 0))
		return false;
	if (*wanted->protocol &&
	    strcmp(metric_protocol_name(session->protocol), wanted->protocol) != 0)
		return false;
	if (*wanted->phase && strcmp(session_phase_name(session->phase), wanted->phase) != 0)
		return false;
	if (*wanted->client) {
		endpoint_format_ip(&session->peer, text);
		if (strcmp(text, wanted->client) != 0)
			return false;
	}
	if (*wanted->destination) {
		endpoint_format(&session->upstream, text);
		return strstr(session->dest ? session->dest : text, wanted->destination) != NULL;
	}
	return true;
}

static void put_text(struct text *out, const char *key, const char *value)
{
	if (!value)
		return;
	text_printf(out, ",\"%s\":\"", key);
	text_json(out, value, strlen(value), 512);
	text_char(out, '"');
}

static void put_direction(struct text *out, const char *key, const struct session *session,
			  enum relay_direction d)
{
	const struct relay_dir *dir = &session->relay.dir[d];

	text_printf(out, ",\"%s\":{\"copied\":%llu,\"spliced\":%llu,\"mover\":\"%s\"%s}", key,
		    (unsigned long long)dir->bytes[RELAY_COPY],
		    (unsigned long long)dir->bytes[RELAY_SPLICE],
		    dir->mover == RELAY_SPLICE ? "splice" : "copy",
		    dir->pipe || dir->rest ? ",\"blocked\":true" : "");
}

static void put_session(struct text *out, const struct worker *worker,
			const struct session *session)
{
	const struct snap_listener *listener =
		session_listener(session, front_snap(&worker->front));
	uint64_t now = worker->loop.now;
	char client[ENDPOINT_STRLEN], upstream[ENDPOINT_STRLEN];

	endpoint_format(&session->peer, client);
	endpoint_format(&session->upstream, upstream);
	text_printf(out,
		    "{\"id\":%llu,\"session\":\"%016llx\",\"worker\":%u,\"phase\":\"%s\","
		    "\"protocol\":\"%s\",\"client\":\"%s\"",
		    (unsigned long long)session->id, (unsigned long long)session->id,
		    worker->number, session_phase_name(session->phase),
		    metric_protocol_name(session->protocol), client);
	put_text(out, "listener", listener ? listener->name : NULL);
	put_text(out, "user", session->user_name);
	put_text(out, "destination", session->dest);
	if (endpoint_is_set(&session->upstream))
		put_text(out, "upstream", upstream);
	put_text(out, "route", session->route);
	put_text(out, "parent", session->parent);
	put_text(out, "rule", session->rule);
	text_printf(out, ",\"age_ms\":%llu",
		    (unsigned long long)((now - session->accepted) / 1000000));
	if (session->phase == SESSION_RELAY || session->phase == SESSION_ASSOCIATED) {
		text_printf(out, ",\"idle_ms\":%llu,\"paced\":%s",
			    (unsigned long long)((now - session->relay.active) / 1000000),
			    session->relay.paced ? "true" : "false");
		put_direction(out, "up", session, RELAY_UP);
		put_direction(out, "down", session, RELAY_DOWN);
	}
	text_printf(
		out, ",\"times_us\":{\"auth\":%u,\"resolve\":%u,\"connect\":%u,\"admitted\":%u}}",
		session->auth_us, session->resolve_us, session->connect_us, session->admitted_us);
}

static int by_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->key < y->key ? 1 : x->key > y->key ? -1 : 0;
}

static void sift(struct item *heap, size_t count, size_t i)
{
	for (;;) {
		size_t least = i, left = 2 * i + 1;
		for (size_t child = left; child < left + 2 && child < count; child++)
			if (heap[child].key < heap[least].key)
				least = child;
		if (least == i)
			return;
		struct item swap = heap[i];
		heap[i] = heap[least];
		heap[least] = swap;
		i = least;
	}
}

static void consider(struct gathered *gathered, const struct worker *worker,
		     const struct session *session)
{
	const size_t limit = gathered->wanted->limit;
	struct item item = {.key = key_of(session, gathered->wanted->sort)},
		    *heap = gathered->items;

	gathered->matched++;
	if (gathered->count == limit && item.key <= heap[0].key)
		return;
	text_truncate(&gathered->text, 0);
	put_session(&gathered->text, worker, session);
	item.len = gathered->text.len;
	item.text = gathered->text.failed ? NULL : malloc(item.len);
	if (!item.text) {
		gathered->failed = true;
		return;
	}
	memcpy(item.text, gathered->text.data, item.len);
	if (gathered->count < limit) {
		heap[gathered->count++] = item;
		for (size_t i = limit / 2; gathered->count == limit && i-- > 0;)
			sift(heap, limit, i);
	} else {
		free(heap[0].text);
		heap[0] = item;
		sift(heap, limit, 0);
	}
}

// On the worker's thread: walks on from where it rested.
static void gather(struct worker *worker, void *ctx)
{
	struct front *front = &worker->front;
	struct gathered *gathered = ctx;
	uint64_t until = sys_now() + WALK_NS;

	if (!gathered->resumed)
		front->walk = front->sessions.next;
	gathered->resumed = true;
	for (unsigned n = 1; front->walk && front->walk != &front->sessions; n++) {
		const struct session *session = cds_list_entry(front->walk, struct session, node);
		if (session->id > gathered->newest || gathered->failed)
			break;
		front->walk = session->node.next;
		if (matches(session, gathered->wanted))
			consider(gathered, worker, session);
		if (n % LOOK_AT_CLOCK == 0 && sys_now() > until)
			return;
	}
	front->walk = NULL;
	gathered->ended = true;
}

struct patience {
	uint64_t until;
};

static int call(struct control *control, unsigned worker, struct patience *patience,
		void (*run)(struct worker *worker, void *ctx), void *ctx)
{
	uint64_t now = sys_now(), left;

	if (!patience->until)
		patience->until = now + PATIENCE_NS;
	// A worker that is well answers in far less, so those after a stalled one still do.
	left = patience->until > now + PATIENCE_NS / 50 ? patience->until - now : PATIENCE_NS / 50;
	return worker_call_any(&control->workers[worker], run, ctx, left);
}

static void gather_all(struct control *control, const struct wanted *wanted,
		       struct gathered *gathered)
{
	struct patience patience = {0};

	*gathered = (struct gathered){.wanted = wanted};
	gathered->newest = atomic_load(&control->shared.next_id_atomic);
	gathered->items = malloc(wanted->limit * sizeof(*gathered->items));
	gathered->failed = !gathered->items;
	text_init(&gathered->text, 0);
	for (unsigned i = 0; i < control->worker_count && !gathered->failed; i++) {
		int r = 0;
		gathered->resumed = gathered->ended = false;
		while (r == 0 && !gathered->ended)
			r = patience.until && sys_now() > patience.until && gathered->resumed
				    ? -ETIMEDOUT
				    : call(control, i, &patience, gather, gathered);
		if (r < 0)
			gathered->unanswered++;
	}
	if (gathered->count)
		qsort(gathered->items, gathered->count, sizeof(*gathered->items), by_key);
}

static void gathered_release(struct gathered *gathered)
{
	text_release(&gathered->text);
	for (size_t i = 0; i < gathered->count; i++)
		free(gathered->items[i].text);
	free(gathered->items);
}

static bool parse_wanted(const struct admin_request *request, struct wanted *wanted)
{
	char sort[16] = "id";
	const struct {
		const char *name;
		char *value;
		size_t size;
	} texts[] = {
		{"user", wanted->user, sizeof(wanted->user)},
		{"client", wanted->client, sizeof(wanted->client)},
		{"protocol", wanted->protocol, sizeof(wanted->protocol)},
		{"phase", wanted->phase, sizeof(wanted->phase)},
		{"destination", wanted->destination, sizeof(wanted->destination)},
		{"sort", sort, sizeof(sort)},
	};

	memset(wanted, 0, sizeof(*wanted));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (admin_query(request, texts[i].name, texts[i].value, texts[i].size) == -EINVAL)
			return false;
	if (!strcmp(sort, "bytes"))
		wanted->sort = SORT_BYTES;
	else if (!strcmp(sort, "age"))
		wanted->sort = SORT_AGE;
	else if (strcmp(sort, "id") != 0)
		return false;
	return admin_query_number(request, "limit", LIMIT_DEFAULT, &wanted->limit) == 0 &&
	       wanted->limit > 0 && wanted->limit <= LIMIT_MAX;
}

void admin_connections(struct control *control, const struct admin_request *request,
		       struct admin_reply *reply)
{
	struct wanted wanted;
	struct gathered gathered;
	struct text *out = &reply->body;

	if (!parse_wanted(request, &wanted)) {
		admin_say(reply, 400,
			  "filters are user, client, protocol, phase, destination; limit is 1 to "
			  "10000; "
			  "sort is id, bytes or age");
		return;
	}
	gather_all(control, &wanted, &gathered);
	if (gathered.failed)
		out->failed = true; // answered by 503
	reply->type = "application/json";
	text_printf(out,
		    "{\"live\":%u,\"matched\":%llu,\"unanswered\":%u,"
		    "\"connections\":[",
		    control_live(control), (unsigned long long)gathered.matched,
		    gathered.unanswered);
	for (size_t i = 0; i < gathered.count; i++) {
		text_str(out, i ? ",\n" : "\n");
		text_bytes(out, gathered.items[i].text, gathered.items[i].len);
	}
	text_str(out, "]}\n");
	gathered_release(&gathered);
}

static int digit_of(char c, int base)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (base == 16 && c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

// The number in /connections/ID and what follows it: 16 hexadecimal digits as in the logs, or decimal.
static bool parse_id(const struct admin_request *request, uint64_t *ret_id, const char **ret_rest,
		     size_t *ret_rest_len)
{
	const size_t skip = sizeof("/connections/") - 1;
	const struct slice path = request->path;
	uint64_t id = 0;
	size_t i = skip;
	int digit, base = 16;

	while (i < path.len && digit_of(path.data[i], 16) >= 0)
		i++;
	if (i != skip + 16)
		base = 10;
	for (i = skip; i < path.len && i < skip + (base == 16 ? 16 : 18); i++) {
		digit = digit_of(path.data[i], base);
		if (digit < 0)
			break;
		id = id * (uint64_t)base + (uint64_t)digit;
	}
	if (i == skip)
		return false;
	*ret_id = id;
	*ret_rest = request->path.data + i;
	*ret_rest_len = request->path.len - i;
	return id != 0;
}

static struct flight_view view_of(void)
{
	return (struct flight_view){
		.wall_offset = sys_wall() - (int64_t)sys_now(),
		.state_name = session_phase_name,
	};
}

void admin_connection(struct control *control, const struct admin_request *request,
		      struct admin_reply *reply)
{
	struct wanted wanted = {.limit = 1};
	struct flight_event events[EVENTS_MAX];
	struct flight_view view = view_of();
	struct gathered gathered;
	const char *rest;
	size_t rest_len, count = 0;

	if (!parse_id(request, &wanted.id, &rest, &rest_len) || rest_len) {
		admin_say(reply, 404, "/connections/ID takes a connection's number");
		return;
	}
	gather_all(control, &wanted, &gathered);
	for (unsigned i = 0; i < control->worker_count && count == 0; i++)
		count = flight_read(control->workers[i].flight, wanted.id, events, EVENTS_MAX);
	if (gathered.count == 0 && count == 0) {
		admin_say(reply, 404, "there is no such connection any more");
	} else {
		reply->type = "application/json";
		text_str(&reply->body, "{\"connection\":");
		if (gathered.count)
			text_bytes(&reply->body, gathered.items[0].text, gathered.items[0].len);
		else
			text_str(&reply->body, "null");
		text_str(&reply->body, ",\"events\":");
		flight_events_json(&reply->body, &view, events, count);
		text_str(&reply->body, "}\n");
	}
	gathered_release(&gathered);
}

struct closing {
	uint64_t id;
	bool found;
};

static void close_one(struct worker *worker, void *ctx)
{
	struct closing *closing = ctx;
	struct session *session;

	cds_list_for_each_entry(session, &worker->front.sessions, node)
	{
		if (session->id != closing->id)
			continue;
		closing->found = true;
		session_close(session, CLOSE_ADMIN_CLOSED, true);
		return;
	}
}

void admin_connection_close(struct control *control, const struct admin_request *request,
			    struct admin_reply *reply)
{
	struct closing closing = {0};
	struct patience patience = {0};
	unsigned unanswered = 0;
	const char *rest;
	size_t rest_len;

	if (!parse_id(request, &closing.id, &rest, &rest_len) || rest_len != 6 ||
	    memcmp(rest, "/close", 6) != 0) {
		admin_say(reply, 404, "POST /connections/ID/close ends a connection");
		return;
	}
	for (unsigned i = 0; i < control->worker_count && !closing.found; i++)
		if (call(control, i, &patience, close_one, &closing) < 0)
			unanswered++;
	if (closing.found)
		admin_say(reply, 200, "closed");
	else if (unanswered)
		admin_say(reply, 503, "a worker did not answer; try again");
	else
		admin_say(reply, 404, "there is no such connection any more");
}

void admin_connections_closed(struct control *control, const struct admin_request *request,
			      struct admin_reply *reply)
{
	struct flight_closed *closed = malloc(FLIGHT_CLOSES * sizeof(*closed));
	struct flight_view view = view_of();
	bool first = true;

	if (!closed) {
		admin_say(reply, 503, "out of memory");
		return;
	}
	reply->type = "application/json";
	text_str(&reply->body, "{\"closed\":[");
	for (unsigned w = 0; w < control->worker_count; w++) {
		size_t n = flight_closes_read(control->workers[w].flight, closed, FLIGHT_CLOSES);
		for (size_t i = 0; i < n; i++) {
			text_str(&reply->body, first ? "\n" : ",\n");
			flight_closed_json(&reply->body, &view, &closed[i]);
			first = false;
		}
	}
	text_str(&reply->body, "]}\n");
	free(closed);
}
