// SPDX-License-Identifier: Apache-2.0
// By which of our addresses another is reached, as the kernel's routes say now.
#pragma once

struct endpoint;

// `ret_local` gets the address (its port is 0) that a connection to `to` would have. Nothing is sent.
// -ENETUNREACH, -EHOSTUNREACH: there is no way; -EMFILE, -EACCES, ... Any thread.
int route_local(const struct endpoint *to, struct endpoint *ret_local);
