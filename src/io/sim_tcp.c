// SPDX-License-Identifier: Apache-2.0
// Simulated TCP: sockets, their states, and how connections come about and end.
#include "io/sim_flow.h"

#define SECOND_NS UINT64_C(1000000000)

enum {
	SYN_TRIES = 6,
	FIN_WAIT_S = 60, // of a closed socket whose peer does not end
};

static void timer(struct sim_event *event);
static void room_came(struct sim_event *event);

static void timer_set(struct sim_tcp *tcp, uint64_t at, bool network)
{
	sim_event_cancel(&tcp->timer);
	tcp->timer.network = network;
	sim_event_set(&tcp->timer, at);
}

static struct sim_tcp *tcp_new(int family, enum sim_side side)
{
	struct sim_tcp *tcp = sim_alloc(sizeof(*tcp));

	*tcp = (struct sim_tcp){.family = family, .side = (uint8_t)side, .file.fd = -1};
	CDS_INIT_LIST_HEAD(&tcp->file.items);
	CDS_INIT_LIST_HEAD(&tcp->queue);
	CDS_INIT_LIST_HEAD(&tcp->queue_node);
	tcp->timer = (struct sim_event){.run = timer};
	tcp->room = (struct sim_event){.run = room_came, .network = true};
	cds_list_add_tail(&tcp->node, &sim.sockets);
	return tcp;
}

int sim_tcp_new(int family)
{
	struct sim_tcp *tcp = tcp_new(family, sim.side);

	return sim_install(&tcp->file, SIM_TCP);
}

void sim_set_buffers(int fd, uint32_t send, uint32_t receive)
{
	struct sim_tcp *tcp = tcp_of(sim_file_of(fd, SIM_TCP));

	tcp->sndbuf = send;
	tcp->rcvbuf = receive;
}

/*
 * Addresses.
 */

static bool is_any(const struct endpoint *address)
{
	return endpoint_is_unspecified(address);
}

static bool takes(const struct sim_tcp *tcp, const struct endpoint *to)
{
	if (!tcp->bound || tcp->local.port != to->port)
		return false;
	if (is_any(&tcp->local))
		return tcp->local.family == to->family || (tcp->family == AF_INET6 && !tcp->only6);
	return endpoint_same_ip(&tcp->local, to);
}

int sim_tcp_bind(struct sim_file *file, const struct endpoint *to)
{
	struct sim_tcp *tcp = tcp_of(file), *other;

	if (tcp->bound || tcp->state != TCP_FRESH)
		return -EINVAL;
	tcp->local = *to;
	if (!tcp->local.port)
		tcp->local.port = sim_port();
	cds_list_for_each_entry(other, &sim.sockets, node)
	{
		if (other->file.fd >= 0 && other->state == TCP_LISTENING && other->bound &&
		    endpoint_equal(&other->local, &tcp->local) && !(other->share && tcp->share))
			return -EADDRINUSE;
	}
	tcp->bound = true;
	return 0;
}

int sim_tcp_listen(struct sim_file *file, int backlog)
{
	struct sim_tcp *tcp = tcp_of(file);

	tcp->state = TCP_LISTENING;
	tcp->backlog = (unsigned)backlog;
	return 0;
}

static struct sim_tcp *listener_of(const struct endpoint *to)
{
	struct sim_tcp *tcp, *found = NULL;
	unsigned n = 0;

	// Of several that share the address, any.
	cds_list_for_each_entry(tcp, &sim.sockets, node)
	{
		if (tcp->state == TCP_LISTENING && takes(tcp, to) && sim_upto(n++) == 0)
			found = tcp;
	}
	return found;
}

static void set_option(bool *option, int value)
{
	*option = value != 0;
}

void sim_tcp_option(struct sim_file *file, int level, int name, int value)
{
	struct sim_tcp *tcp = tcp_of(file);

	if (level == SOL_SOCKET && name == SO_REUSEPORT)
		set_option(&tcp->share, value);
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
		set_option(&tcp->only6, value);
}

int sim_tcp_name(struct sim_file *file, bool peer, struct endpoint *ret)
{
	const struct sim_tcp *tcp = tcp_of(file);

	if (peer && tcp->state != TCP_CONNECTED)
		return -ENOTCONN;
	*ret = peer ? tcp->peer : tcp->local;
	if (!peer && !endpoint_is_set(ret))
		*ret = tcp->family == AF_INET6 ? endpoint_v6((uint8_t[16]){0}, 0, 0)
					       : endpoint_v4(0, 0);
	return 0;
}

/*
 * How connections come about.
 */

static void connect_failed(struct sim_tcp *tcp, int error)
{
	tcp->state = TCP_GONE;
	tcp->read_shut = tcp->write_shut = true;
	tcp->error = error;
	sim_wake(&tcp->file, EPOLLERR | EPOLLHUP);
}

// The network's own faults in the life of a connection: a reset at both ends, or one end that hears
// nothing any more.
static void draw_fault(struct sim_tcp *tcp)
{
	const struct sim_faults *faults = &sim.config.faults;

	if (faults->reset && sim_upto(999999) < faults->reset)
		tcp->fault = ECONNRESET;
	else if (faults->timeout && sim_upto(999999) < faults->timeout)
		tcp->fault = ETIMEDOUT;
	if (tcp->fault)
		timer_set(tcp, sim.now + sim_spread(&sim.rng, 1000, 5 * SECOND_NS), false);
}

static void connect_done(struct sim_tcp *tcp, struct sim_tcp *listener)
{
	struct sim_tcp *other = tcp_new(listener->family, (enum sim_side)listener->side);
	uint64_t latency = tcp->out->latency;

	other->sndbuf = listener->sndbuf;
	other->rcvbuf = listener->rcvbuf;
	other->local = tcp->peer;
	other->peer = tcp->local;
	other->bound = true;
	other->accepted = true;
	other->state = tcp->state = TCP_CONNECTED;
	tcp->out = flow_new(tcp, other, latency);
	tcp->in = flow_new(other, tcp, latency);
	other->out = tcp->in;
	other->in = tcp->out;
	tcp->partner = NULL;
	other->listener = listener;
	// Nothing comes before the connection itself does.
	tcp->out->latest = sim.now + latency;
	timer_set(other, sim.now + latency, true);
	sim_wake(&tcp->file, EPOLLOUT);
	draw_fault(tcp);
}

// A connection's third packet is at the listener.
static void enqueue(struct sim_tcp *tcp)
{
	struct sim_tcp *listener = tcp->listener;

	if (tcp->state != TCP_CONNECTED || listener->state != TCP_LISTENING) {
		flow_reset(tcp->out);
		if (tcp->state == TCP_CONNECTED)
			tcp->state = TCP_GONE;
		return;
	}
	cds_list_add_tail(&tcp->queue_node, &listener->queue);
	listener->queued++;
	sim_wake(&listener->file, EPOLLIN);
}

static void syn_arrived(struct sim_tcp *tcp)
{
	struct sim_tcp *listener = listener_of(&tcp->peer);
	const struct sim_faults *faults = &sim.config.faults;

	if (!listener || (faults->refuse && sim_upto(999999) < faults->refuse)) {
		connect_failed(tcp, ECONNREFUSED);
	} else if (listener->queued > listener->backlog) {
		// Dropped without a word, and sent again later.
		if (++tcp->tries > SYN_TRIES)
			connect_failed(tcp, ETIMEDOUT);
		else
			timer_set(tcp, sim.now + (SECOND_NS << tcp->tries) / 2, false);
	} else {
		connect_done(tcp, listener);
	}
}

static void broken_by_network(struct sim_tcp *tcp)
{
	struct sim_tcp *other = tcp->out->to;
	int fault = tcp->fault;

	sim_trace("network: %s",
		  fault == ETIMEDOUT ? "a side hears nothing" : "reset at both ends");
	if (fault == ECONNRESET) {
		tcp_broken(tcp, tcp->done ? EPIPE : ECONNRESET);
		tcp_broken(other, other->done ? EPIPE : ECONNRESET);
	} else {
		tcp_broken(tcp->side == SIM_PROXY ? tcp : other, ETIMEDOUT);
	}
}

static void timer(struct sim_event *event)
{
	struct sim_tcp *tcp = caa_container_of(event, struct sim_tcp, timer);

	if (tcp->listener && cds_list_empty(&tcp->queue_node) && tcp->file.fd < 0 && !tcp->orphan) {
		enqueue(tcp);
	} else if (tcp->state == TCP_CONNECTING) {
		if (tcp->fault)
			connect_failed(tcp, tcp->fault);
		else
			syn_arrived(tcp);
	} else if (tcp->state == TCP_CONNECTED && tcp->orphan) {
		tcp->state = TCP_GONE; // its peer never ended
	} else if (tcp->state == TCP_CONNECTED && tcp->fault) {
		broken_by_network(tcp);
	}
}

static struct endpoint own_address(const struct endpoint *to)
{
	static const uint8_t proxy6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

	// Who talks to itself does so from there.
	if (endpoint_is_loopback(to)) {
		struct endpoint local = *to;
		local.port = sim_port();
		return local;
	}
	return to->family == AF_INET6 ? endpoint_v6(proxy6, sim_port(), 0)
				      : endpoint_v4(0xcb007101, sim_port());
}

static int connect_error(void)
{
	static const int errors[] = {EADDRNOTAVAIL, ENETUNREACH, ENOBUFS,
				     EHOSTUNREACH,  EPERM,       ENOMEM};

	return -errors[sim_upto(5)];
}

int sim_tcp_connect(struct sim_file *file, const struct endpoint *to)
{
	struct sim_tcp *tcp = tcp_of(file);
	enum sim_fate fate = SIM_FATE_HOST;

	if (tcp->state != TCP_FRESH)
		return tcp->state == TCP_CONNECTING ? -EALREADY : -EISCONN;
	if ((tcp->family == AF_INET) != (to->family == AF_INET))
		return -EAFNOSUPPORT;
	if (sim_chance(sim.config.faults.connect))
		return connect_error();
	if (sim.side == SIM_PROXY && sim.config.fate)
		fate = sim.config.fate(to);
	if (fate == SIM_FATE_NO_ROUTE)
		return -ENETUNREACH;
	if (!tcp->bound)
		tcp->local = own_address(to);
	else if (!tcp->local.port)
		tcp->local.port = sim_port();
	tcp->bound = true;
	tcp->peer = *to;
	tcp->state = TCP_CONNECTING;
	uint64_t latency = sim_spread(&sim.rng, sim.config.latency_min, sim.config.latency_max);
	tcp->out = sim_alloc(sizeof(*tcp->out)); // until it stands: the latency
	*tcp->out = (struct sim_flow){.latency = latency, .from = tcp, .over = true};
	tcp->fault = fate == SIM_FATE_SILENT    ? ETIMEDOUT
		     : fate == SIM_FATE_NO_HOST ? EHOSTUNREACH
						: 0;
	timer_set(tcp,
		  sim.now + (fate == SIM_FATE_SILENT    ? 127 * SECOND_NS
			     : fate == SIM_FATE_NO_HOST ? sim_upto(3 * SECOND_NS)
							: latency + latency),
		  fate == SIM_FATE_HOST);
	return -EINPROGRESS;
}

int sim_tcp_accept(struct sim_file *file, struct endpoint *ret_peer)
{
	struct sim_tcp *listener = tcp_of(file);

	if (listener->state != TCP_LISTENING)
		return -EINVAL;
	if (cds_list_empty(&listener->queue))
		return -EAGAIN;
	if (sim_chance(sim.config.faults.accept))
		return sim_shortage();
	struct sim_tcp *tcp = cds_list_first_entry(&listener->queue, struct sim_tcp, queue_node);
	struct sim_file place;
	int fd = sim_install(&place, SIM_TCP);
	if (fd < 0)
		return fd;
	cds_list_del(&tcp->queue_node);
	CDS_INIT_LIST_HEAD(&tcp->queue_node);
	listener->queued--;
	tcp->listener = NULL;
	tcp->file = (struct sim_file){.kind = SIM_TCP, .side = place.side, .fd = fd};
	CDS_INIT_LIST_HEAD(&tcp->file.items);
	sim.files[sim.side][fd] = &tcp->file;
	*ret_peer = tcp->peer;
	return fd;
}

/*
 * How they end.
 */

static void give_up_memory(struct sim_tcp *tcp)
{
	// When neither end can be asked for anything any more.
	struct sim_tcp *other = tcp->out ? tcp->out->to : NULL;

	if (!other || tcp->file.fd >= 0 || other->file.fd >= 0 || tcp->state != TCP_GONE ||
	    other->state != TCP_GONE)
		return;
	flow_free(tcp->out);
	flow_free(tcp->in);
}

void tcp_broken(struct sim_tcp *tcp, int error)
{
	if (tcp->state != TCP_CONNECTED)
		return;
	tcp->state = TCP_GONE;
	tcp->error = error;
	tcp->read_shut = tcp->write_shut = true;
	tcp->out->over = true;
	sim_event_cancel(&tcp->out->arrive);
	tcp->in->over = true;
	sim_event_cancel(&tcp->in->arrive);
	if (error == ETIMEDOUT) {
		// The other end learns of it when it speaks: its bytes meet a closed door.
		tcp->in->over = false;
		if (tcp->in->count)
			sim_event_set(&tcp->in->arrive, tcp->in->segments[tcp->in->first].at);
		tcp->out->over = false;
		tcp->out->count = 0;
		tcp->out->written = tcp->out->sent = tcp->out->arrived;
	}
	sim_wake(&tcp->file, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP);
	give_up_memory(tcp);
}

void tcp_settled(struct sim_tcp *tcp)
{
	const struct sim_flow *out = tcp->out;
	bool said = out->fin_sent && !out->count && out->acked == out->written;

	if (tcp->state != TCP_CONNECTED || !said || !tcp->done)
		return;
	// Both ends are through: TIME_WAIT or closed, which is the same from here.
	tcp->state = TCP_GONE;
	sim_event_cancel(&tcp->timer);
	sim_wake(&tcp->file, EPOLLHUP);
	give_up_memory(tcp);
}

static void close_listener(struct sim_tcp *listener)
{
	while (!cds_list_empty(&listener->queue)) {
		struct sim_tcp *tcp =
			cds_list_first_entry(&listener->queue, struct sim_tcp, queue_node);
		cds_list_del(&tcp->queue_node);
		CDS_INIT_LIST_HEAD(&tcp->queue_node);
		flow_reset(tcp->out);
		tcp->state = TCP_GONE;
	}
	listener->state = TCP_GONE;
}

void sim_tcp_close(struct sim_file *file, bool abort)
{
	struct sim_tcp *tcp = tcp_of(file);

	sim_event_cancel(&tcp->room);
	if (tcp->state == TCP_LISTENING) {
		close_listener(tcp);
		return;
	}
	if (tcp->state == TCP_CONNECTING)
		sim_event_cancel(&tcp->timer);
	if (tcp->state != TCP_CONNECTED) {
		tcp->state = TCP_GONE;
		give_up_memory(tcp);
		return;
	}
	if (abort || flow_available(tcp->in)) {
		flow_reset(tcp->out);
		tcp->state = TCP_GONE;
		give_up_memory(tcp);
		return;
	}
	tcp->orphan = true;
	tcp->write_shut = true;
	tcp->out->fin = true;
	flow_push(tcp->out);
	if (!tcp->fault)
		timer_set(tcp, sim.now + FIN_WAIT_S * SECOND_NS, false);
	tcp_settled(tcp);
}

int sim_tcp_shutdown(struct sim_file *file, int how)
{
	struct sim_tcp *tcp = tcp_of(file);

	if (tcp->state != TCP_CONNECTED)
		return -ENOTCONN;
	if (how != SHUT_WR)
		sim_fail("only the writing end is shut down here");
	if (tcp->write_shut)
		return 0;
	tcp->write_shut = true;
	tcp->out->fin = true;
	flow_push(tcp->out);
	sim_wake(&tcp->file, EPOLLOUT); // and EPOLLHUP, when the other end is shut too
	return 0;
}

/*
 * Reading and writing.
 */

int sim_tcp_error(struct sim_file *file)
{
	int error = tcp_of(file)->error;

	tcp_of(file)->error = 0;
	return error;
}

// As tcp_poll.
uint32_t sim_tcp_ready(struct sim_file *file)
{
	struct sim_tcp *tcp = tcp_of(file);
	uint32_t ready = 0;

	if (tcp->state == TCP_LISTENING)
		return cds_list_empty(&tcp->queue) ? 0 : EPOLLIN;
	if (tcp->state == TCP_CONNECTING)
		return 0;
	if (tcp->state == TCP_GONE || tcp->state == TCP_FRESH ||
	    (tcp->read_shut && tcp->write_shut))
		ready |= EPOLLHUP;
	if (tcp->read_shut)
		ready |= EPOLLIN | EPOLLRDHUP;
	if (tcp->in && flow_available(tcp->in)) {
		ready |= EPOLLIN;
		if (tcp->in->urgent < tcp->in->arrived)
			ready |= EPOLLPRI;
	}
	if (tcp->write_shut || !tcp->out || flow_writable(tcp->out))
		ready |= EPOLLOUT;
	else
		tcp->no_space = true;
	if (tcp->error)
		ready |= EPOLLERR;
	return ready;
}

// What a read gives when there are no bytes.
static ssize_t nothing_to_read(struct sim_tcp *tcp)
{
	if (tcp->done)
		return 0;
	if (tcp->error)
		return -sim_tcp_error(&tcp->file);
	if (tcp->read_shut)
		return 0;
	if (tcp->state == TCP_FRESH || tcp->state == TCP_GONE)
		return -ENOTCONN;
	return -EAGAIN;
}

ssize_t sim_tcp_recv(struct sim_file *file, void *buf, size_t len)
{
	struct sim_tcp *tcp = tcp_of(file);
	struct sim_flow *in = tcp->in;

	if (!len)
		return 0;
	if (in && in->urgent == in->read && flow_available(in)) {
		flow_took(in, 1);
		in->urgent = FLOW_NO_URGENT;
	}
	uint64_t n = in ? flow_available(in) : 0;
	if (n > len)
		n = len;
	// It stops at urgent data, whatever is behind.
	if (n && n > in->urgent - in->read)
		n = in->urgent - in->read;
	if (!n)
		return nothing_to_read(tcp);
	flow_copy(in, buf, n);
	flow_took(in, n);
	return (ssize_t)n;
}

ssize_t sim_tcp_readable(struct sim_file *file)
{
	struct sim_tcp *tcp = tcp_of(file);
	uint64_t n = tcp->in ? flow_available(tcp->in) : 0;

	// splice does not go past urgent data: only recv does.
	if (n && n > tcp->in->urgent - tcp->in->read)
		n = tcp->in->urgent - tcp->in->read;
	return n ? (ssize_t)n : nothing_to_read(tcp);
}

void sim_tcp_take(struct sim_file *file, void *buf, size_t len)
{
	flow_copy(tcp_of(file)->in, buf, len);
	flow_took(tcp_of(file)->in, len);
}

static void room_came(struct sim_event *event)
{
	struct sim_tcp *tcp = caa_container_of(event, struct sim_tcp, room);

	if (tcp->state == TCP_CONNECTED && tcp->no_space && flow_writable(tcp->out)) {
		tcp->no_space = false;
		sim_wake(&tcp->file, EPOLLOUT);
	}
}

static void no_memory_now(struct sim_tcp *tcp)
{
	tcp->no_space = true;
	if (!tcp->room.place)
		sim_event_set(&tcp->room, sim.now + sim_upto(2000000));
}

ssize_t sim_tcp_writable(struct sim_file *file, size_t len)
{
	struct sim_tcp *tcp = tcp_of(file);

	if (tcp->error)
		return -sim_tcp_error(file);
	if (tcp->state == TCP_CONNECTING)
		return -EAGAIN;
	if (tcp->write_shut || tcp->state != TCP_CONNECTED)
		return -EPIPE;
	if (sim_chance(sim.config.faults.send_again)) {
		no_memory_now(tcp);
		return -EAGAIN;
	}
	uint64_t room = flow_room(tcp->out);
	if (room > 1 && sim_chance(sim.config.faults.send_short)) {
		room = 1 + sim_upto(room - 2);
		if (len > room)
			no_memory_now(tcp);
	}
	if (len > room) {
		tcp->no_space = true;
		len = room;
	}
	return len ? (ssize_t)len : -EAGAIN;
}

void sim_tcp_put(struct sim_file *file, const void *data, size_t len)
{
	flow_write(tcp_of(file)->out, data, len);
	flow_push(tcp_of(file)->out);
}

ssize_t sim_tcp_sendv(struct sim_file *file, const struct iovec *iov, int iovcnt)
{
	size_t total = 0;

	for (int i = 0; i < iovcnt; i++)
		total += iov[i].iov_len;
	if (!total)
		return 0;
	ssize_t n = sim_tcp_writable(file, total);
	size_t left = n > 0 ? (size_t)n : 0;
	for (int i = 0; i < iovcnt && left; i++) {
		size_t take = iov[i].iov_len < left ? iov[i].iov_len : left;
		flow_write(tcp_of(file)->out, iov[i].iov_base, take);
		left -= take;
	}
	if (n > 0)
		flow_push(tcp_of(file)->out);
	return n;
}

void sim_send_urgent(int fd, uint8_t byte)
{
	struct sim_file *file = sim_file_of(fd, SIM_TCP);
	struct sim_tcp *tcp = tcp_of(file);

	if (tcp->state != TCP_CONNECTED || tcp->write_shut || !flow_room(tcp->out))
		return;
	// A later one takes the place of an earlier one, which becomes an ordinary byte: so not more
	// than one at a time.
	if (tcp->out->urgent != FLOW_NO_URGENT)
		return;
	tcp->out->urgent = tcp->out->written;
	sim_tcp_put(file, &byte, 1);
}

void sim_counts(int fd, struct sim_counts *ret_counts)
{
	const struct sim_tcp *tcp = tcp_of(sim_file_of(fd, SIM_TCP));

	*ret_counts =
		(struct sim_counts){tcp->out ? tcp->out->written : 0, tcp->in ? tcp->in->read : 0};
}
