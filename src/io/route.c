// SPDX-License-Identifier: Apache-2.0
// Asking the kernel for a route by a connected UDP socket.
#include "io/route.h"

#include "base/addr.h"
#include "io/sys.h"

int route_local(const struct endpoint *to, struct endpoint *ret_local)
{
	struct endpoint target = *to, local;
	struct sockaddr_storage addr;

	if (!target.port)
		target.port = 9; // no matter which, but 0 is refused
	socklen_t len = endpoint_to_sockaddr(&target, &addr);
	int fd = sys_socket(target.family, SOCK_DGRAM);
	if (fd < 0)
		return fd;
	int r = sys_connect(fd, (struct sockaddr *)&addr, len);
	if (r == 0)
		r = sys_getsockname(fd, &addr);
	if (r == 0)
		r = endpoint_from_sockaddr((struct sockaddr *)&addr, sizeof(addr), &local);
	sys_close(fd);
	if (r < 0)
		return r;
	local.port = 0;
	*ret_local = local;
	return 0;
}
