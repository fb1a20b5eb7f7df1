// SPDX-License-Identifier: Apache-2.0
// The schema: one table of sections and keys, from which parser, environment, dump and reference work.
#include "config/schema.h"

#include <stdio.h>
#include <string.h>

#include "config/raw.h"

#define END_OF_WORDS                                                                               \
	{                                                                                          \
		NULL, 0                                                                            \
	}

static const struct schema_word words_auto[] = {{"auto", 0}, END_OF_WORDS};
static const struct schema_word words_off[] = {{"off", 0}, END_OF_WORDS};
static const struct schema_word words_auto_no_yes[] = {
	{"auto", RAW_AUTO}, {"false", RAW_NO}, {"true", RAW_YES}, END_OF_WORDS};
static const struct schema_word words_authentication[] = {{"auto", RAW_AUTH_AUTO},
							  {"none", RAW_AUTH_NONE},
							  {"required", RAW_AUTH_REQUIRED},
							  END_OF_WORDS};
static const struct schema_word words_accept[] = {
	{"http", SNAP_ACCEPT_HTTP}, {"socks4", SNAP_ACCEPT_SOCKS4}, {"socks5", SNAP_ACCEPT_SOCKS5},
	{"tls", SNAP_ACCEPT_TLS},   {"tcp", SNAP_ACCEPT_TCP},       END_OF_WORDS};
static const struct schema_word words_route[] = {
	{"tls", SNAP_ROUTE_TLS}, {"tcp", SNAP_ROUTE_TCP}, {"http", SNAP_ROUTE_HTTP}, END_OF_WORDS};
static const struct schema_word words_protocol[] = {{"http", SNAP_PROTO_HTTP},
						    {"connect", SNAP_PROTO_CONNECT},
						    {"socks4", SNAP_PROTO_SOCKS4},
						    {"socks5", SNAP_PROTO_SOCKS5},
						    {"udp", SNAP_PROTO_UDP},
						    {"bind", SNAP_PROTO_BIND},
						    {"tcp", SNAP_PROTO_TCP},
						    {"tls", SNAP_PROTO_TLS},
						    END_OF_WORDS};
static const struct schema_word words_send_proxy[] = {{"off", SNAP_SEND_PROXY_OFF},
						      {"v1", SNAP_SEND_PROXY_V1},
						      {"v2", SNAP_SEND_PROXY_V2},
						      END_OF_WORDS};
static const struct schema_word words_parent[] = {
	{"http", SNAP_PARENT_HTTP}, {"socks5", SNAP_PARENT_SOCKS5}, END_OF_WORDS};
static const struct schema_word words_action[] = {
	{"allow", SNAP_ALLOW}, {"deny", SNAP_DENY}, END_OF_WORDS};
static const struct schema_word words_default[] = {{"auto", RAW_DEFAULT_AUTO},
						   {"allow", RAW_DEFAULT_ALLOW},
						   {"deny", RAW_DEFAULT_DENY},
						   END_OF_WORDS};
static const struct schema_word words_forwarded[] = {{"off", SNAP_FORWARDED_OFF},
						     {"on", SNAP_FORWARDED_ON},
						     {"x-forwarded-for", SNAP_FORWARDED_X_FOR},
						     END_OF_WORDS};
static const struct schema_word words_level[] = {{"error", SNAP_LOG_ERROR},
						 {"warn", SNAP_LOG_WARN},
						 {"info", SNAP_LOG_INFO},
						 {"debug", SNAP_LOG_DEBUG},
						 END_OF_WORDS};
static const struct schema_word words_log_format[] = {
	{"text", SNAP_LOG_TEXT}, {"json", SNAP_LOG_JSON}, END_OF_WORDS};
static const struct schema_word words_access_format[] = {
	{"text", SNAP_LOG_TEXT}, {"json", SNAP_LOG_JSON}, {"off", SNAP_LOG_OFF}, END_OF_WORDS};

// First pass: the structs, and the sections' names for the parts that refer to them.
#define SECTION(id, type, name, place, help)                                                       \
	typedef type section_##id;                                                                 \
	static const struct schema_section info_##id;
#define KEY(...)
#define PART(...)
#define END(id)
#include "config/schema.def"
#undef SECTION
#undef KEY
#undef PART
#undef END

// Second pass: the keys.
#define FIELD(id, field) offsetof(section_##id, field), sizeof(((section_##id *)NULL)->field)
#define SECTION(id, type, name, place, help) static const struct schema_key keys_##id[] = {
#define KEY(...) KEY_ROW(__VA_ARGS__)
#define KEY_ROW(id, key, type, field, fallback, min, max, words, flags, help)                      \
	{#key, SCHEMA_##type, FIELD(id, field), fallback, min, max, words, NULL, flags, help},
#define PART(id, key, type, field, child, help)                                                    \
	{#key, SCHEMA_##type, FIELD(id, field), NULL, 0, 0, NULL, &info_##child, 0, help},
#define END(id)                                                                                    \
	}                                                                                          \
	;
#include "config/schema.def"
#undef SECTION
#undef KEY
#undef PART
#undef END

// Third pass: the sections.
#define NODE true
#define PLAIN false
#define SECTION(id, type, name, place, help)                                                       \
	static const struct schema_section info_##id = {                                           \
		name,         help, keys_##id, sizeof(keys_##id) / sizeof(keys_##id[0]),           \
		sizeof(type), place};
#define KEY(...)
#define PART(...)
#define END(id)
#include "config/schema.def"

const struct schema_section *const schema_root = &info_root;
const struct schema_section *const schema_user = &info_user;

const struct schema_key *schema_find(const struct schema_section *section, const char *name)
{
	for (size_t i = 0; i < section->key_count; i++)
		if (strcmp(section->keys[i].name, name) == 0)
			return &section->keys[i];
	return NULL;
}

bool schema_is_secret(enum schema_type type)
{
	return type == SCHEMA_SECRET || type == SCHEMA_HASH;
}

bool schema_is_list(enum schema_type type)
{
	switch (type) {
	case SCHEMA_SECTIONS:
	case SCHEMA_WORDS:
	case SCHEMA_NAMES:
	case SCHEMA_USER_NAMES:
	case SCHEMA_PATHS:
	case SCHEMA_TARGETS:
	case SCHEMA_SERVERS:
	case SCHEMA_CIDRS:
	case SCHEMA_PORTS:
	case SCHEMA_DOMAINS:
	case SCHEMA_HOST_NAMES:
	case SCHEMA_DAYS:
		return true;
	default:
		return false;
	}
}
