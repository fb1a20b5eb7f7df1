// SPDX-License-Identifier: Apache-2.0
// Query parameters, plain answers, and who may ask.
#include "control/admin_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/host.h"
#include "snap/settings.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode(struct slice text, char *value, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			if (i + 2 >= text.len)
				return -EINVAL;
			int a = hex_digit(text.data[i + 1]), b = hex_digit(text.data[i + 2]);
			if (a < 0 || b < 0)
				return -EINVAL;
			c = (char)(a * 16 + b);
			i += 2;
		}
		if (c == '\0' || n + 1 >= size)
			return -EINVAL;
		value[n++] = c;
	}
	value[n] = '\0';
	return (int)n;
}

int admin_query(const struct admin_request *request, const char *name, char *value, size_t size)
{
	const char *p = request->query.data, *end = p + request->query.len;
	size_t name_len = strlen(name);

	while (p && p < end) {
		const char *next = memchr(p, '&', (size_t)(end - p));
		const char *stop = next ? next : end;
		if ((size_t)(stop - p) >= name_len && !memcmp(p, name, name_len)) {
			if (p + name_len == stop)
				return decode(slice_make(stop, 0), value, size);
			if (p[name_len] == '=')
				return decode(slice_make(p + name_len + 1,
							 (size_t)(stop - p) - name_len - 1),
					      value, size);
		}
		p = next ? next + 1 : end;
	}
	return -ENOENT;
}

int admin_query_number(const struct admin_request *request, const char *name,
		       unsigned long fallback, unsigned long *ret_number)
{
	char text[24], *end;
	int n = admin_query(request, name, text, sizeof(text));

	if (n == -ENOENT) {
		*ret_number = fallback;
		return 0;
	}
	if (n <= 0 || text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	unsigned long number = strtoul(text, &end, 10);
	if (*end || errno)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

void admin_say(struct admin_reply *reply, unsigned status, const char *text)
{
	reply->status = status;
	reply->type = "text/plain; charset=utf-8";
	text_str(&reply->body, text);
	text_char(&reply->body, '\n');
}

static bool own_name(const struct snap_admin *admin, const struct endpoint *bound,
		     const struct host *host)
{
	if (host->port != bound->port)
		return false;
	if (host->kind == HOST_ADDRESS) {
		if (endpoint_is_unspecified(bound))
			return true; // on all addresses: any address of ours; a name is what rebinding needs
		return endpoint_same_ip(&host->address, bound) ||
		       (endpoint_is_loopback(bound) && endpoint_is_loopback(&host->address));
	}
	if (!strcmp(host->name, "localhost"))
		return true;
	for (uint32_t i = 0; i < admin->host_count; i++)
		if (!strcasecmp(host->name, admin->hosts[i]))
			return true;
	return false;
}

static bool own_authority(const struct snap_admin *admin, const struct endpoint *bound,
			  struct slice text)
{
	struct host host;

	return host_parse(text.data, text.len, 80, &host) == 0 && own_name(admin, bound, &host);
}

const char *admin_guard(const struct snap_admin *admin, const struct endpoint *bound,
			const struct http_head *head)
{
	static const char scheme[] = "http://";
	struct slice origin = http_head_value(head, HTTP_FIELD_ORIGIN);

	if (!own_authority(admin, bound, head->authority))
		return "The Host of this request is not this server's; see admin.hosts.";
	if (http_head_count(head, HTTP_FIELD_ORIGIN) > 1)
		return "More than one Origin.";
	if (http_head_count(head, HTTP_FIELD_ORIGIN) == 1) {
		size_t skip = sizeof(scheme) - 1;
		if (origin.len <= skip || memcmp(origin.data, scheme, skip) != 0 ||
		    !own_authority(admin, bound, slice_make(origin.data + skip, origin.len - skip)))
			return "Requests of other origins are refused.";
	}
	for (const struct http_field *f = head->fields; f < http_head_end(head); f++)
		if (slice_equal_nocase(f->name, SLICE("sec-fetch-site")) &&
		    !slice_equal(f->value, SLICE("same-origin")) &&
		    !slice_equal(f->value, SLICE("none")))
			return "Requests of other sites are refused.";
	return NULL;
}
