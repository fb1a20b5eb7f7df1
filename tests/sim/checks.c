// SPDX-License-Identifier: Apache-2.0
// What must hold: at each turn, whenever everything waits, and when all is over.
#include <inttypes.h>
#include <string.h>
#include <urcu/compiler.h>

#include "client.h"
#include "front/session.h"
#include "http.h"
#include "io/sim_internal.h"
#include "obs/metrics.h"
#include "policy/account.h"
#include "relay/relay.h"
#include "snap/snap.h"
#include "udp.h"
#include "world.h"

#define MS UINT64_C(1000000)

static struct client *client_of(struct end *end)
{
	return end->name[0] == 'c' ? caa_container_of(end, struct client, end) : NULL;
}

/*
 * Whenever everything waits.
 */

// Whether `from` has something for `to` that should have come by now.
static bool owes(const struct end *from, const struct end *to)
{
	if (end_over(to) || to->stalled || to->got_end || !to->streaming)
		return false;
	if (from->did_reset)
		return true; // the reset itself
	if (to->got < from->sent)
		return true;
	return from->said_end || from->did_close;
}

static bool is_limited(const struct client *client)
{
	return (client->user && strcmp(client->user, "bob") == 0) || world.options.address_rate;
}

static void look(struct end *from, struct end *to, uint64_t slack)
{
	if (!owes(from, to) || to->got != to->stuck_got || !to->stuck_since) {
		to->stuck_since = sim.now;
		to->stuck_got = to->got;
		return;
	}
	if (sim.now - to->stuck_since > slack)
		sim_fail("stranded: %s %u has %" PRIu64 " of %" PRIu64 " bytes%s of %s %u, and "
			 "nothing moves since %.3f ms",
			 to->name, to->number, to->got, from->sent,
			 from->did_reset  ? " and not the reset"
			 : from->said_end ? " and not the end"
					  : "",
			 from->name, from->number, (double)(to->stuck_since - 1000000000000) / 1e6);
}

static void look_http(struct client *client, uint64_t slack)
{
	struct end *end = &client->end;

	if (!http_client_owed(client) || end->in_total != end->stuck_got || !end->stuck_since) {
		end->stuck_since = sim.now;
		end->stuck_got = end->in_total;
		return;
	}
	if (sim.now - end->stuck_since > slack)
		sim_fail("stranded: client %u waits for an answer that its server has said, since "
			 "%.3f ms",
			 end->number, (double)(end->stuck_since - 1000000000000) / 1e6);
}

void checks_quiet(uint64_t until)
{
	const struct world_options *o = &world.options;
	uint64_t slack = 50 * MS + o->coalesce_us * 2000;

	for (uint32_t i = 1; i <= end_count; i++) {
		struct client *client = client_of(ends[i]);
		struct end *server = client ? client_server(client) : NULL;
		if (client && client->http && !o->hungry && !o->unreliable)
			look_http(client, slack + (is_limited(client) ? 20000 * MS : 0));
		if (!server || !client->connected)
			continue;
		uint64_t more = is_limited(client) ? 3000 * MS : 0;
		// One who hears nothing any more knows nothing of the other.
		if (o->unreliable && sim.config.faults.timeout)
			more += 1000000 * MS;
		look(&client->end, server, slack + more);
		look(server, &client->end, slack + more);
	}
}

/*
 * At each turn.
 */

static void check_held(const struct session *session)
{
	for (int d = 0; d < 2; d++) {
		const struct relay_dir *dir = &session->relay.dir[d];
		if (dir->pipe && dir->rest)
			sim_fail("session %" PRIu64 ": a direction holds a pipe and a buffer",
				 session->id);
		if (dir->pipe && (!dir->pipe->held || dir->pipe->held > dir->pipe->size))
			sim_fail("session %" PRIu64 ": a pipe of %u holds %u", session->id,
				 dir->pipe->size, dir->pipe->held);
		if (dir->rest && dir->rest_len > 64 * 1024)
			sim_fail("session %" PRIu64 ": a buffer of %u bytes is held", session->id,
				 dir->rest_len);
	}
}

// Such a connection may have been idle before.
static bool speaks_http(const struct session *session)
{
	return session->protocol == METRIC_PROTOCOL_HTTP ||
	       session->protocol == METRIC_PROTOCOL_CONNECT ||
	       session->protocol == METRIC_PROTOCOL_UPGRADE;
}

// Who may not be there any more, a moment after a reload.
static void check_revoked(const struct session *session)
{
	const struct snap *snap = front_snap(session->front);

	if (!world.generation || sim.now < world.revised_at + 100 * MS)
		return;
	if (session->user_id && !snap_user_by_id(snap, session->user_id))
		sim_fail("session %" PRIu64 " of a user who is gone lives on", session->id);
	if (session->phase == SESSION_RELAY && world.generation % 2 == 1 && session->dest &&
	    strncmp(session->dest, "s2.sim:", 7) == 0)
		sim_fail("session %" PRIu64 " to a forbidden place lives on", session->id);
}

static void check_session(const struct session *session)
{
	const struct world_options *o = &world.options;
	uint64_t age = sim.now - session->accepted;

	check_revoked(session);
	if (session->phase == SESSION_RELAY) {
		check_held(session);
		uint64_t begun = session->admitted_us * UINT64_C(1000);
		uint64_t most = (begun > o->total_ms * MS ? begun : o->total_ms * MS) + 100 * MS;
		if (o->total_ms && age > most)
			sim_fail("session %" PRIu64 " has outlived its total time", session->id);
	} else if (session->phase < SESSION_TALK ||
		   (session->phase == SESSION_TALK && !speaks_http(session))) {
		if (age > (o->admission_ms + 100) * MS)
			sim_fail("session %" PRIu64 " is not admitted and lives on", session->id);
	}
}

// No more than the burst and what the rate brings since the beginning.
static int check_rate(struct account *a, void *ctx)
{
	const uint64_t bob = *(const uint64_t *)ctx;
	uint64_t rates[2] = {0, 0}, bytes[2];

	if (a->key.kind == ACCOUNT_USER && bob && a->key.id == bob) {
		rates[0] = 500000;
		rates[1] = 1000000;
	} else if (a->key.kind == ACCOUNT_ADDRESS) {
		rates[0] = rates[1] = world.options.address_rate;
	}
	account_bytes(a, &bytes[0], &bytes[1]);
	for (int d = 0; d < 2; d++) {
		uint64_t most = bucket_default_burst(rates[d]) +
				rates[d] * ((sim.now - world.began) / MS) / 1000;
		// What came with a request goes ahead of the stream, unweighed; so do heads.
		most += (uint64_t)end_count * 16384;
		if (rates[d] && bytes[d] > most)
			sim_fail("%" PRIu64 " bytes went %s, and %" PRIu64 " may", bytes[d],
				 d ? "down" : "up", most);
	}
	return 0;
}

static void check_rates(void)
{
	const struct snap *snap = world.shared.snap_rcu;
	uint64_t bob = 0;

	for (uint32_t i = 0; i < snap->user_count; i++)
		if (strcmp(snap->users[i].name, "bob") == 0)
			bob = snap->users[i].id;
	accounts_each(world.shared.accounts, check_rate, &bob);
}

void checks_turn(void)
{
	const struct session *session;
	unsigned left = 0;

	if (world.turns % 64 == 0)
		check_rates();

	cds_list_for_each_entry(session, &world.worker.front.sessions, node) check_session(session);
	for (uint32_t i = 1; i <= end_count; i++) {
		struct client *client = client_of(ends[i]);
		// A server may still have to read what its client left.
		if (client ? !client->end.born || client->begin.place || !end_over(ends[i])
			   : !end_over(ends[i]))
			left++;
	}
	world.clients_left = left;
}

/*
 * When all is over.
 */

static bool keeps_to_rules(const struct end *end)
{
	return !end->did_reset && end->plan.after != AFTER_CLOSE && end->plan.stall != NEVER;
}

static void check_end_of(const struct end *to, const struct end *from)
{
	// What looks like the end is the end.
	if (to->got_end && to->streaming && !to->deaf) {
		if (!from->said_end && !(from->did_close && !from->did_reset))
			sim_fail("%s %u got an end that %s %u did not say", to->name, to->number,
				 from->name, from->number);
		if (to->got != from->sent)
			sim_fail("%s %u got the end after %" PRIu64 " of %" PRIu64 " bytes",
				 to->name, to->number, to->got, from->sent);
	}
}

static bool is_normal(enum close_reason reason)
{
	return reason == CLOSE_CLIENT_EOF || reason == CLOSE_UPSTREAM_EOF;
}

static void check_bytes(const struct client *client, const struct end *server,
			const struct record *record)
{
	uint64_t said = client->prefix + client->end.sent;
	uint64_t got = server->got + (server->streaming ? client->prefix : 0);

	if (record->bytes_up > said || record->bytes_up < got)
		sim_fail("client %u: the record has %" PRIu64 " bytes up; %" PRIu64
			 " were said and %" PRIu64 " arrived",
			 client->end.number, record->bytes_up, said, got);
	if (record->bytes_down > server->sent || record->bytes_down < client->end.got)
		sim_fail("client %u: the record has %" PRIu64 " bytes down; %" PRIu64
			 " were said and %" PRIu64 " arrived",
			 client->end.number, record->bytes_down, server->sent, client->end.got);
	if (record->bytes_spliced + record->bytes_copied != record->bytes_up + record->bytes_down)
		sim_fail("client %u: the record's movers do not add up", client->end.number);
	if (is_normal(record->reason) &&
	    (record->bytes_up != said || record->bytes_down != server->sent))
		sim_fail("client %u: a normal end, and not everything was passed on",
			 client->end.number);
}

static void check_whole(const struct client *client, const struct end *server,
			const struct record *record)
{
	const struct end *end = &client->end;

	if (!end->got_end || !server->got_end || end->got != server->plan.total ||
	    server->got != end->plan.total)
		sim_fail("client %u: no reason not to get everything, but client %" PRIu64
			 " of %" PRIu64 ", server %" PRIu64 " of %" PRIu64 " (%s)",
			 end->number, end->got, server->plan.total, server->got, end->plan.total,
			 record ? close_reason_name(record->reason) : "no record");
	if (!record || !is_normal(record->reason))
		sim_fail("client %u: everything is well, and the reason is %s", end->number,
			 record ? close_reason_name(record->reason) : "none");
}

static void check_outcome(const struct client *client)
{
	bool rude = world.options.rude, excused = world_excuses();

	if (client->expect == EXPECT_FAIL && client->connected)
		sim_fail("client %u: connected to %s, where nobody gets", client->end.number,
			 client->dest);
	if (excused ||
	    (rude && (!keeps_to_rules(&client->end) || client->end.plan.life < 60000 * MS)))
		return;
	// Limits refuse without a word.
	if (world.options.per_address || world.options.connections)
		return;
	// In rude schedules parents refuse, and servers reset what they have just accepted.
	// Whoever shares an address with guessers of passwords has to wait.
	if (client->code == 429)
		return;
	if (client->expect == EXPECT_OK && !client->connected && !rude)
		sim_fail("client %u: no reason to be refused (%u)", client->end.number,
			 client->code);
	if (client->expect == EXPECT_FAIL && !client->refused)
		sim_fail("client %u: not even refused", client->end.number);
}

static void check_client(const struct client *client)
{
	const struct record *record = client->records;
	const struct end *server = client_server(client);
	bool excused = world_excuses();

	// Of HTTP each request has a record, and a tunnel that it became; they come last first.
	while (client->http && record && record->request)
		record = record->next;
	if (record && record->next && !record->next->request)
		sim_fail("client %u: two records", client->end.number);
	if (!client->records && client->end.open && !excused)
		sim_fail("client %u: no record", client->end.number);
	if (record && record->reason == CLOSE_INTERNAL)
		sim_fail("client %u: an internal error", client->end.number);
	udp_check(client);
	if (client->http)
		http_client_check(client);
	else
		check_outcome(client);
	if (!server || !client->connected)
		return;
	check_end_of(&client->end, server);
	check_end_of(server, &client->end);
	if (record && !record->request)
		check_bytes(client, server, record);
	bool both_wait = client->end.plan.after == AFTER_WAIT && server->plan.after == AFTER_WAIT;
	if (!excused && keeps_to_rules(&client->end) && keeps_to_rules(server) &&
	    client->expect == EXPECT_OK && !both_wait)
		check_whole(client, server, record);
}

static void gauge(const char *name, int64_t value, int64_t expected)
{
	if (value != expected)
		sim_fail("the gauge %s is %" PRId64 ", expected %" PRId64, name, value, expected);
}

static void check_gauges(const struct metrics *m)
{
	uint64_t closed = 0;

	for (int i = 0; i < METRIC_PROTOCOL_COUNT; i++)
		gauge("connections_live", m->connections_live[i], 0);
	gauge("relays_live", m->relays_live, 0);
	gauge("connects_pending", m->connects_pending, 0);
	// One that cannot be watched is given up.
	if (!world.generation || (!world.options.scarce && !world.options.hungry))
		gauge("listeners", m->listeners,
		      world.draining              ? 0
		      : world.generation % 2 == 1 ? 8
						  : 9);
	gauge("udp_associations_live", m->udp_associations_live, 0);
	gauge("relays_paced", m->relays_paced, 0);
	gauge("listeners_paused", m->listeners_paused, 0);
	gauge("pool_idle", m->pool_idle, world.worker.pool.idle);
	for (int i = 0; i < METRIC_CLOSE_COUNT; i++)
		closed += m->connections_closed[i];
	if (closed < m->connections_accepted ||
	    (closed > m->connections_accepted && !world.options.hungry && !world.options.scarce))
		sim_fail("%" PRIu64 " sessions began, %" PRIu64 " ended", m->connections_accepted,
			 closed);
}

struct sums {
	uint64_t user_up, user_down, address_up, address_down;
};

static int add_account(struct account *a, void *ctx)
{
	struct sums *sums = ctx;
	uint64_t up, down;

	account_bytes(a, &up, &down);
	if (a->key.kind == ACCOUNT_USER) {
		sums->user_up += up;
		sums->user_down += down;
	} else {
		sums->address_up += up;
		sums->address_down += down;
	}
	if (atomic_load(&a->conn_live_atomic))
		sim_fail("an account counts %u connections, and there are none",
			 atomic_load(&a->conn_live_atomic));
	if (atomic_load(&a->ref_atomic))
		sim_fail("an account is still held");
	return 0;
}

static void check_sums(const struct metrics *m)
{
	uint64_t tunnels[2] = {0}, requests[2] = {0};
	struct sums sums = {0};

	for (int p = 0; p < METRIC_PROTOCOL_COUNT; p++)
		for (int d = 0; d < 2; d++)
			for (int mover = 0; mover < METRIC_MOVER_COUNT; mover++)
				(p == METRIC_PROTOCOL_HTTP ? requests : tunnels)[d] +=
					m->relay_bytes[p][d][mover];
	if (tunnels[0] != world.tunnel_up || tunnels[1] != world.tunnel_down)
		sim_fail("the metrics have %" PRIu64 " and %" PRIu64 " bytes, the records %" PRIu64
			 " and %" PRIu64,
			 tunnels[0], tunnels[1], world.tunnel_up, world.tunnel_down);
	accounts_each(world.shared.accounts, add_account, &sums);
	if (world.options.hungry)
		return; // accounts may be missing
	if (sums.address_up != tunnels[0] + requests[0] ||
	    sums.address_down != tunnels[1] + requests[1])
		sim_fail("the accounts have %" PRIu64 " and %" PRIu64 " bytes, the metrics %" PRIu64
			 " and %" PRIu64,
			 sums.address_up, sums.address_down, tunnels[0] + requests[0],
			 tunnels[1] + requests[1]);
}

void checks_end(void)
{
	const struct front *front = &world.worker.front;

	if (front->live)
		sim_fail("%u sessions live on without anybody", front->live);
	for (uint32_t i = 1; i <= end_count; i++)
		if (client_of(ends[i]))
			check_client(client_of(ends[i]));
	check_gauges(world.worker.metrics);
	check_sums(world.worker.metrics);
	if (world.worker.front.relay.pipes.live != world.worker.front.relay.pipes.idle_count)
		sim_fail("%u pipes live and %u are idle", front->relay.pipes.live,
			 front->relay.pipes.idle_count);
}
