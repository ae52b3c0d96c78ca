/* SPDX-License-Identifier: MIT */
/*
 * A window of a trace as a chart of characters: a row for each pCPU, with the letter of the domain
 * that it ran longest in each column's time, and a row for each vCPU that did anything. Pure.
 *
 * Records are added in the order of time, from before the window on, so that it is known who ran
 * when it begins.
 */
#ifndef DOM0_TRACE_GANTT_H
#define DOM0_TRACE_GANTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/public/trace.h"

#define GANTT_COLUMNS 60
#define GANTT_TOP     4

struct gantt_lane {
    uint32_t vcpu; /* TRACE_VCPU() */
    int state;     /* RUNSTATE_*, -1: not known yet */
    unsigned pcpu;
    uint64_t since;
    uint64_t ran, waited; /* ns in the window */
    uint64_t ran_in[GANTT_COLUMNS], waited_in[GANTT_COLUMNS];
};

struct gantt {
    uint64_t from, to; /* the window, ns */
    unsigned pcpus;
    struct gantt_lane *lane; /* sorted by vcpu */
    size_t lanes;
    bool no_memory;
    struct gantt_cell { /* the domains that ran longest, in any order; more are forgotten */
        struct {
            uint32_t domid;
            uint64_t ns;
        } top[GANTT_TOP];
    } * cell;       /* pcpus * GANTT_COLUMNS */
    uint64_t *busy; /* ns, of each pCPU */
};

/* to > from, pcpus > 0. -XEN_ENOMEM. */
int gantt_init(struct gantt *g, uint64_t from, uint64_t to, unsigned pcpus);
void gantt_free(struct gantt *g);
/* -XEN_ENOMEM: the chart is worth nothing. */
int gantt_add(struct gantt *g, unsigned pcpu, const struct trace_record *r);
/* After the last record: `end` is the end of the trace. */
void gantt_end(struct gantt *g, uint64_t end);

/* A domain's letter: 0 for domain 0, others a to z, A to Z, in the order of their numbers; then *.
 */
char gantt_letter(const struct gantt *g, uint32_t domid);
void gantt_pcpu_row(const struct gantt *g, unsigned pcpu, char row[GANTT_COLUMNS + 1]);
/* '#' it ran at least half of the time, '+' some of it, '-' it waited, ' ' it slept. */
void gantt_vcpu_row(const struct gantt *g, const struct gantt_lane *lane,
                    char row[GANTT_COLUMNS + 1]);

#endif
