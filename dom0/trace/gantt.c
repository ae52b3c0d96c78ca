/* SPDX-License-Identifier: MIT */
#include "dom0/trace/gantt.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/vcpu.h>

int gantt_init(struct gantt *g, uint64_t from, uint64_t to, unsigned pcpus)
{
    *g = (struct gantt){.from = from, .to = to, .pcpus = pcpus};
    g->cell = calloc((size_t)pcpus * GANTT_COLUMNS, sizeof *g->cell);
    g->busy = calloc(pcpus, sizeof *g->busy);
    if (g->cell && g->busy)
        return 0;
    gantt_free(g);
    return -XEN_ENOMEM;
}

void gantt_free(struct gantt *g)
{
    free(g->cell);
    free(g->busy);
    free(g->lane);
    *g = (struct gantt){0};
}

/* ---- lanes ---- */

/* Where this vCPU's lane is, or would be. */
static size_t lane_slot(const struct gantt *g, uint32_t vcpu)
{
    size_t low = 0, high = g->lanes;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (g->lane[middle].vcpu < vcpu)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct gantt_lane *lane_of(struct gantt *g, uint32_t vcpu)
{
    size_t i = lane_slot(g, vcpu);
    struct gantt_lane *more;

    if (i < g->lanes && g->lane[i].vcpu == vcpu)
        return &g->lane[i];
    more = realloc(g->lane, (g->lanes + 1) * sizeof *more);
    if (!more)
        return NULL;
    g->lane = more;
    memmove(&more[i + 1], &more[i], (g->lanes - i) * sizeof *more);
    g->lanes++;
    more[i] = (struct gantt_lane){.vcpu = vcpu, .state = -1};
    return &more[i];
}

/* ---- stays in a state ---- */

static void add_to_cell(struct gantt_cell *cell, uint32_t domid, uint64_t ns)
{
    unsigned least = 0;

    for (unsigned i = 0; i < GANTT_TOP; i++) {
        if (cell->top[i].ns && cell->top[i].domid == domid) {
            cell->top[i].ns += ns;
            return;
        }
        if (cell->top[i].ns < cell->top[least].ns)
            least = i;
    }
    if (ns > cell->top[least].ns) {
        cell->top[least].domid = domid;
        cell->top[least].ns = ns;
    }
}

/* Column c begins there. */
static uint64_t column_begin(const struct gantt *g, unsigned c)
{
    uint64_t span = g->to - g->from;

    return g->from + span / GANTT_COLUMNS * c + span % GANTT_COLUMNS * c / GANTT_COLUMNS;
}

static void add_part(struct gantt *g, struct gantt_lane *l, unsigned column, uint64_t ns)
{
    if (l->state == RUNSTATE_running) {
        l->ran_in[column] += ns;
        l->ran += ns;
        if (l->pcpu < g->pcpus) {
            add_to_cell(&g->cell[l->pcpu * GANTT_COLUMNS + column], l->vcpu >> 16, ns);
            g->busy[l->pcpu] += ns;
        }
    } else if (l->state == RUNSTATE_runnable) {
        l->waited_in[column] += ns;
        l->waited += ns;
    }
}

/* The lane's present stay ends. */
static void add_stay(struct gantt *g, struct gantt_lane *l, uint64_t end)
{
    uint64_t from = l->since > g->from ? l->since : g->from, to = end < g->to ? end : g->to;

    if (l->state != RUNSTATE_running && l->state != RUNSTATE_runnable)
        return;
    for (unsigned c = 0; c < GANTT_COLUMNS && from < to; c++) {
        uint64_t until = column_begin(g, c + 1);

        if (from >= until)
            continue;
        if (until > to)
            until = to;
        add_part(g, l, c, until - from);
        from = until;
    }
}

static void enter(struct gantt_lane *l, int state, unsigned pcpu, uint64_t since)
{
    l->state = state;
    l->pcpu = pcpu;
    l->since = since;
}

int gantt_add(struct gantt *g, unsigned pcpu, const struct trace_record *r)
{
    uint32_t event = TRC_HD_TO_EVENT(r->header);
    bool change = TRACE_IS_RUNSTATE(event);
    uint64_t now = TRACE_TIME(r);
    struct gantt_lane *l;

    if (!change && event != TRACE_STATE)
        return 0;
    l = lane_of(g, r->word[0]);
    if (!l)
        return -XEN_ENOMEM;
    if (change) {
        if (l->state < 0) /* the trace begins in the middle of this stay */
            enter(l, (int)TRACE_RUNSTATE_FROM(event), pcpu, 0);
        add_stay(g, l, now);
        enter(l, (int)TRACE_RUNSTATE_TO(event), pcpu, now);
    } else if (l->state < 0) {
        enter(l, (int)(r->word[1] >> 16), r->word[1] & 0xffff,
              (uint64_t)r->word[3] << 32 | r->word[2]);
    }
    return 0;
}

void gantt_end(struct gantt *g, uint64_t end)
{
    for (size_t i = 0; i < g->lanes; i++) {
        add_stay(g, &g->lane[i], end);
        g->lane[i].state = -1;
    }
}

/* ---- rows ---- */

char gantt_letter(const struct gantt *g, uint32_t domid)
{
    uint32_t last = 0;
    unsigned n = 0;

    if (domid == 0)
        return '0';
    for (size_t i = 0; i < g->lanes; i++) {
        uint32_t d = g->lane[i].vcpu >> 16;

        if (d == 0 || d == last)
            continue;
        if (d == domid)
            return n < 26 ? (char)('a' + n) : n < 52 ? (char)('A' + n - 26) : '*';
        last = d;
        n++;
    }
    return '*';
}

void gantt_pcpu_row(const struct gantt *g, unsigned pcpu, char row[GANTT_COLUMNS + 1])
{
    for (unsigned c = 0; c < GANTT_COLUMNS; c++) {
        const struct gantt_cell *cell = &g->cell[pcpu * GANTT_COLUMNS + c];
        uint64_t all = 0;
        unsigned most = 0;

        for (unsigned i = 0; i < GANTT_TOP; i++) {
            all += cell->top[i].ns;
            if (cell->top[i].ns > cell->top[most].ns)
                most = i;
        }
        /* Idle for most of the time counts as idle, unless somebody was there longest. */
        row[c] = all && cell->top[most].ns >= column_begin(g, c + 1) - column_begin(g, c) - all
                     ? gantt_letter(g, cell->top[most].domid)
                     : '.';
    }
    row[GANTT_COLUMNS] = 0;
}

void gantt_vcpu_row(const struct gantt *g, const struct gantt_lane *lane,
                    char row[GANTT_COLUMNS + 1])
{
    for (unsigned c = 0; c < GANTT_COLUMNS; c++) {
        uint64_t width = column_begin(g, c + 1) - column_begin(g, c);
        uint64_t ran = lane->ran_in[c], waited = lane->waited_in[c];

        row[c] = ran && 2 * ran >= width ? '#' : ran ? '+' : 2 * waited >= width ? '-' : ' ';
        if (!ran && !waited)
            row[c] = ' ';
    }
    row[GANTT_COLUMNS] = 0;
}
