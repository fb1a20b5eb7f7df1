// SPDX-License-Identifier: Apache-2.0
// The rule at the end of a TZif file: a POSIX TZ string with the extensions of RFC 8536.
#include "config/posix_tz.h"

#include <errno.h>

#define DAY 86400

struct scan {
	const char *at, *end;
};

static bool take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

// "CET" or "<+0330>".
static bool take_name(struct scan *s)
{
	const char *begin;
	bool quoted = take(s, '<');

	for (begin = s->at; s->at < s->end; s->at++)
		if (!is_letter(*s->at) &&
		    !(quoted && (is_digit(*s->at) || *s->at == '+' || *s->at == '-')))
			break;
	return s->at - begin >= 3 && (!quoted || take(s, '>'));
}

static bool take_number(struct scan *s, int max, int *ret)
{
	const char *begin = s->at;
	int n = 0;

	for (; s->at < s->end && is_digit(*s->at) && s->at - begin < 4; s->at++)
		n = n * 10 + (*s->at - '0');
	*ret = n;
	return s->at > begin && n <= max;
}

// [+-]hh[:mm[:ss]]
static bool take_clock(struct scan *s, int max_hours, int32_t *ret_seconds)
{
	int h, m = 0, sec = 0;
	bool minus = take(s, '-');

	if (!minus)
		take(s, '+');
	if (!take_number(s, max_hours, &h))
		return false;
	if (take(s, ':') &&
	    (!take_number(s, 59, &m) || (take(s, ':') && !take_number(s, 59, &sec))))
		return false;
	*ret_seconds = (h * 3600 + m * 60 + sec) * (minus ? -1 : 1);
	return true;
}

static bool take_change(struct scan *s, struct posix_tz_change *ret)
{
	struct posix_tz_change c = {.seconds = 2 * 3600};

	if (take(s, 'M')) {
		c.kind = POSIX_TZ_MONTH;
		if (!take_number(s, 12, &c.month) || !take(s, '.') || !take_number(s, 5, &c.week) ||
		    !take(s, '.') || !take_number(s, 6, &c.day) || !c.month || !c.week)
			return false;
	} else if (take(s, 'J')) {
		c.kind = POSIX_TZ_JULIAN;
		if (!take_number(s, 365, &c.day) || !c.day)
			return false;
	} else {
		c.kind = POSIX_TZ_YEAR_DAY;
		if (!take_number(s, 365, &c.day))
			return false;
	}
	if (take(s, '/') && !take_clock(s, 167, &c.seconds))
		return false;
	*ret = c;
	return true;
}

int posix_tz_parse(const char *text, size_t len, struct posix_tz *ret_tz)
{
	struct scan s = {text, text + len};
	struct posix_tz tz = {0};
	int32_t west;

	if (!take_name(&s) || !take_clock(&s, 24, &west))
		return -EINVAL;
	tz.standard = -west;
	if (s.at < s.end) {
		tz.has_daylight = true;
		tz.daylight = tz.standard + 3600;
		if (!take_name(&s))
			return -EINVAL;
		if (s.at < s.end && *s.at != ',') {
			if (!take_clock(&s, 24, &west))
				return -EINVAL;
			tz.daylight = -west;
		}
		if (!take(&s, ',') || !take_change(&s, &tz.start) || !take(&s, ',') ||
		    !take_change(&s, &tz.end) || s.at != s.end)
			return -EINVAL;
	}
	*ret_tz = tz;
	return 0;
}

// Days from 1970-01-01 to that day of the proleptic Gregorian calendar; month 1 to 12.
static int64_t days_until(int year, int month, int day)
{
	int y = month <= 2 ? year - 1 : year;
	int era = (y >= 0 ? y : y - 399) / 400;
	int of_era = y - era * 400;
	int of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int posix_tz_year(int64_t wall_seconds)
{
	int year = (int)(1970 + wall_seconds / 31556952);

	while (wall_seconds < days_until(year, 1, 1) * DAY)
		year--;
	while (wall_seconds >= days_until(year + 1, 1, 1) * DAY)
		year++;
	return year;
}

// The day of a change in that year, in days since 1970.
static int64_t change_day(const struct posix_tz_change *c, int year)
{
	int64_t first, day;
	int weekday;

	switch (c->kind) {
	case POSIX_TZ_JULIAN:
		return days_until(year, 1, 1) + c->day - 1 + (is_leap(year) && c->day >= 60);
	case POSIX_TZ_YEAR_DAY:
		return days_until(year, 1, 1) + c->day;
	case POSIX_TZ_MONTH:
		break;
	}
	first = days_until(year, c->month, 1);
	weekday = (int)(((first + 4) % 7 + 7) % 7); // 1970-01-01 was a Thursday
	day = first + (c->day - weekday + 7) % 7 + (c->week - 1) * 7;
	if (day >=
	    (c->month == 12 ? days_until(year + 1, 1, 1) : days_until(year, c->month + 1, 1)))
		day -= 7;
	return day;
}

void posix_tz_changes(const struct posix_tz *tz, int year, int64_t *ret_start, int64_t *ret_end)
{
	*ret_start = change_day(&tz->start, year) * DAY + tz->start.seconds - tz->standard;
	*ret_end = change_day(&tz->end, year) * DAY + tz->end.seconds - tz->daylight;
}
