/* SPDX-License-Identifier: MIT */
#include "dom0/cli/topview.h"

#include <stdio.h>
#include <string.h>
#include <xen/domctl.h>
#include <xen/sched.h>

/* Where a cell's text goes. */
#define CELL_MAX 80

struct column {
    const char *heading;
    int width; /* right-aligned; a name's is another one if whole names are shown */
    void (*print)(const struct top_machine *m, const struct top_domain *d, char cell[CELL_MAX]);
    uint64_t (*value)(const struct top_domain *d); /* to sort by; NULL: not by a figure */
};

/* ---- values ---- */

static uint64_t value_cpu(const struct top_domain *d)
{
    return d->cpu_ns;
}

static uint64_t value_cpu_pct(const struct top_domain *d)
{
    return d->cpu_tenths;
}

static uint64_t value_mem(const struct top_domain *d)
{
    return d->mem_kib;
}

static uint64_t value_max(const struct top_domain *d)
{
    return d->max_kib;
}

static uint64_t value_vcpus(const struct top_domain *d)
{
    return d->vcpus;
}

static uint64_t value_vbds(const struct top_domain *d)
{
    return d->vbds;
}

static uint64_t value_reads(const struct top_domain *d)
{
    return d->reads;
}

static uint64_t value_writes(const struct top_domain *d)
{
    return d->writes;
}

static uint64_t value_sectors_read(const struct top_domain *d)
{
    return d->sectors_read;
}

static uint64_t value_sectors_written(const struct top_domain *d)
{
    return d->sectors_written;
}

/* No networks yet; no request ever waits for want of a place for it; no security labels. */
static uint64_t value_none(const struct top_domain *d)
{
    (void)d;
    return 0;
}

/* ---- cells that are no plain number ---- */

static unsigned shutdown_reason(const struct top_domain *d)
{
    return d->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
}

static bool crashed(const struct top_domain *d)
{
    return (d->flags & XEN_DOMINF_shutdown) && shutdown_reason(d) == SHUTDOWN_crash;
}

static void print_name(const struct top_machine *m, const struct top_domain *d, char cell[CELL_MAX])
{
    (void)m;
    snprintf(cell, CELL_MAX, "%s", d->name);
}

static void print_state(const struct top_machine *m, const struct top_domain *d,
                        char cell[CELL_MAX])
{
    uint32_t f = d->flags;

    (void)m;
    snprintf(cell, CELL_MAX, "%c%c%c%c%c%c", f & XEN_DOMINF_dying ? 'd' : '-',
             f & XEN_DOMINF_shutdown ? 's' : '-', f & XEN_DOMINF_blocked ? 'b' : '-',
             crashed(d) ? 'c' : '-', f & XEN_DOMINF_paused ? 'p' : '-',
             f & XEN_DOMINF_running ? 'r' : '-');
}

static void print_seconds(const struct top_machine *m, const struct top_domain *d,
                          char cell[CELL_MAX])
{
    (void)m;
    snprintf(cell, CELL_MAX, "%llu", (unsigned long long)(d->cpu_ns / 1000000000));
}

static void print_tenths(uint64_t tenths, char cell[CELL_MAX])
{
    snprintf(cell, CELL_MAX, "%llu.%llu", (unsigned long long)(tenths / 10),
             (unsigned long long)(tenths % 10));
}

static void print_cpu_pct(const struct top_machine *m, const struct top_domain *d,
                          char cell[CELL_MAX])
{
    (void)m;
    print_tenths(d->cpu_tenths, cell);
}

static void print_mem_pct(const struct top_machine *m, const struct top_domain *d,
                          char cell[CELL_MAX])
{
    print_tenths(topview_tenths(d->mem_kib, m->total_kib), cell);
}

static void print_max(const struct top_machine *m, const struct top_domain *d, char cell[CELL_MAX])
{
    (void)m;
    if (d->max_kib == TOPVIEW_UNLIMITED)
        snprintf(cell, CELL_MAX, "no limit");
    else
        snprintf(cell, CELL_MAX, "%llu", (unsigned long long)d->max_kib);
}

static void print_max_pct(const struct top_machine *m, const struct top_domain *d,
                          char cell[CELL_MAX])
{
    if (d->max_kib == TOPVIEW_UNLIMITED)
        snprintf(cell, CELL_MAX, "n/a");
    else
        print_tenths(topview_tenths(d->max_kib, m->total_kib), cell);
}

/* ---- the table: headings and widths are xentop's ---- */

static const struct column columns[TOP_FIELDS] = {
    [TOP_ID] = {"ID", 0, NULL, NULL},
    [TOP_NAME] = {"NAME", TOPVIEW_NAME_CUT, print_name, NULL},
    [TOP_STATE] = {"STATE", 6, print_state, NULL},
    [TOP_CPU] = {"CPU(sec)", 10, print_seconds, value_cpu},
    [TOP_CPU_PCT] = {"CPU(%)", 6, print_cpu_pct, value_cpu_pct},
    [TOP_MEM] = {"MEM(k)", 10, NULL, value_mem},
    [TOP_MEM_PCT] = {"MEM(%)", 6, print_mem_pct, value_mem},
    [TOP_MAXMEM] = {"MAXMEM(k)", 10, print_max, value_max},
    [TOP_MAX_PCT] = {"MAXMEM(%)", 9, print_max_pct, value_max},
    [TOP_VCPUS] = {"VCPUS", 5, NULL, value_vcpus},
    [TOP_NETS] = {"NETS", 4, NULL, value_none},
    [TOP_NET_TX] = {"NETTX(k)", 8, NULL, value_none},
    [TOP_NET_RX] = {"NETRX(k)", 8, NULL, value_none},
    [TOP_VBDS] = {"VBDS", 4, NULL, value_vbds},
    [TOP_VBD_OO] = {"VBD_OO", 8, NULL, value_none},
    [TOP_VBD_RD] = {"VBD_RD", 8, NULL, value_reads},
    [TOP_VBD_WR] = {"VBD_WR", 8, NULL, value_writes},
    [TOP_VBD_RSECT] = {"VBD_RSECT", 10, NULL, value_sectors_read},
    [TOP_VBD_WSECT] = {"VBD_WSECT", 10, NULL, value_sectors_written},
    [TOP_SSID] = {"SSID", 4, NULL, value_none},
};

static int width_of(unsigned field, unsigned name_width)
{
    return field == TOP_NAME ? (int)name_width : columns[field].width;
}

const char *topview_field_name(enum top_field field)
{
    return columns[field].heading;
}

unsigned topview_tenths(uint64_t part, uint64_t whole)
{
    /* No product of a thousand may overflow: 2^53 ns are 104 days. */
    while ((part | whole) >> 53) {
        part >>= 1;
        whole >>= 1;
    }
    return whole ? (unsigned)((part * 1000 + whole / 2) / whole) : 0;
}

/* ---- order ---- */

/* Does a come before b? */
static bool before(const struct top_domain *a, const struct top_domain *b, enum top_field by)
{
    int order = 0;

    if (columns[by].value) {
        uint64_t va = columns[by].value(a), vb = columns[by].value(b);

        if (va != vb)
            return va > vb;
    } else if (by == TOP_NAME) {
        order = strcmp(a->name, b->name);
    } else if (by == TOP_STATE) {
        char sa[CELL_MAX], sb[CELL_MAX];

        print_state(NULL, a, sa);
        print_state(NULL, b, sb);
        order = strcmp(sa, sb);
    }
    return order ? order < 0 : a->id < b->id;
}

/* By insertion: from one sample to the next little changes. */
void topview_sort(const struct top_domain **domains, unsigned count, enum top_field by)
{
    for (unsigned i = 1; i < count; i++) {
        const struct top_domain *d = domains[i];
        unsigned at = i;

        for (; at > 0 && before(d, domains[at - 1], by); at--)
            domains[at] = domains[at - 1];
        domains[at] = d;
    }
}

/* ---- lines ---- */

static void count_states(const struct top_domain *const *domains, unsigned count,
                         char line[TOPVIEW_LINE_MAX])
{
    unsigned running = 0, blocked = 0, paused = 0, crashes = 0, dying = 0, ended = 0;

    for (unsigned i = 0; i < count; i++) {
        uint32_t f = domains[i]->flags;

        running += (f & XEN_DOMINF_running) != 0;
        blocked += (f & XEN_DOMINF_blocked) != 0;
        paused += (f & XEN_DOMINF_paused) != 0;
        crashes += crashed(domains[i]);
        dying += (f & XEN_DOMINF_dying) != 0;
        ended += (f & XEN_DOMINF_shutdown) != 0;
    }
    snprintf(line, TOPVIEW_LINE_MAX,
             "%u domains: %u running, %u blocked, %u paused, %u crashed, %u dying, %u shutdown",
             count, running, blocked, paused, crashes, dying, ended);
}

void topview_summary(const struct top_machine *m, const struct top_domain *const *domains,
                     unsigned count, unsigned n, char line[TOPVIEW_LINE_MAX])
{
    unsigned day = (unsigned)(m->seconds % 86400);

    switch (n) {
    case 0:
        snprintf(line, TOPVIEW_LINE_MAX, "xentop - %02u:%02u:%02u   Xen %s", day / 3600,
                 day / 60 % 60, day % 60, m->version);
        break;
    case 1:
        count_states(domains, count, line);
        break;
    default:
        snprintf(line, TOPVIEW_LINE_MAX,
                 "Mem: %lluk total, %lluk used, %lluk free    CPUs: %u @ %uMHz",
                 (unsigned long long)m->total_kib, (unsigned long long)(m->total_kib - m->free_kib),
                 (unsigned long long)m->free_kib, m->cpus, m->mhz);
        break;
    }
}

unsigned topview_name_width(const struct top_domain *const *domains, unsigned count, bool whole)
{
    unsigned width = TOPVIEW_NAME_CUT;

    for (unsigned i = 0; whole && i < count; i++)
        if (strlen(domains[i]->name) > width)
            width = (unsigned)strlen(domains[i]->name);
    return width;
}

void topview_heading(unsigned name_width, enum top_field by, char line[TOPVIEW_LINE_MAX],
                     unsigned *from, unsigned *to)
{
    unsigned used = 0;

    *from = *to = 0;
    for (unsigned f = TOP_NAME; f < TOP_FIELDS; f++) {
        const char *heading = columns[f].heading;
        int width = width_of(f, name_width);

        used += (unsigned)snprintf(line + used, TOPVIEW_LINE_MAX - used, "%s%*s",
                                   f == TOP_NAME ? "" : " ", width, heading);
        if (f == by) {
            *from = used - (unsigned)strlen(heading);
            *to = used;
        }
    }
}

void topview_row(const struct top_machine *m, const struct top_domain *d, unsigned name_width,
                 char line[TOPVIEW_LINE_MAX])
{
    unsigned used = 0;

    for (unsigned f = TOP_NAME; f < TOP_FIELDS; f++) {
        int width = width_of(f, name_width);
        char cell[CELL_MAX];

        if (columns[f].print)
            columns[f].print(m, d, cell);
        else
            snprintf(cell, sizeof cell, "%llu", (unsigned long long)columns[f].value(d));
        if (f == TOP_NAME)
            cell[name_width < sizeof cell ? name_width : sizeof cell - 1] = 0;
        used += (unsigned)snprintf(line + used, TOPVIEW_LINE_MAX - used, "%s%*s",
                                   f == TOP_NAME ? "" : " ", width, cell);
        if (used >= TOPVIEW_LINE_MAX - 1)
            break;
    }
}
