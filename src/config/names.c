// SPDX-License-Identifier: Apache-2.0
// What names of things may look like, for the configuration and for users files.
#include "config/names.h"

#include <string.h>

#include "snap/user.h"

#define NAME_LEN_MAX 64

bool config_name_is_valid(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
		      (name[i] >= '0' && name[i] <= '9') || name[i] == '.' || name[i] == '_' ||
		      name[i] == '-'))
			return false;
	return len >= 1 && len <= NAME_LEN_MAX;
}

// Length of the UTF-8 sequence (RFC 3629) at `s`, or 0.
static size_t sequence(const unsigned char *s, size_t len)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	if (s[0] >= 0x80 && (s[0] < 0xc2 || s[0] > 0xf4 || n > len))
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0; // overlong, surrogate, beyond Unicode
	return n;
}

bool config_text_is_printable(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;

	for (size_t i = 0, n; i < len; i += n) {
		n = sequence(s + i, len - i);
		// U+0080 to U+009F are controls too.
		if (!n || s[i] < 0x20 || s[i] == 0x7f || (s[i] == 0xc2 && s[i + 1] < 0xa0))
			return false;
	}
	return true;
}

const char *config_user_name_check(const char *name, size_t len)
{
	if (!len || len > SNAP_USER_NAME_MAX)
		return "a user name of 1 to 255 bytes";
	if (!config_text_is_printable(name, len) || memchr(name, ' ', len))
		return "a user name in UTF-8 without blanks and control characters";
	if (memchr(name, ':', len) || memchr(name, ',', len))
		return "a user name without colon and comma";
	if (*name == '#' || *name == '*')
		return "a user name that does not begin with # or *";
	return NULL;
}
