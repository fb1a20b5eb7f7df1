// SPDX-License-Identifier: Apache-2.0
// SOCKS BIND.
#include "front/socks.h"

void socks_bind_begin(struct socks *socks)
{
	socks_reply(socks, CLOSE_SOCKS_UNSUPPORTED, 0);
}
