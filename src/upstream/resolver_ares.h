// SPDX-License-Identifier: Apache-2.0
// The resolver's back end over c-ares: DNS over UDP, and TCP where an answer is truncated.
//
// c-ares' sockets go through io/sys.h and are watched by the loop; nothing blocks. Names are asked
// for as they are; only one without a dot goes through the system's search list, so that what a
// client asks for is never asked of the search domains. Works with c-ares 1.18 and newer; where its
// version can, it uses a fresh port after some queries.
#pragma once

struct loop;
struct resolver_backend;
struct resolver_config;

// Reads the system's configuration (/etc/resolv.conf) where `config` has no servers. `try_ns` and
// `tries` must be set. -ENOMEM, -EINVAL (a server cannot be used), -EIO.
int resolver_ares_new(struct loop *loop, const struct resolver_config *config,
		      struct resolver_backend **ret_backend);
