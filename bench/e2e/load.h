// SPDX-License-Identifier: Apache-2.0
// The frame of the load generator: options, the two ends, the measured window.
#pragma once

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hist.h"

// How the client reaches the server.
enum via {
	VIA_TCP,     // a plain connection: direct, or through a proxy that has a fixed target
	VIA_SOCKS5,  // SOCKS5 CONNECT, or UDP ASSOCIATE in the udp workload
	VIA_CONNECT, // HTTP CONNECT
	VIA_FORWARD, // absolute-form requests (http workload only)
};

// Which end sends in bulk and paced.
enum direction { DIR_UP = 1, DIR_DOWN = 2, DIR_BOTH = 3 };

struct options {
	const char *workload;
	enum via via;
	enum direction dir;
	struct sockaddr_in proxy;   // where the client connects to
	struct sockaddr_in backend; // where the server listens
	const char *congestion;     // congestion control of both ends; "": the system's
	pid_t pid;                  // root process of the proxy, 0: none is measured
	int ends_cpu;               // pin both ends to this CPU, -1: not pinned
	unsigned streams;           // connections, tunnels or flows
	unsigned size;              // bytes of a piece, message, reply or datagram
	unsigned interval_us;       // paced: time between the pieces of one stream
	unsigned burst;             // udp: datagrams in one GSO send, 1: none
	unsigned window;            // udp: datagrams under way in one flow
	unsigned send_burn_us;      // bulk: CPU that the sender burns per 64 KiB
	unsigned recv_burn_us;      // bulk: CPU that the receiver burns per 64 KiB
	unsigned send_mbit;         // bulk: rate of the sender over all streams, 0: unlimited
	unsigned recv_mbit;         // bulk: rate of the receiver over all streams, 0: unlimited
	unsigned keepalive;         // http: 0: a connection for each request
	unsigned warmup_ms;
	unsigned measure_ms;
	unsigned limit_s; // the whole program ends by SIGALRM after so long
	uint64_t max_bytes;
	uint64_t max_ops;
};

// One of the two ends. Its counters are written by its own thread only and read by the main one.
struct end {
	struct run *run;
	pthread_t thread;
	int (*body)(struct end *);
	int result;
	atomic_bool ready;
	atomic_bool done;
	_Atomic uint64_t bytes_atomic;
	_Atomic uint64_t ops_atomic;
	_Atomic uint64_t errors_atomic;
	struct hist hist; // nanoseconds; recorded only while run_measuring()
};

struct run {
	const struct options *opt;
	atomic_bool measuring;
	atomic_bool stopping;
	struct end client;
	struct end server;
	uint64_t memory_before; // idle: bytes of the proxy before and after the tunnels were opened
	uint64_t memory_after;
	uint64_t tunnels;
};

// A workload is two thread bodies. Each sets its end ready when it has started, returns when
// run_stopping() (or with a negative errno), and must look at it at least every 50 ms.
struct workload {
	const char *name;
	const char *help;
	int (*server)(struct end *);
	int (*client)(struct end *);
};

extern const struct workload workloads[];

int bulk_server(struct end *end);
int bulk_client(struct end *end);
int paced_server(struct end *end);
int paced_client(struct end *end);
int echo_server(struct end *end);
int pingpong_client(struct end *end);
int churn_server(struct end *end);
int churn_client(struct end *end);
int http_server(struct end *end);
int http_client(struct end *end);
int ttfb_client(struct end *end);
int udp_server(struct end *end);
int udp_client(struct end *end);
int idle_client(struct end *end);

// Parses argv. Exits with a message on a wrong one.
void options_parse(struct options *opt, int argc, char **argv);

static inline bool run_measuring(const struct end *end)
{
	return atomic_load_explicit(&end->run->measuring, memory_order_relaxed);
}

static inline bool run_stopping(const struct end *end)
{
	return atomic_load_explicit(&end->run->stopping, memory_order_relaxed);
}

static inline void count_add(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, old + n, memory_order_relaxed);
}

// Monotonic nanoseconds.
uint64_t now_ns(void);
// Keeps the CPU busy for so long.
void burn_ns(uint64_t ns);
// Sleeps until a monotonic instant.
void sleep_until_ns(uint64_t when);
