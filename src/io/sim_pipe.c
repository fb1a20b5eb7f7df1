// SPDX-License-Identifier: Apache-2.0
// Simulated pipes: slots of at most a page, and splice between them and TCP sockets.
#include "io/sim_internal.h"

enum { PAGE = 4096, PIPE_DEFAULT = 65536 };

struct pipe {
	struct sim_file out, in; // read end, write end
	uint8_t *ring;
	uint32_t size, slots;
	uint64_t taken, given;
	uint32_t used;    // slots
	uint32_t *filled; // bytes of each used slot, a ring
	uint32_t first;
};

static struct pipe *pipe_of(struct sim_file *file)
{
	return file->kind == SIM_PIPE_OUT ? caa_container_of(file, struct pipe, out)
					  : caa_container_of(file, struct pipe, in);
}

static size_t power_of_two(size_t n)
{
	size_t size = PAGE;

	while (size < n)
		size *= 2;
	return size;
}

int sim_pipe_new(int ret_fds[2], size_t size, size_t *ret_size)
{
	struct pipe *pipe = sim_alloc(sizeof(*pipe));

	*pipe = (struct pipe){0};
	int out = sim_install(&pipe->out, SIM_PIPE_OUT);
	if (out < 0)
		return out;
	int in = sim_install(&pipe->in, SIM_PIPE_IN);
	if (in < 0) {
		sim_uninstall(&pipe->out);
		return in;
	}
	size = sim_chance(sim.config.faults.pipe_size) ? (sim_upto(1) ? PIPE_DEFAULT : PAGE)
						       : power_of_two(size);
	pipe->size = (uint32_t)size;
	pipe->slots = (uint32_t)(size / PAGE);
	pipe->ring = sim_ring_alloc(size);
	pipe->filled = sim_ring_alloc(power_of_two(pipe->slots * sizeof(uint32_t)));
	ret_fds[0] = out;
	ret_fds[1] = in;
	*ret_size = size;
	return 0;
}

void sim_pipe_close(struct sim_file *file)
{
	struct pipe *pipe = pipe_of(file);

	// This end is closed already, as far as its descriptor goes.
	if (pipe->in.fd >= 0 || pipe->out.fd >= 0)
		return;
	sim_ring_free(pipe->ring, pipe->size);
	sim_ring_free(pipe->filled, power_of_two(pipe->slots * sizeof(uint32_t)));
}

uint32_t sim_pipe_ready(struct sim_file *file)
{
	const struct pipe *pipe = pipe_of(file);

	if (file->kind == SIM_PIPE_OUT)
		return pipe->used ? EPOLLIN : 0;
	return pipe->used < pipe->slots ? EPOLLOUT : 0;
}

static size_t until_wrap(const struct pipe *pipe, uint64_t position, size_t len)
{
	size_t left = pipe->size - (position & (pipe->size - 1));

	return len < left ? len : left;
}

static ssize_t fill(struct pipe *pipe, struct sim_file *in, size_t len)
{
	ssize_t available = sim_tcp_readable(in);
	size_t moved = 0;

	if (available <= 0)
		return available;
	if (pipe->used == pipe->slots)
		return -EAGAIN;
	if (sim_chance(sim.config.faults.splice_memory))
		return -ENOMEM;
	if ((size_t)available < len)
		len = (size_t)available;
	while (moved < len && pipe->used < pipe->slots) {
		size_t most = 1 + sim_upto((sim.config.slot_max ? sim.config.slot_max : PAGE) - 1);
		size_t n = len - moved < most ? len - moved : most;
		pipe->filled[(pipe->first + pipe->used++) % pipe->slots] = (uint32_t)n;
		for (size_t left = n; left;) {
			size_t part = until_wrap(pipe, pipe->given, left);
			sim_tcp_take(in, pipe->ring + (pipe->given & (pipe->size - 1)), part);
			pipe->given += part;
			left -= part;
		}
		moved += n;
		if (sim_chance(sim.config.faults.splice_short))
			break;
	}
	return (ssize_t)moved;
}

static ssize_t empty(struct pipe *pipe, struct sim_file *out, size_t len)
{
	uint64_t held = pipe->given - pipe->taken;
	size_t moved = 0;

	if (!held)
		return pipe->in.fd < 0 ? 0 : -EAGAIN;
	if (len > held)
		len = held;
	if (len > 1 && sim_chance(sim.config.faults.splice_short))
		len = 1 + sim_upto(len - 1);
	ssize_t n = sim_tcp_writable(out, len);
	if (n <= 0)
		return n;
	while (moved < (size_t)n) {
		uint32_t *slot = &pipe->filled[pipe->first];
		size_t part = (size_t)n - moved < *slot ? (size_t)n - moved : *slot;
		part = until_wrap(pipe, pipe->taken, part);
		sim_tcp_put(out, pipe->ring + (pipe->taken & (pipe->size - 1)), part);
		pipe->taken += part;
		*slot -= (uint32_t)part;
		moved += part;
		if (!*slot) {
			pipe->first = (pipe->first + 1) % pipe->slots;
			pipe->used--;
		}
	}
	return n;
}

ssize_t sim_splice(struct sim_file *in, struct sim_file *out, size_t len)
{
	if (in->kind == SIM_TCP && out->kind == SIM_PIPE_IN)
		return fill(pipe_of(out), in, len);
	if (in->kind == SIM_PIPE_OUT && out->kind == SIM_TCP)
		return empty(pipe_of(in), out, len);
	sim_fail("splice between descriptors of these kinds");
}
