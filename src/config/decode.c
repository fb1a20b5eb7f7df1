// SPDX-License-Identifier: Apache-2.0
// Decodes single values of the configuration by their type in the schema.
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "config/build.h"
#include "config/errors.h"
#include "config/hash_text.h"
#include "config/names.h"
#include "config/node.h"
#include "config/schema.h"
#include "config/zoneinfo.h"

// One value on its way from node to field.
struct value {
	struct config_build *b;
	const struct schema_key *key;
	const struct config_node *node;
	const char *text;
	size_t len;
	void *to;
};

__attribute__((format(printf, 2, 3))) static int wrong(const struct value *v, const char *format,
						       ...)
{
	char expected[400], found[NODE_FOUND_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(expected, sizeof(expected), format, args);
	va_end(args);
	if (schema_is_secret(v->key->type))
		return node_error(v->node, v->b->errors, "expected %s", expected);
	return node_error(v->node, v->b->errors, "found %s; expected %s",
			  node_found(v->node, found), expected);
}

// The words that are allowed, as text.
static const char *list_words(const struct schema_word *words, char *ret_text, size_t size)
{
	size_t used = 0;

	ret_text[0] = '\0';
	for (const struct schema_word *w = words; w->word && used < size; w++)
		used += (size_t)snprintf(ret_text + used, size - used, "%s%s", used ? ", " : "",
					 w->word);
	return ret_text;
}

static const char *next_word(void *state, size_t i)
{
	return ((const struct schema_word *)state)[i].word;
}

static const struct schema_word *find_word(const struct value *v)
{
	for (const struct schema_word *w = v->key->words; w && w->word; w++)
		if (strlen(w->word) == v->len && memcmp(w->word, v->text, v->len) == 0)
			return w;
	return NULL;
}

static int wrong_word(const struct value *v)
{
	char words[200];
	const char *near = schema_nearest(v->text, next_word, (void *)(uintptr_t)v->key->words);

	list_words(v->key->words, words, sizeof(words));
	if (near)
		return wrong(v, "one of %s. Did you mean %s?", words, near);
	return wrong(v, "one of %s", words);
}

static int decode_bool(const struct value *v)
{
	bool yes = v->len == 4 && memcmp(v->text, "true", 4) == 0;

	if (!v->node->plain || (!yes && !(v->len == 5 && memcmp(v->text, "false", 5) == 0)))
		return wrong(v, "true or false (without quotes)");
	*(bool *)v->to = yes;
	return 0;
}

static int decode_int(const struct value *v)
{
	const struct schema_word *w = find_word(v);
	const char *also = v->key->words ? v->key->words->word : NULL;
	uint64_t n = 0;

	if (w) {
		*(uint32_t *)v->to = w->value;
		return 0;
	}
	for (size_t i = 0; i < v->len; i++) {
		if (v->text[i] < '0' || v->text[i] > '9' || v->len > 10)
			return wrong(v, "a whole number%s%s", also ? " or " : "", also ? also : "");
		n = n * 10 + (uint64_t)(v->text[i] - '0');
	}
	// A word stands for 0, so that 0 itself means nothing there.
	if (!v->len || n < v->key->min || n > v->key->max || (also && n == 0))
		return wrong(v, "a whole number from %llu to %llu%s%s",
			     (unsigned long long)(also && !v->key->min ? 1 : v->key->min),
			     (unsigned long long)v->key->max, also ? ", or " : "",
			     also ? also : "");
	*(uint32_t *)v->to = (uint32_t)n;
	return 0;
}

// The three kinds of quantity differ in how their text is read and shown.
struct quantity {
	int (*parse)(const char *s, size_t len, uint64_t *ret);
	char *(*format)(uint64_t n, char *ret_text);
	const char *form;
};

static int decode_quantity(const struct value *v, const struct quantity *q)
{
	char low[UNITS_TEXT], high[UNITS_TEXT];
	uint64_t n;
	int r = q->parse(v->text, v->len, &n);
	uint64_t max = v->key->max;

	if (v->key->size == sizeof(uint32_t) && max > UINT32_MAX)
		max = UINT32_MAX;
	if (r == -EINVAL)
		return wrong(v, "%s", q->form);
	if (r == 0 && n >= v->key->min && n <= max) {
		if (v->key->size == sizeof(uint32_t))
			*(uint32_t *)v->to = (uint32_t)n;
		else
			*(uint64_t *)v->to = n;
		return 0;
	}
	if (max >= UINT64_MAX - 1)
		return wrong(v, "a smaller number");
	return wrong(v, "%s to %s", q->format(v->key->min, low), q->format(max, high));
}

static int decode_duration(const struct value *v)
{
	static const struct quantity q = {units_parse_duration, units_format_duration,
					  UNITS_DURATION_FORM};

	return decode_quantity(v, &q);
}

static int decode_size(const struct value *v)
{
	static const struct quantity q = {units_parse_size, units_format_size, UNITS_SIZE_FORM};

	return decode_quantity(v, &q);
}

static int decode_rate(const struct value *v)
{
	static const struct quantity q = {units_parse_rate, units_format_rate, UNITS_RATE_FORM};

	return decode_quantity(v, &q);
}

static int decode_word(const struct value *v)
{
	const struct schema_word *w = find_word(v);

	if (!w)
		return wrong_word(v);
	*(uint32_t *)v->to = w->value; // every enum is an unsigned int here; build_decode checks
	return 0;
}

static int decode_words(const struct value *v)
{
	const struct schema_word *w = find_word(v);

	if (!w)
		return wrong_word(v);
	*(uint32_t *)v->to |= w->value;
	return 0;
}

static int store_text(const struct value *v)
{
	const char *s = arena_text(&v->b->snap->arena, v->text, v->len);

	if (!s)
		return -ENOMEM;
	*(const char **)v->to = s;
	return 0;
}

static int decode_name(const struct value *v)
{
	if (!config_name_is_valid(v->text, v->len))
		return wrong(v, "%s", schema_form(v->key->type));
	return store_text(v);
}

static int decode_text(const struct value *v)
{
	if (!config_text_is_printable(v->text, v->len))
		return wrong(v, "UTF-8 text without control characters");
	if (v->len > 255)
		return wrong(v, "at most 255 bytes");
	return store_text(v);
}

static int decode_secret(const struct value *v)
{
	if (!v->len)
		return wrong(v, "a password, which must not be empty");
	return decode_text(v);
}

static int decode_user_name(const struct value *v)
{
	const char *what = config_user_name_check(v->text, v->len);
	bool any = v->key->type == SCHEMA_USER_NAMES && v->len == 1 && *v->text == '*';

	if (what && !any)
		return wrong(v, "%s", what);
	return store_text(v);
}

static int decode_path(const struct value *v)
{
	if (!v->len || v->len > 4000 || !config_text_is_printable(v->text, v->len))
		return wrong(v, "the path of a file");
	return store_text(v);
}

static int decode_output(const struct value *v)
{
	if (strcmp(v->text, "stderr") != 0 && strcmp(v->text, "stdout") != 0 &&
	    (*v->text != '/' || v->len > 4000 || !config_text_is_printable(v->text, v->len)))
		return wrong(v, "%s", schema_form(v->key->type));
	return store_text(v);
}

static int decode_hash(const struct value *v)
{
	enum snap_hash_kind kind;
	const char *what = hash_text_check(v->text, v->len, &kind);

	if (what)
		return node_error(v->node, v->b->errors, "found %s; expected %s", what,
				  schema_form(v->key->type));
	return store_text(v);
}

static int decode_listen(const struct value *v)
{
	static const char localhost[] = "localhost:";
	struct raw_listen listen = {0};
	unsigned flags = ENDPOINT_PARSE_WILDCARD | ENDPOINT_PARSE_ZONE;
	int r;

	if (v->key->words && find_word(v)) {
		*(struct raw_listen *)v->to = listen;
		return 0;
	}
	if (v->len > sizeof(localhost) - 1 &&
	    memcmp(v->text, localhost, sizeof(localhost) - 1) == 0) {
		listen.endpoint = endpoint_v4(INADDR_LOOPBACK, 0);
		r = endpoint_parse_port(v->text + sizeof(localhost) - 1,
					v->len - (sizeof(localhost) - 1), &listen.endpoint.port);
	} else {
		r = endpoint_parse(v->text, v->len, flags, &listen.endpoint);
		listen.all_addresses = v->len && *v->text == ':';
	}
	if (r == -ENODEV)
		return wrong(v, "the name of an interface that exists after the %%");
	if (r < 0)
		return wrong(v, "%s%s", schema_form(v->key->type), v->key->words ? ", or off" : "");
	*(struct raw_listen *)v->to = listen;
	return 0;
}

static int decode_target(const struct value *v)
{
	struct host host;
	int r = host_parse(v->text, v->len, 0, &host);

	if (r == -EINVAL)
		return wrong(v, "%s", schema_form(v->key->type));
	if (r < 0)
		return wrong(v, "a host name or address, but it has %s", host_error_text(r));
	*(struct host *)v->to = host;
	return 0;
}

static int decode_server(const struct value *v)
{
	struct endpoint server;

	if (endpoint_parse(v->text, v->len, ENDPOINT_PARSE_PORT_OPTIONAL | ENDPOINT_PARSE_ZONE,
			   &server) < 0)
		return wrong(v, "%s", schema_form(v->key->type));
	if (!server.port)
		server.port = 53;
	*(struct endpoint *)v->to = server;
	return 0;
}

static int decode_cidr(const struct value *v)
{
	int r = cidr_parse(v->text, v->len, CIDR_STRICT, v->to);

	if (r == -EDOM) {
		struct cidr cidr;
		char text[CIDR_STRLEN];

		cidr_parse(v->text, v->len, 0, &cidr);
		cidr_format(&cidr, text);
		return wrong(v, "no bit set behind the prefix: %s, or the address with /%d", text,
			     cidr.family == AF_INET ? 32 : 128);
	}
	if (r == -ERANGE)
		return wrong(v, "a prefix of at most /32 for IPv4, /128 for IPv6");
	if (r < 0)
		return wrong(v, "%s", schema_form(v->key->type));
	return 0;
}

static int decode_port(const struct value *v)
{
	const char *dash = memchr(v->text, '-', v->len);
	size_t first_len = dash ? (size_t)(dash - v->text) : v->len;
	struct snap_port_range range;

	if (endpoint_parse_port(v->text, first_len, &range.first) < 0)
		return wrong(v, "%s", schema_form(v->key->type));
	range.last = range.first;
	if (dash && endpoint_parse_port(dash + 1, v->len - first_len - 1, &range.last) < 0)
		return wrong(v, "%s", schema_form(v->key->type));
	if (!range.first || range.last < range.first)
		return wrong(v, "ports from 1 to 65535, the smaller one first");
	*(struct snap_port_range *)v->to = range;
	return 0;
}

static int decode_domain(const struct value *v)
{
	const char *name = v->text;
	size_t len = v->len;
	char folded[HOST_NAME_MAX_LEN + 1];
	int r;

	if (v->key->type == SCHEMA_DOMAINS && len > 2 && memcmp(name, "*.", 2) == 0) {
		name += 2;
		len -= 2;
	} else if (v->key->type == SCHEMA_DOMAINS && len > 1 && *name == '.') {
		name++;
		len--;
	}
	r = host_normalise_name(name, len, folded);
	if (r < 0)
		return wrong(v, "%s, but it has %s", schema_form(v->key->type), host_error_text(r));
	return store_text(v);
}

static const char *const DAY_NAMES[7] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

// The day's number, or -1.
static int day_of(const char *s, size_t len)
{
	for (int i = 0; i < 7 && len == 3; i++)
		if (memcmp(s, DAY_NAMES[i], 3) == 0)
			return i;
	return -1;
}

static int decode_day(const struct value *v)
{
	const char *dash = memchr(v->text, '-', v->len);
	size_t first_len = dash ? (size_t)(dash - v->text) : v->len;
	int first = day_of(v->text, first_len);
	int last = dash ? day_of(dash + 1, v->len - first_len - 1) : first;

	if (first < 0 || last < 0)
		return wrong(v, "%s", schema_form(v->key->type));
	// A range may pass the end of the week: fri-mon.
	for (int day = first;; day = (day + 1) % 7) {
		*(uint8_t *)v->to |= (uint8_t)(1u << day);
		if (day == last)
			return 0;
	}
}

static int decode_time(const struct value *v)
{
	const char *s = v->text;
	unsigned hour, minute;

	if (v->len != 5 || s[2] != ':' || s[0] < '0' || s[0] > '2' || s[1] < '0' || s[1] > '9' ||
	    s[3] < '0' || s[3] > '5' || s[4] < '0' || s[4] > '9')
		return wrong(v, "%s", schema_form(v->key->type));
	hour = (unsigned)(s[0] - '0') * 10 + (unsigned)(s[1] - '0');
	minute = (unsigned)(s[3] - '0') * 10 + (unsigned)(s[4] - '0');
	if (hour * 60 + minute > 24 * 60)
		return wrong(v, "%s", schema_form(v->key->type));
	*(uint16_t *)v->to = (uint16_t)(hour * 60 + minute);
	return 0;
}

static int decode_zone(const struct value *v)
{
	if (!zoneinfo_name_is_valid(v->text, v->len))
		return wrong(v, "%s", schema_form(v->key->type));
	return store_text(v);
}

static const char *next_module(void *state, size_t i)
{
	return ((const struct config_build *)state)->log_modules[i];
}

static bool is_module(const struct config_build *b, const char *name)
{
	bool found = !b->log_modules;

	for (size_t i = 0; !found && b->log_modules[i]; i++)
		found = strcmp(b->log_modules[i], name) == 0;
	return found;
}

static int decode_level(const struct value *v)
{
	struct snap_log_module_level *level = v->to;
	const struct schema_word *w = find_word(v);
	char *module;

	if (!w)
		return wrong_word(v);
	if (!is_module(v->b, v->node->key)) {
		const char *near = schema_nearest(v->node->key, next_module, v->b);

		return node_key_error(v->node, v->b->errors, "no module has that name%s%s%s",
				      near ? "; did you mean \"" : "", near ? near : "",
				      near ? "\"?" : "");
	}
	module = arena_text(&v->b->snap->arena, v->node->key, strlen(v->node->key));
	if (!module)
		return -ENOMEM;
	*level = (struct snap_log_module_level){module, w->value};
	return 0;
}

// The field of an enum is written through uint32_t.
_Static_assert(sizeof(enum snap_log_level) == sizeof(uint32_t), "enums are 32 bits");

static const struct codec {
	int (*decode)(const struct value *v);
	size_t item_size; // of lists
	const char *form;
} CODECS[] = {
	[SCHEMA_SECTION] = {NULL, 0, "a mapping"},
	[SCHEMA_SECTIONS] = {NULL, 0, "a list of mappings"},
	[SCHEMA_BOOL] = {decode_bool, 0, "true or false"},
	[SCHEMA_INT] = {decode_int, 0, "a whole number"},
	[SCHEMA_DURATION] = {decode_duration, 0, UNITS_DURATION_FORM},
	[SCHEMA_SIZE] = {decode_size, 0, UNITS_SIZE_FORM},
	[SCHEMA_RATE] = {decode_rate, 0, UNITS_RATE_FORM},
	[SCHEMA_WORD] = {decode_word, 0, "a word"},
	[SCHEMA_WORDS] = {decode_words, 0, "a list of words"},
	[SCHEMA_NAME] = {decode_name, 0, "a name of 1 to 64 letters, digits, '.', '_' and '-'"},
	[SCHEMA_NAMES] = {decode_name, sizeof(char *),
			  "a name of 1 to 64 letters, digits, '.', '_' and '-'"},
	[SCHEMA_USER_NAME] = {decode_user_name, 0, "a user name"},
	[SCHEMA_USER_NAMES] = {decode_user_name, sizeof(char *), "a user name or \"*\""},
	[SCHEMA_TEXT] = {decode_text, 0, "text"},
	[SCHEMA_SECRET] = {decode_secret, 0, "a password"},
	[SCHEMA_PATH] = {decode_path, 0, "the path of a file"},
	[SCHEMA_PATHS] = {decode_path, sizeof(char *), "the path of a file"},
	[SCHEMA_OUTPUT] = {decode_output, 0, "stderr, stdout or the absolute path of a file"},
	[SCHEMA_HASH] = {decode_hash, 0,
			 "a hash as `sluice passwd` makes it ($y$, $2b$, $argon2id$ or $6$)"},
	[SCHEMA_LISTEN] =
		{decode_listen, 0,
		 "address:port such as 127.0.0.1:8080, [::1]:8080, localhost:8080 or :8080"},
	[SCHEMA_TARGET] = {decode_target, 0,
			   "host:port such as example.com:443, 192.0.2.1:80 or [2001:db8::1]:80"},
	[SCHEMA_TARGETS] = {decode_target, sizeof(struct host),
			    "host:port such as example.com:443, 192.0.2.1:80 or [2001:db8::1]:80"},
	[SCHEMA_SERVERS] = {decode_server, sizeof(struct endpoint),
			    "an address, or address:port such as 192.0.2.53:53"},
	[SCHEMA_CIDRS] = {decode_cidr, sizeof(struct cidr),
			  "an address or block such as 192.0.2.0/24 or 2001:db8::/32"},
	[SCHEMA_PORTS] = {decode_port, sizeof(struct snap_port_range),
			  "a port or range such as 443 or 8000-8099"},
	[SCHEMA_DOMAINS] = {decode_domain, sizeof(char *),
			    "a domain such as example.com, .example.com or *.example.com"},
	[SCHEMA_HOST_NAMES] = {decode_domain, sizeof(char *), "a host name such as example.com"},
	[SCHEMA_DAYS] = {decode_day, 0, "a weekday or range such as mon or sat-sun"},
	[SCHEMA_TIME] = {decode_time, 0, "hour and minute such as \"08:30\", up to \"24:00\""},
	[SCHEMA_ZONE] = {decode_zone, 0, "a time zone such as UTC, local or Europe/Vienna"},
	[SCHEMA_LEVELS] = {decode_level, sizeof(struct snap_log_module_level),
			   "a mapping of module names to levels"},
};

const char *schema_form(enum schema_type type)
{
	return CODECS[type].form;
}

size_t build_item_size(const struct schema_key *key)
{
	return CODECS[key->type].item_size;
}

int build_decode(struct config_build *b, const struct schema_key *key,
		 const struct config_node *node, void *to)
{
	struct value v = {b, key, node, node->text, node->text_len, to};

	if (node->kind != NODE_SCALAR)
		return wrong(&v, "%s", CODECS[key->type].form);
	// Texts go on as C strings: none may hide something behind a NUL.
	if (memchr(v.text, '\0', v.len))
		return wrong(&v, "text without a NUL byte");
	return CODECS[key->type].decode(&v);
}
