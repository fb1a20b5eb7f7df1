// SPDX-License-Identifier: Apache-2.0
// Readiness on the simulated network: epoll instances (also inside each other) and eventfds.
#include "io/sim_internal.h"
#include "io/sys.h"

struct poll {
	struct sim_file file; // first
	struct cds_list_head ready;
};

// One descriptor in one epoll set.
struct item {
	struct cds_list_head by_file;
	struct cds_list_head by_ready; // empty: not among the ready ones
	struct sim_file *file;
	struct poll *poll;
	uint32_t events;
	void *ptr;
};

struct wake {
	struct sim_file file; // first
	uint64_t count;
};

static struct poll *poll_of(struct sim_file *file)
{
	return caa_container_of(file, struct poll, file);
}

uint32_t sim_file_ready(struct sim_file *file)
{
	switch ((enum sim_kind)file->kind) {
	case SIM_TCP:
		return sim_tcp_ready(file);
	case SIM_UDP:
		return sim_udp_ready(file);
	case SIM_PIPE_IN:
	case SIM_PIPE_OUT:
		return sim_pipe_ready(file);
	case SIM_POLL:
		return sim_poll_ready(file);
	case SIM_WAKE:
		return sim_wake_ready(file);
	}
	return 0;
}

static uint32_t item_ready(struct item *item)
{
	return sim_file_ready(item->file) & (item->events | EPOLLERR | EPOLLHUP);
}

static void mark(struct item *item)
{
	if (cds_list_empty(&item->by_ready))
		cds_list_add_tail(&item->by_ready, &item->poll->ready);
	// An epoll instance that is watched wakes its watcher each time.
	sim_wake(&item->poll->file, EPOLLIN);
}

void sim_wake(struct sim_file *file, uint32_t events)
{
	struct item *item;

	cds_list_for_each_entry(item, &file->items, by_file)
	{
		if (events & (item->events | EPOLLERR | EPOLLHUP))
			mark(item);
	}
	if (file->notify && !file->notify_event.place)
		sim_event_set(&file->notify_event, sim.now + sim_upto(20000));
}

static void item_free(struct item *item)
{
	cds_list_del(&item->by_file);
	cds_list_del(&item->by_ready);
	sim_ring_free(item, 128);
}

void sim_unpoll(struct sim_file *file)
{
	while (!cds_list_empty(&file->items))
		item_free(cds_list_first_entry(&file->items, struct item, by_file));
}

uint32_t sim_poll_ready(struct sim_file *file)
{
	struct item *item, *next;

	cds_list_for_each_entry_safe(item, next, &poll_of(file)->ready, by_ready)
	{
		if (item_ready(item))
			return EPOLLIN;
		cds_list_del(&item->by_ready);
		CDS_INIT_LIST_HEAD(&item->by_ready);
	}
	return 0;
}

void sim_poll_close(struct sim_file *file)
{
	// Its items stay on the lists of what it watched, which only the proxy's end sees closed.
	for (int fd = 0; fd < SIM_FDS; fd++) {
		struct sim_file *other = sim.files[file->side][fd];
		struct item *item, *next;
		if (!other)
			continue;
		cds_list_for_each_entry_safe(item, next, &other->items, by_file)
		{
			if (item->poll == poll_of(file))
				item_free(item);
		}
	}
}

static struct item *find(struct poll *poll, struct sim_file *file)
{
	struct item *item;

	cds_list_for_each_entry(item, &file->items, by_file)
	{
		if (item->poll == poll)
			return item;
	}
	return NULL;
}

int sys_poll_create(void)
{
	struct poll *poll = sim_alloc(sizeof(*poll));

	sim_call();
	int fd = sim_chance(sim.config.faults.socket) ? sim_shortage()
						      : sim_install(&poll->file, SIM_POLL);
	CDS_INIT_LIST_HEAD(&poll->ready);
	sim_result("epoll_create", -1, fd);
	return fd;
}

int sys_poll_add(int pollfd, int fd, uint32_t events, void *ptr)
{
	sim_call();
	struct poll *poll = poll_of(sim_file_of(pollfd, SIM_POLL));
	struct sim_file *file = sim_file(fd);
	int r = 0;

	_Static_assert(sizeof(struct item) <= 128, "an item's place");
	if (find(poll, file))
		r = -EEXIST;
	else if (sim_chance(sim.config.faults.poll_add))
		r = sim_upto(1) ? -ENOMEM : -ENOSPC;
	if (r == 0) {
		struct item *item = sim_ring_alloc(128);
		*item = (struct item){.file = file, .poll = poll, .events = events, .ptr = ptr};
		cds_list_add_tail(&item->by_file, &file->items);
		CDS_INIT_LIST_HEAD(&item->by_ready);
		if (item_ready(item))
			mark(item);
	}
	sim_result("epoll_add", fd, r);
	return r;
}

int sys_poll_mod(int pollfd, int fd, uint32_t events, void *ptr)
{
	sim_call();
	struct item *item = find(poll_of(sim_file_of(pollfd, SIM_POLL)), sim_file(fd));

	if (!item)
		return -ENOENT;
	item->events = events;
	item->ptr = ptr;
	if (item_ready(item))
		mark(item);
	sim_result("epoll_mod", fd, 0);
	return 0;
}

int sys_poll_del(int pollfd, int fd)
{
	sim_call();
	struct item *item = find(poll_of(sim_file_of(pollfd, SIM_POLL)), sim_file(fd));

	if (item)
		item_free(item);
	sim_result("epoll_del", fd, item ? 0 : -ENOENT);
	return item ? 0 : -ENOENT;
}

static void shuffle(struct epoll_event *events, int n)
{
	for (int i = n - 1; i > 0; i--) {
		int j = (int)sim_upto((uint64_t)i);
		struct epoll_event kept = events[i];
		events[i] = events[j];
		events[j] = kept;
	}
}

static int collect(struct poll *poll, struct epoll_event *events, int max)
{
	struct cds_list_head list, again;
	int n = 0;

	CDS_INIT_LIST_HEAD(&list);
	CDS_INIT_LIST_HEAD(&again);
	cds_list_splice(&poll->ready, &list);
	CDS_INIT_LIST_HEAD(&poll->ready);
	while (n < max && !cds_list_empty(&list)) {
		struct item *item = cds_list_first_entry(&list, struct item, by_ready);
		uint32_t ready = item_ready(item);
		cds_list_del(&item->by_ready);
		CDS_INIT_LIST_HEAD(&item->by_ready);
		if (!ready)
			continue;
		events[n++] = (struct epoll_event){.events = ready, .data.ptr = item->ptr};
		if (!(item->events & EPOLLET))
			cds_list_add_tail(&item->by_ready, &again);
	}
	// What did not fit comes first the next time, the level-triggered ones last.
	cds_list_splice(&again, &poll->ready);
	cds_list_splice(&list, &poll->ready);
	if (sim.config.shuffle)
		shuffle(events, n);
	for (int i = 0; i < n; i++)
		sim_result("  event", (int)events[i].events, n);
	return n;
}

int sys_poll_wait(int pollfd, struct epoll_event *events, int max, uint64_t timeout_ns)
{
	sim_call();
	struct poll *poll = poll_of(sim_file_of(pollfd, SIM_POLL));
	uint64_t until = timeout_ns > UINT64_MAX - sim.now ? UINT64_MAX : sim.now + timeout_ns;
	int n = collect(poll, events, max);

	if (n || !timeout_ns || sim_chance(sim.config.faults.late))
		return n;
	while (n == 0) {
		uint64_t next = sim.heap_count ? sim.heap[0]->at : UINT64_MAX;
		uint64_t at = next < until ? next : until;
		if (at > sim.now && sim.on_the_way == 0 && sim.config.quiet)
			sim.config.quiet(at);
		if (!sim_run_one(until)) {
			if (until == UINT64_MAX)
				sim_fail("the proxy waits for ever and nothing will happen");
			sim.now = until;
			break;
		}
		n = collect(poll, events, max);
	}
	// It does not run at once.
	sim.now += sim_upto(20000);
	if (sim_chance(sim.config.faults.late))
		sim.now += sim_upto(20000000);
	sim_result("epoll_wait", pollfd, n);
	return n;
}

int sys_wake_create(void)
{
	struct wake *wake = sim_alloc(sizeof(*wake));

	sim_call();
	int fd = sim_chance(sim.config.faults.socket) ? sim_shortage()
						      : sim_install(&wake->file, SIM_WAKE);
	wake->count = 0;
	return fd;
}

uint32_t sim_wake_ready(struct sim_file *file)
{
	return caa_container_of(file, struct wake, file)->count ? EPOLLIN : 0;
}

void sys_wake_any(int fd)
{
	// Peers post to the proxy's loop as another thread would.
	enum sim_side before = sim_enter(SIM_PROXY);
	struct sim_file *file = sim_file_of(fd, SIM_WAKE);

	sim_enter(before);
	caa_container_of(file, struct wake, file)->count++;
	sim_wake(file, EPOLLIN);
}

void sys_wake_clear(int fd)
{
	sim_call();
	caa_container_of(sim_file_of(fd, SIM_WAKE), struct wake, file)->count = 0;
}
