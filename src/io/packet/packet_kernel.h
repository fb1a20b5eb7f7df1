// SPDX-License-Identifier: Apache-2.0
// The packet interface over a kernel UDP socket: recvmmsg, sendmmsg, UDP_GRO, UDP_SEGMENT.
#pragma once

#include <stdint.h>

struct endpoint;
struct packet_domain;
struct packet_port;

// Opens a socket bound to `local`: its address may be the wildcard (of IPv4, or IPv6 alone), its port
// 0 for any. `want`: enum packet_want. -EADDRINUSE, -EADDRNOTAVAIL, -EMFILE, -ENFILE, -ENOMEM,
// -EAFNOSUPPORT (a host without IPv6), ...
int packet_kernel_open(struct packet_domain *domain, const struct endpoint *local, unsigned want,
		       struct packet_port **ret_port);
// From now on only `peer` is sent to and heard. What came from others before is still received:
// compare packet.peer. -ENETUNREACH, ...
int packet_kernel_connect(struct packet_port *port, const struct endpoint *peer);
// The address that it is bound to.
int packet_kernel_local(const struct packet_port *port, struct endpoint *ret_local);
