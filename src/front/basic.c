// SPDX-License-Identifier: Apache-2.0
// Basic credentials: scheme, Base64, colon.
#include "front/basic.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

int basic_parse(struct slice credentials, struct basic *ret_basic)
{
	static const char scheme[] = "basic ";
	size_t skip = sizeof(scheme) - 1, len;
	const char *end;

	if (credentials.len <= skip ||
	    !slice_equal_nocase(slice_make(credentials.data, skip), SLICE("basic ")))
		return -EINVAL;
	while (skip < credentials.len && credentials.data[skip] == ' ')
		skip++;
	const char *text = credentials.data + skip;
	size_t text_len = credentials.len - skip;
	int variant = text_len && text[text_len - 1] == '='
			      ? sodium_base64_VARIANT_ORIGINAL
			      : sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
	if (text_len % 4 == 0)
		variant = sodium_base64_VARIANT_ORIGINAL;
	if (sodium_base642bin((unsigned char *)ret_basic->text, sizeof(ret_basic->text), text,
			      text_len, NULL, &len, &end, variant) != 0 ||
	    end != text + text_len)
		goto bad;
	const char *colon = memchr(ret_basic->text, ':', len);
	if (!colon)
		goto bad;
	ret_basic->user = ret_basic->text;
	ret_basic->user_len = (size_t)(colon - ret_basic->text);
	ret_basic->password = colon + 1;
	ret_basic->password_len = len - ret_basic->user_len - 1;
	return 0;
bad:
	basic_wipe(ret_basic);
	return -EINVAL;
}

void basic_wipe(struct basic *basic)
{
	sodium_memzero(basic, sizeof(*basic));
}
