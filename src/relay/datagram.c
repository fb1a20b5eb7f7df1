// SPDX-License-Identifier: Apache-2.0
// The association's two pumps, from a port's burst to another port's burst, and its timer.
#include "relay/datagram.h"

#include <errno.h>
#include <string.h>
#include <urcu/compiler.h>

#include "io/packet/packet_kernel.h"
#include "policy/account.h"

enum {
	BURSTS = 4, // of one port in a turn
	BUFFERS = 2 * PACKET_BURST,
};

void datagram_env_init(struct datagram_env *env, struct loop *loop, unsigned worker,
		       struct metrics *metrics)
{
	env->loop = loop;
	env->worker = worker;
	env->metrics = metrics;
	env->domain = NULL;
	env->batched = 0;
	pool_init(&env->peers, "datagram peer", sizeof(struct datagram_peer), 0);
}

void datagram_env_release(struct datagram_env *env)
{
	packet_domain_free(env->domain);
	env->domain = NULL;
	pool_release(&env->peers);
}

// Books what went out and what did not.
static void settle(struct datagram *d, enum datagram_direction direction,
		   const struct packet *packets, unsigned n)
{
	struct metrics *metrics = d->env->metrics;
	uint64_t datagrams = 0, bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct packet *p = &packets[i];
		datagrams += p->sent;
		bytes += p->sent_bytes;
		if (p->error)
			datagram_drop(d,
				      p->error == -EMSGSIZE ? METRIC_DATAGRAM_DROP_TOO_LARGE
				      : p->error == -EAGAIN ? METRIC_DATAGRAM_DROP_QUEUE_FULL
							    : METRIC_DATAGRAM_DROP_ERROR,
				      packet_count(p) - p->sent);
	}
	if (!datagrams)
		return;
	d->active = d->env->loop->now;
	metric_add(&metrics->datagrams[direction], datagrams);
	metric_add(&metrics->datagram_bytes[direction], bytes);
	for (int i = 0; i < 2; i++)
		if (d->account[i])
			account_add_bytes(d->account[i], d->env->worker,
					  direction == DATAGRAM_UP ? bytes : 0,
					  direction == DATAGRAM_DOWN ? bytes : 0);
	d->ops->moved(d, direction, datagrams, bytes);
}

void datagram_flush(struct datagram *d)
{
	struct datagram_env *env = d->env;
	unsigned n = env->batched;

	if (n == 0)
		return;
	env->batched = 0;
	int taken = packet_tx_burst(env->batch_port, env->batch, n);
	// There is no room for the rest: as on any full link.
	for (unsigned i = taken > 0 ? (unsigned)taken : 0; i < n; i++) {
		env->batch[i].error = -EAGAIN;
		packet_free(&env->batch[i]);
	}
	settle(d, env->batch_direction, env->batch, n);
}

// The packet cut to what the rate limits let through: whole datagrams from its beginning.
static void limit_packet(struct datagram *d, enum datagram_direction direction,
			 struct packet *packet)
{
	const struct bucket_claim *claims = d->claims[direction];
	uint32_t bytes = packet_payload(packet);
	uint64_t now = d->env->loop->now;

	uint64_t grant = bucket_take_upto_all(claims, 2, bytes, now);
	if (grant == bytes)
		return;
	unsigned count = packet_count(packet), fit = 0;
	uint32_t segment = packet->segment ? packet->segment : packet->len;
	if (segment > packet->skip)
		fit = (unsigned)(grant / (segment - packet->skip));
	if (fit >= count)
		fit = count - 1; // all but a last one that is shorter
	bucket_refund_all(claims, 2, grant - (uint64_t)fit * (segment - packet->skip));
	datagram_drop(d, METRIC_DATAGRAM_DROP_RATE, count - fit);
	packet->len = fit * segment;
}

// True: batched, with the caller's share of the buffer; false: nothing of it is left.
static unsigned enqueue(struct datagram *d, enum datagram_direction direction,
			struct packet_port *port, struct packet *packet)
{
	struct datagram_env *env = d->env;

	if (env->batched && (env->batched == DATAGRAM_BATCH || env->batch_port != port ||
			     env->batch_direction != direction))
		datagram_flush(d);
	uint32_t whole = packet->len;
	if (d->limited[direction])
		limit_packet(d, direction, packet);
	if (packet->len == 0 && whole != 0) {
		packet_free(packet);
		return 0;
	}
	env->batch_port = port;
	env->batch_direction = direction;
	env->batch[env->batched++] = *packet;
	packet->buffer = NULL;
	return packet_count(packet);
}

static void watch_side(struct datagram_side *side);

// The port towards destinations of that family. NULL: it cannot be opened.
static struct packet_port *port_to(struct datagram *d, int family)
{
	struct datagram_side *side = family == AF_INET ? &d->up4 : &d->up6;
	struct endpoint any = {.family = (uint8_t)family};

	if (!side->port && packet_kernel_open(d->env->domain, &any, 0, &side->port) == 0) {
		side->datagram = d;
		watch_side(side);
	}
	return side->port;
}

unsigned datagram_send(struct datagram *d, struct packet *packet, struct datagram_peer *peer)
{
	struct packet_port *port = port_to(d, peer->address.family);

	if (!port) {
		datagram_drop(d, METRIC_DATAGRAM_DROP_ERROR, packet_count(packet));
		packet_free(packet);
		return 0;
	}
	packet->peer = peer->address;
	packet->local = (struct endpoint){0};
	packet->ecn = 0;
	unsigned count = enqueue(d, DATAGRAM_UP, port, packet);
	if (count)
		datagram_peers_touch(&d->peers, peer, d->env->loop->now);
	return count;
}

// A packet from a destination, to the client.
static void pass_down(struct datagram *d, struct packet *packet)
{
	struct datagram_peer *peer = datagram_peers_find(&d->peers, &packet->peer);
	enum metric_datagram_drop why;

	if (!peer || !peer->sent_at || !datagram_client_known(d) ||
	    (d->idle_ns && peer->sent_at + d->idle_ns < d->env->loop->now))
		why = METRIC_DATAGRAM_DROP_FOREIGN;
	else if (packet->truncated)
		why = METRIC_DATAGRAM_DROP_TOO_LARGE;
	else if (!d->ops->allowed(d, peer))
		why = METRIC_DATAGRAM_DROP_DENIED;
	else {
		packet->prefix = peer->prefix;
		packet->prefix_len = peer->prefix_len;
		packet->peer = d->peer;
		if (d->connected)
			packet->peer = (struct endpoint){0};
		packet->ecn = 0;
		enqueue(d, DATAGRAM_DOWN, d->client.port, packet);
		return;
	}
	datagram_drop(d, why, packet_count(packet));
	packet_free(packet);
}

static bool from_client(const struct datagram *d, const struct packet *packet)
{
	return datagram_client_known(d) ? memcmp(&packet->peer, &d->peer, sizeof(d->peer)) == 0
					: endpoint_same_ip(&packet->peer, &d->peer);
}

static void pass_up(struct datagram *d, struct packet *packet)
{
	if (from_client(d, packet) && !packet->truncated) {
		d->ops->input(d, packet);
		return;
	}
	datagram_drop(d,
		      packet->truncated ? METRIC_DATAGRAM_DROP_TOO_LARGE
					: METRIC_DATAGRAM_DROP_FOREIGN,
		      packet_count(packet));
	packet_free(packet);
}

// Reads a port's bursts and passes them on. What is left after some bursts waits for the next turn,
// so that one flood does not starve the other associations.
static void pump(struct datagram_side *side)
{
	struct datagram *d = side->datagram;
	struct packet packets[PACKET_BURST];
	int n = PACKET_BURST;

	side->more = false;
	for (int bursts = 0; n == PACKET_BURST && d->open; bursts++) {
		if (bursts == BURSTS) {
			side->more = true;
			loop_task_set(d->env->loop, &d->task);
			return;
		}
		n = packet_rx_burst(side->port, packets, PACKET_BURST);
		for (int i = 0; i < n; i++)
			if (side == &d->client)
				pass_up(d, &packets[i]);
			else
				pass_down(d, &packets[i]);
		datagram_flush(d);
	}
}

static void side_ready(struct loop *loop, struct watch *watch, uint32_t events)
{
	pump(caa_container_of(watch, struct datagram_side, watch));
}

static void watch_side(struct datagram_side *side)
{
	struct datagram *d = side->datagram;

	if (loop_watch_input(d->env->loop, &side->watch, packet_fd(side->port), side_ready) < 0) {
		packet_close(side->port);
		side->port = NULL;
	}
}

static void read_on(struct loop *loop, struct task *task)
{
	struct datagram *d = caa_container_of(task, struct datagram, task);
	struct datagram_side *sides[] = {&d->client, &d->up4, &d->up6};

	for (int i = 0; i < 3; i++)
		if (d->open && sides[i]->more)
			pump(sides[i]);
}

static void arm_timer(struct datagram *d)
{
	uint64_t at = d->deadline;

	if (d->idle_ns && d->active + d->idle_ns < at)
		at = d->active + d->idle_ns;
	if (at != UINT64_MAX)
		loop_timer_set(d->env->loop, &d->timer, at);
}

void datagram_times(struct datagram *d, uint64_t idle_ns, uint64_t deadline)
{
	d->idle_ns = idle_ns;
	d->deadline = deadline;
	loop_timer_cancel(d->env->loop, &d->timer);
	arm_timer(d);
}

static void timer_fired(struct loop *loop, struct timer *timer)
{
	struct datagram *d = caa_container_of(timer, struct datagram, timer);

	if (loop->now >= d->deadline)
		d->ops->over(d, CLOSE_TOTAL_TIMEOUT);
	else if (d->idle_ns && loop->now >= d->active + d->idle_ns)
		d->ops->over(d, CLOSE_IDLE_TIMEOUT);
	else
		arm_timer(d);
}

static void forget_peer(struct datagram_peers *peers, struct datagram_peer *peer)
{
	struct datagram *d = caa_container_of(peers, struct datagram, peers);

	d->ops->forget(d, peer);
}

int datagram_open(struct datagram *d, const struct endpoint *local, const struct endpoint *client,
		  struct endpoint *ret_bound)
{
	struct datagram_env *env = d->env;
	struct endpoint address = *local, bound;

	if (!env->domain)
		env->domain = packet_domain_new(BUFFERS);
	if (!env->domain)
		return -ENOMEM;
	address.port = 0;
	int r = packet_kernel_open(env->domain, &address, 0, &d->client.port);
	if (r < 0)
		return r;
	r = packet_kernel_local(d->client.port, &bound);
	d->client.datagram = d;
	if (r == 0)
		watch_side(&d->client);
	if (r == 0 && !d->client.port)
		r = -ENOMEM;
	if (r < 0) {
		packet_close(d->client.port);
		d->client.port = NULL;
		return r;
	}
	d->open = true;
	d->active = env->loop->now;
	task_init(&d->task, read_on);
	timer_init(&d->timer, timer_fired);
	datagram_peers_init(&d->peers, &env->peers, DATAGRAM_PEERS_MAX, forget_peer);
	d->peer = *client;
	if (client->port)
		datagram_fix_client(d, client);
	arm_timer(d);
	*ret_bound = bound;
	return 0;
}

static void close_side(struct datagram *d, struct datagram_side *side)
{
	if (!side->port)
		return;
	loop_forget(d->env->loop, &side->watch);
	packet_close(side->port);
	side->port = NULL;
}

void datagram_close(struct datagram *d)
{
	if (!d->open)
		return;
	d->open = false;
	// Empty but when closed from inside of a pump: the ports of the batch are about to go.
	datagram_flush(d);
	loop_timer_cancel(d->env->loop, &d->timer);
	loop_task_cancel(&d->task);
	close_side(d, &d->client);
	close_side(d, &d->up4);
	close_side(d, &d->up6);
	datagram_peers_release(&d->peers);
}

static bool claims_anything(const struct bucket_claim claims[2])
{
	return (claims[0].bucket && claims[0].rate) || (claims[1].bucket && claims[1].rate);
}

void datagram_limit(struct datagram *d, const struct bucket_claim up[2],
		    const struct bucket_claim down[2])
{
	memcpy(d->claims[DATAGRAM_UP], up, sizeof(d->claims[0]));
	memcpy(d->claims[DATAGRAM_DOWN], down, sizeof(d->claims[0]));
	d->limited[DATAGRAM_UP] = claims_anything(up);
	d->limited[DATAGRAM_DOWN] = claims_anything(down);
}

void datagram_fix_client(struct datagram *d, const struct endpoint *client)
{
	d->peer = *client;
	// The kernel then finds the socket and the way sooner, and keeps foreign ones out.
	d->connected = packet_kernel_connect(d->client.port, client) == 0;
}
