// SPDX-License-Identifier: Apache-2.0
// Requests: the verdict does not depend on the cuts, and what is written anew means the same.
#include "../support/http1_fuzz.h"

#include "fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_field fields[CHECK_FIELDS];
	struct http_head head;
	struct http1_parser parser;
	const char *input = (const char *)data;

	fuzz_same_however_cut(CHECK_REQUEST, HTTP_METHOD_OTHER, input, size);
	http_head_init(&head, fields, CHECK_FIELDS);
	http1_parser_init_request(&parser, &head, &check_limits);
	if (http1_parser_feed(&parser, input, size) < 0)
		return 0;
	fuzz_head_is_clean(&head);
	fuzz_require(head.method_name.len > 0 &&
		     (head.path.len > 0 || head.method == HTTP_METHOD_CONNECT));
	fuzz_require(head.authority.len > 0 || head.version == HTTP_VERSION_1_0);
	struct http1_write_options options = {.framing = parser.framing,
					      .upgrade = parser.framing.upgrade};
	if (head.method == HTTP_METHOD_CONNECT)
		options.target_form = HTTP_TARGET_AUTHORITY;
	fuzz_written_means_the_same(&head, HTTP_METHOD_OTHER, &options);
	if (head.method != HTTP_METHOD_CONNECT) {
		options.target_form = HTTP_TARGET_ABSOLUTE;
		fuzz_written_means_the_same(&head, HTTP_METHOD_OTHER, &options);
	}
	return 0;
}
