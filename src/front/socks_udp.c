// SPDX-License-Identifier: Apache-2.0
// SOCKS5 UDP ASSOCIATE.
#include "front/socks.h"

void socks_udp_begin(struct socks *socks)
{
	socks_reply(socks, CLOSE_SOCKS_UNSUPPORTED, 0);
}
