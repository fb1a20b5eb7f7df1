// SPDX-License-Identifier: Apache-2.0
// The race of a dial: hosts are resolved, their addresses connected side by side, the first one
// wins (Happy Eyeballs, RFC 8305).
#include <assert.h>
#include <errno.h>
#include <urcu/compiler.h>

#include "obs/metrics.h"
#include "stream/tcp.h"
#include "upstream/dial_internal.h"

static void step(struct dial *dial);

static enum metric_connect metric_of(enum close_reason reason)
{
	switch (reason) {
	case CLOSE_CONNECT_REFUSED:
		return METRIC_CONNECT_REFUSED;
	case CLOSE_CONNECT_UNREACHABLE:
		return METRIC_CONNECT_UNREACHABLE;
	case CLOSE_CONNECT_TIMEOUT:
		return METRIC_CONNECT_TIMEOUT;
	case CLOSE_NO_PORTS:
		return METRIC_CONNECT_NO_PORTS;
	case CLOSE_NO_DESCRIPTORS:
		return METRIC_CONNECT_NO_DESCRIPTORS;
	default:
		return METRIC_CONNECT_ERROR;
	}
}

static void count_connect(struct dial *dial, enum metric_connect result)
{
	struct metrics *metrics = dial->dialer->metrics;

	if (metrics)
		metric_inc(&metrics->connects[result]);
}

static void count_pending(struct dial *dial, int change)
{
	struct metrics *metrics = dial->dialer->metrics;

	if (metrics)
		metric_gauge_add(&metrics->connects_pending, change);
}

static uint64_t now_of(const struct dial *dial)
{
	return dial->dialer->loop->now;
}

static bool avoids(const struct dial *dial, const struct endpoint *address)
{
	return dial_memory_avoids(&dial->dialer->memory, address, now_of(dial));
}

// The next host in rotation; those that failed lately when no other is left.
static uint16_t take_host(struct dial *dial)
{
	struct race *race = &dial->race;
	uint16_t taken = UINT16_MAX;

	for (unsigned i = 0; i < race->count; i++) {
		uint16_t host = (uint16_t)((race->first + i) % race->count);
		if (race->taken_set >> host & 1)
			continue;
		bool avoided = race->count > 1 &&
			       dial_memory_avoids_host(&dial->dialer->memory, &race->hosts[host],
						       now_of(dial));
		if (!avoided || taken == UINT16_MAX)
			taken = host;
		if (!avoided)
			break;
	}
	assert(taken < race->count); // the caller knows that one is left
	race->taken_set |= 1ULL << (taken & 63);
	race->taken++;
	return taken;
}

static bool resolving(const struct race *race)
{
	return race->v4.wait.entry || race->v6.wait.entry;
}

static bool has_address(const struct race *race)
{
	return race->v4.next < race->v4.count || race->v6.next < race->v6.count;
}

static void add_address(struct dial *dial, const struct endpoint *address)
{
	struct race *race = &dial->race;
	struct race_family *family = address->family == AF_INET6 ? &race->v6 : &race->v4;

	if (family->count < RACE_FAMILY_MAX)
		family->addresses[family->count++] = *address;
}

static void add_addresses(struct dial *dial, const struct resolver_answer *answer)
{
	const struct race *race = &dial->race;
	// A cached answer would send everybody to its first address.
	unsigned first = answer->count > 1 ? dial->dialer->answers++ % answer->count : 0;

	for (int avoided = 0; avoided < 2; avoided++)
		for (unsigned i = 0; i < answer->count; i++) {
			struct endpoint address = answer->addresses[(first + i) % answer->count];
			address.port = race->hosts[race->current].port;
			if (avoids(dial, &address) == avoided)
				add_address(dial, &address);
		}
}

static void take_answer(struct dial *dial, const struct resolver_answer *answer)
{
	struct race *race = &dial->race;
	uint64_t now = now_of(dial);

	add_addresses(dial, answer);
	if (answer->count && !dial->resolved)
		dial->resolved = now;
	// RFC 8305, 3: an answer for IPv4 gives the one for IPv6 a little more time.
	if (answer->family == AF_INET && race->v6.wait.entry &&
	    !dial_memory_avoids_ipv6(&dial->dialer->memory, now))
		race->gate = now + DIAL_RESOLUTION_DELAY_NS;
	if (answer->family == AF_INET6)
		race->gate = 0;
	if (answer->status == RESOLVER_TIMEOUT)
		dial_failed(dial, CLOSE_RESOLVE_TIMEOUT, -ETIMEDOUT);
	else if (answer->status != RESOLVER_OK)
		dial_failed(dial, CLOSE_RESOLVE_FAILED, 0);
}

static void answered6(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	struct dial *dial = caa_container_of(wait, struct dial, race.v6.wait);

	take_answer(dial, answer);
	step(dial);
}

static void answered4(struct resolver_wait *wait, const struct resolver_answer *answer)
{
	struct dial *dial = caa_container_of(wait, struct dial, race.v4.wait);

	take_answer(dial, answer);
	step(dial);
}

static void ask(struct dial *dial, const struct host *host, int family)
{
	struct resolver *resolver = dial->dialer->resolver;
	struct race_family *of = family == AF_INET6 ? &dial->race.v6 : &dial->race.v4;
	struct resolver_answer answer;

	of->wait.done = family == AF_INET6 ? answered6 : answered4;
	int r = resolver ? resolver_lookup(resolver, host->name, host->name_len, family, &of->wait,
					   &answer)
			 : -ENOTSUP;
	if (r > 0)
		take_answer(dial, &answer);
	else if (r == -EBUSY)
		dial_failed(dial, CLOSE_RESOLVER_BUSY, r);
	else if (r == -ENOMEM)
		dial_failed(dial, CLOSE_NO_MEMORY, r);
	else if (r < 0)
		dial_failed(dial, CLOSE_RESOLVE_FAILED, r);
}

// Brings the next host in. Its predecessor has no address left to try.
static void begin_host(struct dial *dial)
{
	struct race *race = &dial->race;
	uint64_t now = now_of(dial);

	race->current = take_host(dial);
	race->v4.count = race->v4.next = race->v6.count = race->v6.next = 0;
	race->gate = 0;
	race->last_was_v6 = false;
	race->next_host = now + DIAL_TARGET_DELAY_NS;
	const struct host *host = &race->hosts[race->current];
	if (host->kind == HOST_ADDRESS) {
		add_address(dial, &host->address);
		return;
	}
	race->resolve_deadline = dial->resolve_ns ? now + dial->resolve_ns : UINT64_MAX;
	ask(dial, host, AF_INET6);
	ask(dial, host, AF_INET);
	// The answers that are at hand count as they are: nothing was resolved in that time.
	if (!resolving(race))
		race->gate = 0;
}

static bool prefers_v6(const struct dial *dial)
{
	const struct race *race = &dial->race;
	const struct race_family *v4 = &race->v4, *v6 = &race->v6;

	if (v4->next == v4->count || v6->next == v6->count)
		return v6->next < v6->count;
	bool avoids4 = avoids(dial, &v4->addresses[v4->next]);
	bool avoids6 = avoids(dial, &v6->addresses[v6->next]);
	return avoids4 == avoids6 ? !race->last_was_v6 : avoids4;
}

// The next address to try: the families alternate, IPv6 first, unless one has failed lately.
static const struct endpoint *next_address(struct dial *dial)
{
	struct race *race = &dial->race;
	bool v6 = prefers_v6(dial);
	struct race_family *family = v6 ? &race->v6 : &race->v4;

	race->last_was_v6 = v6;
	return &family->addresses[family->next++];
}

static void release_attempt(struct dial *dial, struct dial_attempt *attempt)
{
	attempt->stream = NULL;
	dial->race.in_flight--;
	count_pending(dial, -1);
}

static void remember_failure(struct dial *dial, const struct endpoint *to, uint16_t index,
			     int error)
{
	struct dial_memory *memory = &dial->dialer->memory;
	const struct host *host = &dial->race.hosts[index];

	dial_memory_failed(memory, to, error, now_of(dial));
	if (host->kind == HOST_NAME && dial->race.count > 1)
		dial_memory_host_failed(memory, host, now_of(dial));
}

static void abandon(struct dial *dial, struct dial_attempt *attempt, enum metric_connect result)
{
	if (now_of(dial) >= attempt->started + DIAL_ATTEMPT_DELAY_NS ||
	    result == METRIC_CONNECT_TIMEOUT)
		remember_failure(dial, &attempt->to, attempt->host, -ETIMEDOUT);
	stream_close(dial->dialer->loop, attempt->stream, STREAM_RST);
	release_attempt(dial, attempt);
	count_connect(dial, result);
}

static void connect_failed(struct dial *dial, const struct endpoint *to, uint16_t host, int error)
{
	enum close_reason reason = dial_reason_of(error, to->family);

	dial->peer = *to;
	if (!dial->parent_id)
		dial->target = host;
	remember_failure(dial, to, host, error);
	dial_failed(dial, reason, error);
	count_connect(dial, metric_of(reason));
}

static void won(struct dial *dial, struct dial_attempt *attempt)
{
	struct stream *stream = attempt->stream;
	struct metrics *metrics = dial->dialer->metrics;

	dial->peer = attempt->to;
	if (!dial->parent_id)
		dial->target = attempt->host;
	dial_memory_reached(&dial->dialer->memory, &attempt->to, &dial->race.hosts[attempt->host],
			    now_of(dial));
	count_connect(dial, METRIC_CONNECT_OK);
	if (metrics)
		hist_record(&metrics->connect_duration, now_of(dial) - attempt->started);
	release_attempt(dial, attempt);
	stream_own(stream, NULL, NULL);
	race_end(dial);
	tunnel_connected(dial, stream);
}

static void attempt_ready(struct loop *loop, struct stream *stream)
{
	struct dial_attempt *attempt = stream->owner;
	struct dial *dial = attempt->dial;
	int r = tcp_stream_connected(stream);

	if (r == -EINPROGRESS)
		return;
	if (r == 0) {
		won(dial, attempt);
		return;
	}
	connect_failed(dial, &attempt->to, attempt->host, r);
	stream_close(loop, stream, STREAM_FIN);
	release_attempt(dial, attempt);
	dial->race.next_attempt = loop->now; // RFC 8305, 5: a failure starts the next one at once
	step(dial);
}

// Asks the owner. False: the address is not to be connected. `*ret_parent`: it is, through that one.
static bool permitted(struct dial *dial, const struct endpoint *to,
		      const struct snap_parent **ret_parent)
{
	*ret_parent = NULL;
	if (!dial->race.permit || !dial->permit)
		return true;
	enum close_reason reason = dial->permit(dial->owner, to, ret_parent);
	if (reason == CLOSE_NONE)
		return true;
	dial->peer = *to;
	dial->target = dial->race.current;
	dial_failed(dial, reason, -EACCES);
	return false;
}

static void start_attempt(struct dial *dial, const struct endpoint *to)
{
	struct race *race = &dial->race;
	struct dial_attempt *attempt = race->attempts;
	struct loop *loop = dial->dialer->loop;
	const struct endpoint *source = to->family == AF_INET6 ? &dial->source6 : &dial->source4;

	while (attempt->stream)
		attempt++;
	if (!dial->connect_started) {
		dial->connect_started = loop->now;
		if (dial->connect_ns)
			dial->connect_deadline = loop->now + dial->connect_ns;
	}
	dial->phase = DIAL_CONNECTING;
	dial->attempts++;
	race->next_attempt = loop->now;
	int r = tcp_stream_connect(loop, to, source, &attempt->stream);
	if (r < 0) {
		attempt->stream = NULL;
		connect_failed(dial, to, race->current, r);
		return;
	}
	attempt->dial = dial;
	attempt->to = *to;
	attempt->host = race->current;
	attempt->started = loop->now;
	race->in_flight++;
	count_pending(dial, 1);
	race->next_attempt = loop->now + DIAL_ATTEMPT_DELAY_NS;
	stream_own(attempt->stream, attempt, attempt_ready);
}

// Through the parent that the rules name for this address. The race is over, another one begins.
static void divert(struct dial *dial, const struct endpoint *to, const struct snap_parent *parent)
{
	dial->target = dial->race.current;
	race_end(dial);
	int r = tunnel_set_parent(dial, parent);
	if (r < 0) {
		dial_failed(dial, CLOSE_NO_MEMORY, r);
		dial_give_up(dial);
		return;
	}
	tunnel_divert(dial, to);
}

// Connects what may be connected now. False: the dial has ended or become another.
static bool start_attempts(struct dial *dial)
{
	struct race *race = &dial->race;
	uint64_t now = now_of(dial);

	while (has_address(race) && race->in_flight < DIAL_ATTEMPTS_MAX) {
		const struct snap_parent *parent;
		if (race->in_flight && now < race->next_attempt)
			break;
		if (race->gate > now && race->v6.next == race->v6.count)
			break;
		const struct endpoint to = *next_address(dial);
		if (!permitted(dial, &to, &parent))
			continue;
		if (parent) {
			divert(dial, &to, parent);
			return false;
		}
		start_attempt(dial, &to);
	}
	return true;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void arm(struct dial *dial)
{
	const struct race *race = &dial->race;
	struct loop *loop = dial->dialer->loop;
	uint64_t at = dial->connect_deadline;

	if (resolving(race))
		at = sooner(at, race->resolve_deadline);
	if (has_address(race)) {
		if (race->in_flight < DIAL_ATTEMPTS_MAX && race->in_flight)
			at = sooner(at, race->next_attempt);
		if (race->gate > loop->now)
			at = sooner(at, race->gate);
	} else if (!resolving(race) && race->taken < race->count) {
		at = sooner(at, race->next_host);
	}
	if (at == UINT64_MAX)
		loop_timer_cancel(loop, &dial->timer);
	else
		loop_timer_set(loop, &dial->timer, at);
}

// The one decision: what to do next, after anything has happened.
static void step(struct dial *dial)
{
	struct race *race = &dial->race;
	uint64_t now = now_of(dial);

	for (;;) {
		if (!start_attempts(dial))
			return;
		if (has_address(race) || resolving(race))
			break;
		if (race->in_flight && (race->taken == race->count || now < race->next_host))
			break;
		if (race->taken == race->count) {
			dial_give_up(dial);
			return;
		}
		begin_host(dial);
	}
	arm(dial);
}

void race_begin(struct dial *dial, const struct host *hosts, uint16_t count, uint16_t first,
		bool permit)
{
	struct race *race = &dial->race;

	race->hosts = hosts;
	race->count = count;
	race->first = first;
	race->taken = 0;
	race->taken_set = 0;
	race->permit = permit;
	dial->phase = DIAL_RESOLVING;
	step(dial);
}

static void stop_resolving(struct race *race)
{
	resolver_cancel(&race->v4.wait);
	resolver_cancel(&race->v6.wait);
	race->gate = 0;
}

void race_end(struct dial *dial)
{
	struct race *race = &dial->race;

	stop_resolving(race);
	for (unsigned i = 0; i < DIAL_ATTEMPTS_MAX && race->in_flight; i++)
		if (race->attempts[i].stream)
			abandon(dial, &race->attempts[i], METRIC_CONNECT_ABANDONED);
	race->v4.count = race->v4.next = race->v6.count = race->v6.next = 0;
	race->taken = race->count;
}

void race_timer(struct dial *dial)
{
	struct race *race = &dial->race;
	uint64_t now = now_of(dial);

	if (now >= dial->connect_deadline) {
		for (unsigned i = 0; i < DIAL_ATTEMPTS_MAX; i++)
			if (race->attempts[i].stream) {
				dial->peer = race->attempts[i].to;
				if (!dial->parent_id)
					dial->target = race->attempts[i].host;
				abandon(dial, &race->attempts[i], METRIC_CONNECT_TIMEOUT);
			}
		// Whatever else had failed before: this is why it goes no further.
		dial->reason = CLOSE_CONNECT_TIMEOUT;
		dial->error = -ETIMEDOUT;
		dial_give_up(dial);
		return;
	}
	if (resolving(race) && now >= race->resolve_deadline) {
		stop_resolving(race);
		dial_failed(dial, CLOSE_RESOLVE_TIMEOUT, -ETIMEDOUT);
	}
	step(dial);
}
