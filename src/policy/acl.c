// SPDX-License-Identifier: Apache-2.0
// May this request go there? Access rules, the guard of local addresses, and the parent to use.
#include "policy/acl.h"

#include <string.h>

#include "policy/schedule.h"
#include "snap/snap.h"

#define GUARDED                                                                                    \
	(ENDPOINT_UNSPECIFIED | ENDPOINT_LOOPBACK | ENDPOINT_LINK_LOCAL | ENDPOINT_MULTICAST |     \
	 ENDPOINT_BROADCAST | ENDPOINT_METADATA)

// What is known of the destination, worked out once for all rules.
struct target {
	const struct endpoint *address; // NULL = not yet
	uint16_t port;
	bool open_ended;  // nothing is known yet: a UDP association or BIND
	unsigned guarded; // classes of the address that the guard refuses on this listener
	bool outright;    // only a block of one address lifts the guard
	struct endpoint carried[ENDPOINT_EMBEDDED_MAX];
	size_t carried_count;
};

enum match {
	MATCH_NO,
	MATCH_YES,
	MATCH_UNKNOWN, // when the address is known
};

const char *acl_cause_name(enum acl_cause cause)
{
	switch (cause) {
	case ACL_BY_RULE:
		return "rule";
	case ACL_BY_DEFAULT:
		return "default";
	case ACL_BY_LISTENER:
		return "listener";
	case ACL_BY_LOCAL:
		return "local";
	case ACL_BY_ADMIN:
		return "admin";
	}
	return "unknown";
}

static void target_init(struct target *t, const struct acl_query *q)
{
	*t = (struct target){.address = q->address};
	if (!t->address && q->host->kind == HOST_ADDRESS)
		t->address = &q->host->address;
	t->open_ended = !t->address && q->host->kind == HOST_NONE;
	t->port = t->address ? t->address->port : q->host->port;
	if (!t->address)
		return;
	t->carried_count = endpoint_embedded(t->address, t->carried);
	if (!q->listener->allow_local && !q->fixed_target) {
		unsigned class = endpoint_classify(t->address);

		t->guarded = class & GUARDED;
		t->outright = (class & ENDPOINT_METADATA) || t->carried_count;
	}
}

// Does a connection to that address and port reach the admin listener?
static bool reaches_admin(const struct snap *s, const struct acl_query *q,
			  const struct endpoint *address)
{
	const struct endpoint *admin = &s->admin.address;

	if (address->port != admin->port)
		return false;
	if (endpoint_same_ip(address, admin))
		return true;
	// The kernel takes an unspecified address for loopback.
	if (endpoint_is_unspecified(address))
		return true;
	if (!endpoint_is_unspecified(admin))
		return false;
	return endpoint_is_loopback(address) || snap_addrs_match(&s->own_addresses, address) ||
	       (q->local && endpoint_same_ip(address, q->local));
}

static bool is_admin(const struct snap *s, const struct acl_query *q, const struct target *t)
{
	if (!s->admin.enabled || !t->address)
		return false;
	for (size_t i = 0; i < t->carried_count; i++)
		if (reaches_admin(s, q, &t->carried[i]))
			return true;
	return reaches_admin(s, q, t->address);
}

static bool user_listed(const struct snap_rule *rule, uint32_t index)
{
	uint32_t low = 0, high = rule->user_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (rule->users[mid] < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low < rule->user_count && rule->users[low] == index;
}

static bool who_holds(const struct snap *s, const struct snap_rule *rule,
		      const struct snap_user *user)
{
	if (!user)
		return false;
	if (rule->any_user || user_listed(rule, user->index))
		return true;
	for (uint32_t i = 0; rule->groups && i < s->group_words; i++)
		if (rule->groups[i] & user->groups[i])
			return true;
	return false;
}

static bool port_holds(const struct snap_rule *rule, uint16_t port)
{
	for (uint32_t i = 0; i < rule->port_count; i++)
		if (port >= rule->ports[i].first && port <= rule->ports[i].last)
			return true;
	return false;
}

static bool domain_holds(const struct snap_rule *rule, const struct host *host)
{
	if (host->kind != HOST_NAME)
		return false;
	for (uint32_t i = 0; i < rule->domain_count; i++)
		if (snap_names_match(rule->domains[i], host->name, host->name_len))
			return true;
	return false;
}

// A block of IPv4 addresses that is denied stays denied through a translator's IPv6 address; one
// that is allowed does not extend to it.
static bool destination_holds(const struct snap_rule *rule, const struct target *t)
{
	if (snap_addrs_match(&rule->destinations, t->address))
		return true;
	for (size_t i = 0; rule->action == SNAP_DENY && i < t->carried_count; i++)
		if (snap_addrs_match(&rule->destinations, &t->carried[i]))
			return true;
	return false;
}

// Cheap and decidable conditions first; the destination's address last, since it may be unknown.
static enum match rule_match(const struct snap *s, const struct snap_rule *rule,
			     const struct acl_query *q, const struct target *t)
{
	uint32_t conditions = rule->conditions;
	bool unknown = false;

	if ((conditions & SNAP_IF_PROTOCOL) && !(rule->protocols & q->protocol))
		return MATCH_NO;
	if ((conditions & SNAP_IF_LISTENER) && !(rule->listeners >> q->listener->index & 1))
		return MATCH_NO;
	if ((conditions & SNAP_IF_WHO) && !who_holds(s, rule, q->user))
		return MATCH_NO;
	if ((conditions & SNAP_IF_SOURCE) && !snap_addrs_match(&rule->sources, &q->source))
		return MATCH_NO;
	if (conditions & SNAP_IF_PORT) {
		if (t->open_ended)
			unknown = true;
		else if (!port_holds(rule, t->port))
			return MATCH_NO;
	}
	if (conditions & SNAP_IF_DOMAIN) {
		if (t->open_ended)
			unknown = true;
		else if (!domain_holds(rule, q->host))
			return MATCH_NO;
	}
	if ((conditions & SNAP_IF_TIME) && !schedule_open(&rule->time, q->wall_seconds))
		return MATCH_NO;
	if (conditions & SNAP_IF_DESTINATION) {
		if (!t->address)
			unknown = true;
		else if (!destination_holds(rule, t))
			return MATCH_NO;
	}
	return unknown ? MATCH_UNKNOWN : MATCH_YES;
}

// For a guarded address an allow rule counts only when it names the address outright.
static bool lifts_guard(const struct snap_rule *rule, const struct target *t)
{
	return snap_addrs_match(t->outright ? &rule->local_hosts : &rule->local, t->address);
}

static const struct snap_parent *parent_of(const struct snap *s, const struct acl_query *q,
					   const struct snap_rule *rule)
{
	if (q->fixed_target || (rule && rule->direct))
		return NULL; // a route names its own parent
	return rule && rule->parent ? rule->parent : s->forward_parent;
}

static enum snap_action default_action(const struct acl_query *q)
{
	return q->fixed_target ? q->listener->route_action : q->listener->default_action;
}

static bool is_localhost(const struct host *host)
{
	static const char name[] = "localhost";
	size_t n = sizeof(name) - 1;

	return host->kind == HOST_NAME && host->name_len >= n &&
	       memcmp(host->name + host->name_len - n, name, n) == 0 &&
	       (host->name_len == n || host->name[host->name_len - n - 1] == '.');
}

static void decide_by_rules(const struct snap *snap, const struct acl_query *query,
			    const struct target *t, struct acl_verdict *v)
{
	for (uint32_t i = 0; i < snap->rule_count; i++) {
		const struct snap_rule *rule = &snap->rules[i];
		enum match m = rule_match(snap, rule, query, t);

		if (m == MATCH_NO ||
		    (t->guarded && rule->action == SNAP_ALLOW && !lifts_guard(rule, t)))
			continue;
		v->result = m == MATCH_UNKNOWN           ? ACL_NEEDS_ADDRESS
			    : rule->action == SNAP_ALLOW ? ACL_ALLOW
							 : ACL_DENY;
		v->cause = ACL_BY_RULE;
		v->rule = rule;
		return;
	}
	if (t->guarded)
		v->cause = ACL_BY_LOCAL;
	else if (default_action(query) == SNAP_ALLOW)
		v->result = ACL_ALLOW;
}

void acl_decide(const struct snap *snap, const struct acl_query *query,
		struct acl_verdict *ret_verdict)
{
	struct acl_verdict v = {ACL_DENY, ACL_BY_DEFAULT, NULL, NULL};
	struct target t;

	target_init(&t, query);
	if (!query->fixed_target && !query->listener->forward)
		v.cause = ACL_BY_LISTENER;
	else if (is_admin(snap, query, &t))
		v.cause = ACL_BY_ADMIN;
	else
		decide_by_rules(snap, query, &t, &v);
	if (v.result == ACL_ALLOW && !t.address && !query->fixed_target &&
	    !query->listener->allow_local && is_localhost(query->host))
		v.result = ACL_NEEDS_ADDRESS;
	if (v.result == ACL_ALLOW)
		v.parent = parent_of(snap, query, v.rule);
	*ret_verdict = v;
}
