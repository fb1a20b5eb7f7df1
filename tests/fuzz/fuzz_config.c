// SPDX-License-Identifier: Apache-2.0
// Configurations of any text: what loads can be decided by and dumped, and the dump is JSON of bounded
// size; what does not load has an error.
#include <jansson.h>
#include <string.h>

#include "config/config.h"
#include "fuzz_target.h"
#include "policy/acl.h"
#include "snap/snap.h"

static void decide(const struct snap *s)
{
	struct host host = {0};
	struct endpoint address = endpoint_v4(0x7f000001, 443);

	if (host_parse("a.example.com:443", 17, 0, &host) < 0)
		return;
	for (uint32_t i = 0; i < s->listener_count; i++) {
		struct acl_query q = {.listener = &s->listeners[i],
				      .user = s->user_count ? &s->users[0] : NULL,
				      .host = &host,
				      .source = address,
				      .protocol = SNAP_PROTO_CONNECT,
				      .wall_seconds = 1700000000};
		struct acl_verdict v;

		acl_decide(s, &q, &v);
		q.address = &address;
		acl_decide(s, &q, &v);
		fuzz_require(v.result != ACL_NEEDS_ADDRESS);
		snap_route_find(s, q.listener, SNAP_ROUTE_TLS, "a.b", 3, NULL, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	// What stands behind a NUL is a variable of the environment.
	const uint8_t *nul = memchr(data, 0, size);
	char variable[300] = "SLUICE_";
	const char *environment[] = {variable, NULL};
	struct config_source source = {.text = (const char *)data,
				       .text_len = nul ? (size_t)(nul - data) : size,
				       .wall_ns = INT64_C(1700000000000000000)};
	struct config_errors errors;
	struct snap *s = NULL;
	int r;

	if (nul) {
		size_t len = size - (size_t)(nul + 1 - data);

		if (len > sizeof(variable) - 8)
			len = sizeof(variable) - 8;
		memcpy(variable + 7, nul + 1, len);
		source.environment = environment;
	}
	config_errors_init(&errors);
	r = config_load(&source, &errors, &s);
	if (r == 0) {
		json_t *json = json_loads(config_dump(s), 0, NULL);

		fuzz_require(json != NULL && errors.error_count == 0);
		json_decref(json);
		decide(s);
	} else {
		fuzz_require(errors.error_count > 0 && s == NULL);
	}
	snap_free(s);
	config_errors_release(&errors);
	return 0;
}
