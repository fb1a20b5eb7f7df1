// SPDX-License-Identifier: Apache-2.0
// Responses: the verdict does not depend on the cuts, and what is written anew means the same.
//
// The first byte is the method of the request.
#include "../support/http1_fuzz.h"

#include "fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_field fields[CHECK_FIELDS];
	struct http_head head;
	struct http1_parser parser;

	if (size == 0)
		return 0;
	enum http_method method = (enum http_method)(data[0] % HTTP_METHODS);
	const char *input = (const char *)data + 1;
	size--;
	fuzz_same_however_cut(CHECK_RESPONSE, method, input, size);
	http_head_init(&head, fields, CHECK_FIELDS);
	http1_parser_init_response(&parser, &head, &check_limits, method);
	if (http1_parser_feed(&parser, input, size) < 0)
		return 0;
	fuzz_head_is_clean(&head);
	const struct http1_write_options options = {.framing = parser.framing,
						    .upgrade = parser.framing.upgrade};
	fuzz_written_means_the_same(&head, method, &options);
	return 0;
}
