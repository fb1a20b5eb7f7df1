// SPDX-License-Identifier: Apache-2.0
// What a request's outcome is called in the protocols that clients speak.
#pragma once

#include "obs/close_reason.h"
#include "proto/socks/socks.h"

enum socks5_reply outcome_socks5(enum close_reason reason);
enum socks4_reply outcome_socks4(enum close_reason reason);
// The HTTP status (RFC 9110, 15) that tells the client; 200 for CLOSE_NONE.
int outcome_http(enum close_reason reason);
