// SPDX-License-Identifier: Apache-2.0
// The admin listener.
#include "control/admin.h"

int admin_start(struct control *control)
{
	return 0;
}

void admin_stop(struct control *control)
{
}
