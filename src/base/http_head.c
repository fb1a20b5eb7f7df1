// SPDX-License-Identifier: Apache-2.0
// The head of a request or response as every HTTP version has it.
#include "base/http_head.h"

#include "base/http_syntax.h"

#include <errno.h>

// Multipliers that give each known field name a slot of its own: scripts/http-field-slots finds
// them.
enum { SLOT_FIRST = 3, SLOT_MIDDLE = 85, SLOT_LATE = 127 };

static const uint8_t slots[512] = {
#define F(slot, id, name, flags, help) [slot] = HTTP_FIELD_##id,
#include "base/http_fields.def"
#undef F
};

static const struct {
	struct slice name;
	uint8_t flags;
} known_fields[HTTP_FIELDS] = {
#define F(slot, id, name, flags, help) [HTTP_FIELD_##id] = {SLICE_LITERAL(name), flags},
#include "base/http_fields.def"
#undef F
};

static const struct {
	struct slice name;
	uint8_t flags;
} known_methods[HTTP_METHODS] = {
#define M(id, name, flags, help) [HTTP_METHOD_##id] = {SLICE_LITERAL(name), flags},
#include "base/http_methods.def"
#undef M
};

enum http_field_id http_field_lookup(struct slice name)
{
	if (name.len == 0)
		return HTTP_FIELD_OTHER;
	// The bit 0x20 makes letters lower case and leaves '-' as it is; other bytes end in the
	// comparison.
	unsigned first = (unsigned char)name.data[0] | 0x20u;
	unsigned middle = (unsigned char)name.data[name.len / 2] | 0x20u;
	unsigned late = (unsigned char)name.data[name.len * 3 / 4] | 0x20u;
	unsigned slot =
		(unsigned)name.len + first * SLOT_FIRST + middle * SLOT_MIDDLE + late * SLOT_LATE;
	unsigned id = slots[slot & 511];
	const struct slice *known = &known_fields[id].name;
	if (known->len != name.len) // also when the slot is free: its length is 0
		return HTTP_FIELD_OTHER;
	// A known name has only letters, digits and '-', and among token characters only an upper
	// case letter becomes one of these by the bit 0x20.
	size_t i = 0;
	for (; i + 8 <= name.len; i += 8) {
		uint64_t a, b;
		memcpy(&a, name.data + i, 8);
		memcpy(&b, known->data + i, 8);
		if ((a | UINT64_C(0x2020202020202020)) != b)
			return HTTP_FIELD_OTHER;
	}
	for (; i < name.len; i++) {
		if (((unsigned char)name.data[i] | 0x20) != (unsigned char)known->data[i])
			return HTTP_FIELD_OTHER;
	}
	return (enum http_field_id)id;
}

struct slice http_field_name(enum http_field_id id)
{
	return known_fields[id].name;
}

unsigned http_field_flags(enum http_field_id id)
{
	return known_fields[id].flags;
}

enum http_method http_method_lookup(struct slice name)
{
	// clang-format off
	switch (name.len) {
#define IS(id) (memcmp(name.data, known_methods[HTTP_METHOD_##id].name.data, known_methods[HTTP_METHOD_##id].name.len) == 0)
	case 3: return IS(GET) ? HTTP_METHOD_GET : IS(PUT) ? HTTP_METHOD_PUT : HTTP_METHOD_OTHER;
	case 4: return IS(POST) ? HTTP_METHOD_POST : IS(HEAD) ? HTTP_METHOD_HEAD : HTTP_METHOD_OTHER;
	case 5: return IS(TRACE) ? HTTP_METHOD_TRACE : IS(PATCH) ? HTTP_METHOD_PATCH : HTTP_METHOD_OTHER;
	case 6: return IS(DELETE) ? HTTP_METHOD_DELETE : HTTP_METHOD_OTHER;
	case 7: return IS(CONNECT) ? HTTP_METHOD_CONNECT : IS(OPTIONS) ? HTTP_METHOD_OPTIONS : HTTP_METHOD_OTHER;
	default: return HTTP_METHOD_OTHER;
#undef IS
	}
	// clang-format on
}

struct slice http_method_name(enum http_method method)
{
	return known_methods[method].name;
}

unsigned http_method_flags(enum http_method method)
{
	return known_methods[method].flags;
}

struct slice http_status_reason(unsigned status)
{
	switch (status) {
#define S(code, reason)                                                                            \
	case code:                                                                                 \
		return SLICE(reason);
#include "base/http_statuses.def"
#undef S
	default:
		return SLICE("");
	}
}

void http_head_init(struct http_head *head, struct http_field *fields, uint16_t max)
{
	*head = (struct http_head){.fields = fields, .field_max = max};
}

struct http_field *http_head_find_after(const struct http_head *head, enum http_field_id id,
					const struct http_field *after)
{
	if (id != HTTP_FIELD_OTHER && !http_head_may_have(head, id))
		return NULL;
	struct http_field *f = head->fields + (after ? after - head->fields + 1 : 0);
	for (; f < http_head_end(head); f++) {
		if (f->id == id)
			return f;
	}
	return NULL;
}

struct http_field *http_head_find(const struct http_head *head, enum http_field_id id)
{
	return http_head_find_after(head, id, NULL);
}

struct http_field *http_head_find_name(const struct http_head *head, struct slice name)
{
	enum http_field_id id = http_field_lookup(name);
	if (id != HTTP_FIELD_OTHER)
		return http_head_find(head, id);
	for (struct http_field *f = head->fields; f < http_head_end(head); f++) {
		if (f->id == HTTP_FIELD_OTHER && slice_equal_nocase(f->name, name))
			return f;
	}
	return NULL;
}

unsigned http_head_count(const struct http_head *head, enum http_field_id id)
{
	unsigned count = 0;
	for (const struct http_field *f = NULL; (f = http_head_find_after(head, id, f));)
		count++;
	return count;
}

struct slice http_head_value(const struct http_head *head, enum http_field_id id)
{
	const struct http_field *f = http_head_find(head, id);
	return f ? f->value : SLICE("");
}

int http_head_append_checked(struct http_head *head, enum http_field_id id, struct slice name,
			     struct slice value)
{
	if (head->field_count == head->field_max)
		return -ENOBUFS;
	head->fields[head->field_count++] = (struct http_field){name, value, (uint8_t)id};
	head->maybe[id >> 6] |= UINT64_C(1) << (id & 63);
	return 0;
}

// A value as a head holds it: without white space at the ends.
static bool is_value(struct slice value)
{
	return http_is_value(value) && http_trim(value).len == value.len;
}

int http_head_append(struct http_head *head, enum http_field_id id, struct slice value)
{
	if (id <= HTTP_FIELD_OTHER || id >= HTTP_FIELDS || !is_value(value))
		return -EINVAL;
	return http_head_append_checked(head, id, known_fields[id].name, value);
}

int http_head_append_name(struct http_head *head, struct slice name, struct slice value)
{
	if (!http_is_token(name) || !is_value(value))
		return -EINVAL;
	return http_head_append_checked(head, http_field_lookup(name), name, value);
}

int http_head_set(struct http_head *head, enum http_field_id id, struct slice value)
{
	struct http_field *first = http_head_find(head, id);
	if (!first || id == HTTP_FIELD_OTHER)
		return http_head_append(head, id, value);
	if (!is_value(value))
		return -EINVAL;
	first->value = value;
	struct http_field *to = first + 1;
	for (struct http_field *f = first + 1; f < http_head_end(head); f++) {
		if (f->id != id)
			*to++ = *f;
	}
	head->field_count = (uint16_t)(to - head->fields);
	return 0;
}

static unsigned remove_fields(struct http_head *head, enum http_field_id id, struct slice name)
{
	struct http_field *to = head->fields;
	unsigned removed = 0;
	for (struct http_field *f = head->fields; f < http_head_end(head); f++) {
		if (f->id == id && (id != HTTP_FIELD_OTHER || slice_equal_nocase(f->name, name)))
			removed++;
		else
			*to++ = *f;
	}
	head->field_count = (uint16_t)(head->field_count - removed);
	if (id != HTTP_FIELD_OTHER)
		head->maybe[id >> 6] &= ~(UINT64_C(1) << (id & 63));
	return removed;
}

unsigned http_head_remove(struct http_head *head, enum http_field_id id)
{
	if (id == HTTP_FIELD_OTHER || !http_head_may_have(head, id))
		return 0;
	return remove_fields(head, id, SLICE(""));
}

unsigned http_head_remove_name(struct http_head *head, struct slice name)
{
	enum http_field_id id = http_field_lookup(name);
	if (id != HTTP_FIELD_OTHER && !http_head_may_have(head, id))
		return 0;
	return remove_fields(head, id, name);
}

static bool list_has(const struct http_head *head, enum http_field_id id, struct slice token,
		     bool parameters)
{
	for (const struct http_field *f = NULL; (f = http_head_find_after(head, id, f));) {
		struct slice rest = f->value, member;
		while (http_list_next(&rest, &member)) {
			const char *end = parameters ? memchr(member.data, ';', member.len) : NULL;
			if (end)
				member = http_trim(
					slice_make(member.data, (size_t)(end - member.data)));
			if (slice_equal_nocase(member, token))
				return true;
		}
	}
	return false;
}

bool http_head_has_token(const struct http_head *head, enum http_field_id id, struct slice token)
{
	return list_has(head, id, token, true);
}

bool http_head_connection_lists(const struct http_head *head, struct slice name)
{
	return list_has(head, HTTP_FIELD_CONNECTION, name, false);
}

// The one value of a field that must be there once and be a number.
static int single_number(const struct http_head *head, enum http_field_id id, uint64_t *ret_number)
{
	const struct http_field *f = http_head_find(head, id);
	if (!f)
		return -ENOENT;
	if (http_head_find_after(head, id, f))
		return -EBADMSG;
	return http_parse_number(f->value, ret_number) < 0 ? -EBADMSG : 0;
}

int http_head_content_length(const struct http_head *head, uint64_t *ret_length)
{
	return single_number(head, HTTP_FIELD_CONTENT_LENGTH, ret_length);
}

int http_head_max_forwards(const struct http_head *head, uint64_t *ret_count)
{
	return single_number(head, HTTP_FIELD_MAX_FORWARDS, ret_count);
}

unsigned http_head_via_count(const struct http_head *head, struct slice pseudonym)
{
	unsigned count = 0;

	for (const struct http_field *f = NULL;
	     (f = http_head_find_after(head, HTTP_FIELD_VIA, f));) {
		struct slice rest = f->value, member;
		while (http_list_next(&rest, &member)) {
			// received-protocol RWS received-by [ RWS comment ]
			const char *p = member.data, *end = p + member.len;
			while (p < end && !http_char_is(*p, HTTP_CHAR_SPACE))
				p++;
			while (p < end && http_char_is(*p, HTTP_CHAR_SPACE))
				p++;
			const char *by = p;
			while (p < end && !http_char_is(*p, HTTP_CHAR_SPACE))
				p++;
			count += slice_equal_nocase(slice_make(by, (size_t)(p - by)), pseudonym);
		}
	}
	return count;
}

static void rebase(struct slice *s, const char *from, size_t len, const char *to)
{
	// As numbers: the old bytes may be gone, and then even comparing pointers to them is
	// undefined.
	uintptr_t offset = (uintptr_t)s->data - (uintptr_t)from;
	if (s->data && offset <= len)
		s->data = to + offset;
}

void http_head_rebase(struct http_head *head, const char *from, size_t len, const char *to)
{
	struct slice *control[] = {&head->method_name, &head->scheme,   &head->authority,
				   &head->path,        &head->protocol, &head->reason};
	for (size_t i = 0; i < sizeof(control) / sizeof(control[0]); i++)
		rebase(control[i], from, len, to);
	for (struct http_field *f = head->fields; f < http_head_end(head); f++) {
		rebase(&f->name, from, len, to);
		rebase(&f->value, from, len, to);
	}
}
