// SPDX-License-Identifier: Apache-2.0
// sluice version: what this program is made of, and what this machine gives it.
#include <ares.h>
#include <crypt.h>
#include <jansson.h>
#include <seccomp.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <xxhash.h>
#include <yaml.h>

#include "bin/command.h"

// Level 3: the filter reaches threads that run already, and can end the process.
static const char *seccomp_found(void)
{
	return seccomp_api_get() >= 3 ? "yes" : "no (sandbox.seccomp: false goes without it)";
}

int version_main(int argc, char **argv)
{
	const struct scmp_version *seccomp = seccomp_version();
	const unsigned xxhash = XXH_versionNumber();
	struct utsname system = {0};

	uname(&system);
	printf("sluice %s\n"
	       "features: http1 connect socks4 socks5 tls-passthrough proxy-protocol splice "
	       "seccomp\n",
	       SLUICE_VERSION);
	printf("libraries: c-ares %s, libyaml %s, jansson %s, libsodium %s, libxcrypt %s, "
	       "liburcu %s, libcap-ng %s, ",
	       ares_version(NULL), yaml_get_version_string(), JANSSON_VERSION,
	       sodium_version_string(), XCRYPT_VERSION_STR, URCU_VERSION, CAPNG_VERSION);
	if (seccomp)
		printf("libseccomp %u.%u.%u, ", seccomp->major, seccomp->minor, seccomp->micro);
	printf("xxhash %u.%u.%u\n", xxhash / 10000, xxhash / 100 % 100, xxhash % 100);
	printf("system: %s %s %s, system call filter: %s\n", system.sysname, system.release,
	       system.machine, seccomp_found());
	return 0;
}
