// SPDX-License-Identifier: Apache-2.0
// The proxy's main program.
#include <stdio.h>

int main(void)
{
	puts("sluice " SLUICE_VERSION);
	return 0;
}
