// SPDX-License-Identifier: Apache-2.0
// sluice version: what this program is made of.
#include <ares.h>
#include <crypt.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <yaml.h>

#include "bin/command.h"

int version_main(int argc, char **argv)
{
	printf("sluice %s\n"
	       "features: http1 connect socks4 socks5 tls-passthrough proxy-protocol splice "
	       "seccomp\n"
	       "libraries: c-ares %s, libyaml %s, jansson %s, libsodium %s, libxcrypt %s\n",
	       SLUICE_VERSION, ares_version(NULL), yaml_get_version_string(), JANSSON_VERSION,
	       sodium_version_string(), XCRYPT_VERSION_STR);
	return 0;
}
