/* SPDX-License-Identifier: MIT */
#include "dom0/config/cpulist.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

static const char *skip_spaces(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

/* One CPU number; NULL if there is none or it is too large. */
static const char *read_cpu(const char *s, unsigned *cpu)
{
    unsigned n = 0;

    if (*s < '0' || *s > '9')
        return NULL;
    for (; *s >= '0' && *s <= '9'; s++) {
        n = n * 10 + (unsigned)(*s - '0');
        if (n >= CPULIST_MAX)
            return NULL;
    }
    *cpu = n;
    return skip_spaces(s);
}

static uint64_t range_mask(unsigned first, unsigned last)
{
    uint64_t upto = last == 63 ? ~0ull : (1ull << (last + 1)) - 1;

    return upto & ~((1ull << first) - 1);
}

/* One member of the list without its `^`: a number, a range, or "all". */
static const char *read_member(const char *s, uint64_t *mask)
{
    unsigned first, last;

    if (!strncmp(s, "all", 3)) {
        *mask = ~0ull;
        return skip_spaces(s + 3);
    }
    s = read_cpu(s, &first);
    if (!s)
        return NULL;
    last = first;
    if (*s == '-')
        s = read_cpu(skip_spaces(s + 1), &last);
    if (!s || last < first)
        return NULL;
    *mask = range_mask(first, last);
    return s;
}

int cpulist_parse(const char *text, uint64_t *mask, struct cfg_error *err)
{
    const char *s = skip_spaces(text);
    uint64_t result = *s == '^' ? ~0ull : 0;

    for (;;) {
        bool without = *s == '^';
        uint64_t member;

        s = read_member(without ? skip_spaces(s + 1) : s, &member);
        if (!s || (*s && *s != ',')) {
            cfg_error_set(err,
                          "bad CPU list \"%.60s\": write CPU numbers below %d like \"0-1,3\", "
                          "\"all\" or \"all,^2\"",
                          text, CPULIST_MAX);
            return -XEN_EINVAL;
        }
        result = without ? result & ~member : result | member;
        if (!*s)
            break;
        s = skip_spaces(s + 1);
    }
    if (!result) {
        cfg_error_set(err, "the CPU list \"%.60s\" leaves no CPU: name at least one", text);
        return -XEN_EINVAL;
    }
    *mask = result;
    return 0;
}

char *cpulist_format(uint64_t mask, unsigned cpu_count, char *buf, size_t size)
{
    uint64_t every = cpu_count >= CPULIST_MAX ? ~0ull : (1ull << cpu_count) - 1;
    size_t used = 0;

    mask &= every;
    if (mask == every || !mask) {
        snprintf(buf, size, "%s", mask ? "all" : "none");
        return buf;
    }
    for (unsigned cpu = 0; cpu < CPULIST_MAX; cpu++) {
        unsigned last = cpu;
        int n;

        if (!(mask >> cpu & 1))
            continue;
        while (last + 1 < CPULIST_MAX && (mask >> (last + 1) & 1))
            last++;
        if (last > cpu)
            n = snprintf(buf + used, size - used, "%s%u-%u", used ? "," : "", cpu, last);
        else
            n = snprintf(buf + used, size - used, "%s%u", used ? "," : "", cpu);
        if (n < 0 || (size_t)n >= size - used)
            break;
        used += (size_t)n;
        cpu = last;
    }
    return buf;
}
