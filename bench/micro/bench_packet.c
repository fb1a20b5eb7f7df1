// SPDX-License-Identifier: Apache-2.0
// Nanoseconds per datagram that is reframed and sent on loopback: `build/bench/micro/bench_packet [rounds]`.
//
// The question is how the pieces of a run come together: copied into one place, or by an iovec for
// each piece. "strip" leaves a header out of each datagram (towards destinations), "wrap" puts one
// in front (towards clients). The best of many rounds is shown, since whoever else runs only adds.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/packet/packet_kernel.h"
#include "io/packet/packet_kernel_internal.h"

enum { HEADER = 10, REPEAT = 64 };

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void drain(struct packet_port *port)
{
	struct packet packets[PACKET_BURST];
	int n;

	while ((n = packet_rx_burst(port, packets, PACKET_BURST)) > 0)
		for (int i = 0; i < n; i++)
			packet_free(&packets[i]);
}

static double measure(struct packet_port *from, struct packet_port *to,
		      const struct endpoint *address, uint16_t size, unsigned count, bool strip,
		      unsigned rounds)
{
	static const uint8_t header[HEADER] = {0};
	uint64_t best = UINT64_MAX;

	for (unsigned round = 0; round < rounds; round++) {
		uint64_t spent = 0;
		for (unsigned i = 0; i < REPEAT; i++) {
			struct packet p;
			if (packet_alloc(from->domain, &p) < 0)
				exit(1);
			p.segment = strip ? (uint16_t)(size + HEADER) : size;
			p.len = (uint32_t)p.segment * count;
			if (count == 1)
				p.segment = 0;
			p.skip = strip ? HEADER : 0;
			p.prefix = strip ? NULL : header;
			p.prefix_len = strip ? 0 : HEADER;
			p.peer = *address;
			uint64_t begin = cpu_ns();
			packet_tx_burst(from, &p, 1);
			spent += cpu_ns() - begin;
			drain(to);
		}
		if (spent < best)
			best = spent;
	}
	return (double)best / REPEAT / count;
}

int main(int argc, char **argv)
{
	static const uint16_t sizes[] = {16, 64, 128, 192, 256, 384, 512, 768, 1200};
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 300;
	struct packet_domain *domain = packet_domain_new(0);
	struct endpoint any = endpoint_v4(0x7f000001, 0), address;
	struct packet_port *from, *to;

	if (!domain || packet_kernel_open(domain, &any, 0, &from) < 0 ||
	    packet_kernel_open(domain, &any, 0, &to) < 0 || packet_kernel_local(to, &address) < 0)
		return 1;
	printf("%6s %6s %12s %12s %12s %12s\n", "bytes", "burst", "strip copied", "strip iovec",
	       "wrap copied", "wrap iovec");
	for (unsigned b = 0; b < 4; b++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			unsigned burst = b == 0 ? 1 : b == 1 ? 4 : b == 2 ? 16 : 40;
			printf("%6u %6u", sizes[i], burst);
			for (int strip = 1; strip >= 0; strip--)
				for (int copied = 1; copied >= 0; copied--) {
					uint16_t *max = packet_kernel_of(from)->copied_max;
					max[0] = max[1] = copied ? 65535 : 0;
					printf(" %12.1f", measure(from, to, &address, sizes[i],
								  burst, strip, rounds));
				}
			printf("\n");
		}
	packet_close(from);
	packet_close(to);
	packet_domain_free(domain);
	return 0;
}
