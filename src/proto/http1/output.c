// SPDX-License-Identifier: Apache-2.0
// A bounded place to write a message to.
#include "proto/http1/output.h"

#include "base/http_syntax.h"

int http1_output_field_checked(struct http1_output *out, struct slice name, struct slice value)
{
	if (!http_is_token(name) || !http_is_value(value))
		return -EINVAL;
	http1_output_field(out, name, value);
	return 0;
}

void http1_output_number(struct http1_output *out, uint64_t number)
{
	char digits[20];
	char *p = digits + sizeof(digits);
	do {
		*--p = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	http1_output_put(out, slice_make(p, (size_t)(digits + sizeof(digits) - p)));
}
