// SPDX-License-Identifier: Apache-2.0
// Durations, sizes and rates: see units.h.
#include "base/units.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit duration_units[] = {
	{"d", 86400u * 1000000000ull},
	{"h", 3600u * 1000000000ull},
	{"m", 60u * 1000000000ull},
	{"s", 1000000000},
	{"ms", 1000000},
	{"us", 1000},
	{"ns", 1},
};

#define KI 1024ull
#define K 1000ull
static const struct unit size_units[] = {
	{"TiB", KI *KI *KI *KI},
	{"TB", K *K *K *K},
	{"GiB", KI *KI *KI},
	{"GB", K *K *K},
	{"MiB", KI *KI},
	{"MB", K *K},
	{"KiB", KI},
	{"kB", K},
	{"B", 1},
};
static const struct unit bit_units[] = {
	{"Tbit/s", K *K *K *K}, {"Gbit/s", K *K *K}, {"Mbit/s", K *K}, {"kbit/s", K}, {"bit/s", 1},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

// A decimal number as whole + fraction / scale, scale a power of ten up to 10^9 (further digits are
// below what any unit here can show and are dropped).
struct number {
	uint64_t whole;
	uint64_t fraction;
	uint64_t scale;
};

static int parse_number(const char **s, const char *end, struct number *ret)
{
	struct number n = {.scale = 1};
	const char *p = *s;
	if (p == end || !is_digit(*p))
		return -EINVAL;
	for (; p < end && is_digit(*p); p++) {
		if (__builtin_mul_overflow(n.whole, 10u, &n.whole) ||
		    __builtin_add_overflow(n.whole, (uint64_t)(*p - '0'), &n.whole))
			return -ERANGE;
	}
	if (p < end && *p == '.') {
		if (++p == end || !is_digit(*p))
			return -EINVAL;
		for (; p < end && is_digit(*p); p++) {
			if (n.scale < 1000000000) {
				n.scale *= 10;
				n.fraction = n.fraction * 10 + (uint64_t)(*p - '0');
			}
		}
	}
	*s = p;
	*ret = n;
	return 0;
}

__extension__ typedef unsigned __int128 wide;

static int number_times(const struct number *n, uint64_t factor, uint64_t *ret)
{
	uint64_t whole;
	if (__builtin_mul_overflow(n->whole, factor, &whole))
		return -ERANGE;
	uint64_t rest = (uint64_t)((wide)n->fraction * factor / n->scale);
	return __builtin_add_overflow(whole, rest, ret) ? -ERANGE : 0;
}

static bool is_zero(const struct number *n)
{
	return !n->whole && !n->fraction;
}

static bool same(const char *s, size_t len, const char *name)
{
	return strlen(name) == len && !memcmp(s, name, len);
}

int units_parse_duration(const char *s, size_t len, uint64_t *ret_ns)
{
	const char *end = s + len;
	uint64_t total = 0;
	size_t next = 0; // units before this one are no longer allowed
	do {
		struct number n;
		int r = parse_number(&s, end, &n);
		if (r < 0)
			return r;
		if (s == end && is_zero(&n) && !next)
			break;
		if (s < end && *s == ' ')
			s++;
		const char *name = s;
		while (s < end && !is_digit(*s))
			s++;
		size_t name_len = (size_t)(s - name);
		if (same(name, name_len, "\xc2\xb5s") || same(name, name_len, "\xce\xbcs")) {
			name = "us"; // micro sign, or Greek mu
			name_len = 2;
		}
		size_t i = next;
		while (i < COUNT(duration_units) && !same(name, name_len, duration_units[i].name))
			i++;
		if (i == COUNT(duration_units))
			return -EINVAL;
		next = i + 1;
		uint64_t ns;
		if (number_times(&n, duration_units[i].factor, &ns) < 0 ||
		    __builtin_add_overflow(total, ns, &total))
			return -ERANGE;
	} while (s < end);
	*ret_ns = total;
	return 0;
}

static uint64_t prefix_power(char c, uint64_t base)
{
	switch (c) {
	case 'k':
	case 'K':
		return base;
	case 'M':
		return base * base;
	case 'G':
		return base * base * base;
	case 'T':
		return base * base * base * base;
	default:
		return 0;
	}
}

// The factor of a size unit: "", "B", "k", "kB", "KiB", ...; 0 when unknown.
static uint64_t size_factor(const char *s, size_t len)
{
	if (!len || same(s, len, "B"))
		return 1;
	if (len == 1 || same(s + 1, len - 1, "iB"))
		return prefix_power(*s, KI);
	if (same(s + 1, len - 1, "B"))
		return prefix_power(*s, K);
	return 0;
}

int units_parse_size(const char *s, size_t len, uint64_t *ret_bytes)
{
	const char *end = s + len;
	struct number n;
	int r = parse_number(&s, end, &n);
	if (r < 0)
		return r;
	if (s < end && *s == ' ' && s + 1 < end)
		s++;
	uint64_t factor = size_factor(s, (size_t)(end - s));
	return factor ? number_times(&n, factor, ret_bytes) : -EINVAL;
}

int units_parse_rate(const char *s, size_t len, uint64_t *ret_Bps)
{
	const char *end = s + len;
	struct number n;
	int r = parse_number(&s, end, &n);
	if (r < 0)
		return r;
	if (s == end && is_zero(&n)) {
		*ret_Bps = 0;
		return 0;
	}
	if (s < end && *s == ' ')
		s++;
	size_t unit = (size_t)(end - s);
	uint64_t factor = 0;
	uint64_t divisor = 1;
	bool per_second = unit > 2 && !memcmp(end - 2, "/s", 2);
	if (per_second && s[unit - 3] == 'B') {
		factor = size_factor(s, unit - 2);
	} else {
		size_t tail = unit >= 5 && !memcmp(end - 5, "bit/s", 5) ? 5
			      : unit >= 3 && !memcmp(end - 3, "bps", 3) ? 3
									: 0;
		if (tail && unit - tail <= 1)
			factor = unit == tail ? 1 : prefix_power(*s, K);
		divisor = 8;
	}
	if (!factor)
		return -EINVAL;
	uint64_t value;
	r = number_times(&n, factor, &value);
	if (r < 0)
		return r;
	value /= divisor;
	*ret_Bps = value || is_zero(&n) ? value : 1;
	return 0;
}

char *units_format_duration(uint64_t ns, char ret_text[UNITS_TEXT])
{
	if (!ns)
		return strcpy(ret_text, "0s");
	size_t n = 0;
	for (size_t i = 0; i < COUNT(duration_units) && ns; i++) {
		uint64_t count = ns / duration_units[i].factor;
		ns %= duration_units[i].factor;
		if (count)
			n += (size_t)snprintf(ret_text + n, UNITS_TEXT - n, "%llu%s",
					      (unsigned long long)count, duration_units[i].name);
	}
	return ret_text;
}

// The shortest exact form: among the units that divide the value, the one with the smallest count.
static char *format_exact(uint64_t value, const struct unit *units, size_t count,
			  const char *suffix, char *ret_text)
{
	const struct unit *best = &units[count - 1];
	for (size_t i = 0; i < count; i++) {
		if (value && value % units[i].factor == 0 && units[i].factor > best->factor)
			best = &units[i];
	}
	snprintf(ret_text, UNITS_TEXT, "%llu%s%s", (unsigned long long)(value / best->factor),
		 best->name, suffix);
	return ret_text;
}

char *units_format_size(uint64_t bytes, char ret_text[UNITS_TEXT])
{
	return format_exact(bytes, size_units, COUNT(size_units), "", ret_text);
}

char *units_format_rate(uint64_t Bps, char ret_text[UNITS_TEXT])
{
	// Whole kilobits and up read best as bits; byte-sized powers of two as KiB/s.
	if (Bps % 125 == 0 && Bps <= UINT64_MAX / 8)
		return format_exact(Bps * 8, bit_units, COUNT(bit_units), "", ret_text);
	return format_exact(Bps, size_units, COUNT(size_units), "/s", ret_text);
}
