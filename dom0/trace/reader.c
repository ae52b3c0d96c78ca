/* SPDX-License-Identifier: MIT */
#include "dom0/trace/reader.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/builder/penumbra.h"

#define BATCH 128u /* records fetched at once, a page */

int trace_mark(void)
{
    struct penumbra_trace op = {0};
    int rc;

    do {
        op.cmd = PENUMBRA_TRACE_mark;
        rc = penumbra_trace(&op);
    } while (rc == 0 && op.count);
    return rc;
}

static int ask(unsigned pcpu, struct penumbra_trace *op)
{
    *op = (struct penumbra_trace){.cmd = PENUMBRA_TRACE_status, .pcpu = pcpu};
    return penumbra_trace(op);
}

/* The time of one record, 0 if it is gone. */
static uint64_t time_of(unsigned pcpu, uint64_t number)
{
    struct trace_record r = {0};
    struct penumbra_trace op = {.cmd = PENUMBRA_TRACE_read,
                                .pcpu = pcpu,
                                .first = number,
                                .count = 1,
                                .buffer = (uint64_t)&r};

    return penumbra_trace(&op) == 0 && op.count == 1 ? TRACE_TIME(&r) : 0;
}

/* A ring that lost records knows nothing of the time before its oldest one. */
static void find_bounds(struct trace_reader *t)
{
    uint64_t earliest = UINT64_MAX, complete = 0;

    for (unsigned p = 0; p < t->pcpus; p++) {
        const struct trace_source *s = &t->source[p];
        uint64_t first, last;

        if (s->next == s->end)
            continue;
        first = time_of(p, s->next);
        last = time_of(p, s->end - 1);
        if (first < earliest)
            earliest = first;
        if (s->next && first > complete)
            complete = first;
        if (last > t->end)
            t->end = last;
    }
    t->begin = complete ? complete : earliest;
    if (t->begin > t->end)
        t->begin = t->end;
}

static int open_source(struct trace_reader *t, unsigned pcpu)
{
    struct trace_source *s = &t->source[pcpu];
    struct penumbra_trace op;
    int rc = ask(pcpu, &op);

    if (rc < 0)
        return rc;
    s->batch = malloc(BATCH * sizeof *s->batch);
    if (!s->batch)
        return -XEN_ENOMEM;
    s->next = op.first;
    s->end = op.first + op.count;
    t->lost += op.first;
    return 0;
}

int trace_reader_open(struct trace_reader *t)
{
    struct penumbra_trace op;
    int rc = ask(0, &op);

    memset(t, 0, sizeof *t);
    if (rc < 0)
        return rc;
    if (!op.kib)
        return -XEN_ENODATA;
    t->kib = op.kib;
    t->on = op.on;
    if (t->on)
        rc = trace_mark();
    t->source = calloc(op.pcpus, sizeof *t->source);
    if (!t->source)
        return -XEN_ENOMEM;
    for (t->pcpus = 0; rc == 0 && t->pcpus < op.pcpus; t->pcpus++)
        rc = open_source(t, t->pcpus);
    if (rc < 0)
        trace_reader_close(t);
    else
        find_bounds(t);
    return rc;
}

void trace_reader_close(struct trace_reader *t)
{
    for (unsigned p = 0; t->source && p < t->pcpus; p++)
        free(t->source[p].batch);
    free(t->source);
    t->source = NULL;
    t->pcpus = 0;
}

static void fetch(struct trace_reader *t, unsigned pcpu)
{
    struct trace_source *s = &t->source[pcpu];
    uint64_t want = s->end - s->next;
    struct penumbra_trace op = {.cmd = PENUMBRA_TRACE_read,
                                .pcpu = pcpu,
                                .first = s->next,
                                .count = want < BATCH ? want : BATCH,
                                .buffer = (uint64_t)s->batch};

    s->at = s->count = 0;
    if (want == 0 || penumbra_trace(&op) < 0 || op.count == 0 || op.first >= s->end) {
        s->next = s->end;
        return;
    }
    t->lost += op.first - s->next;
    s->next = op.first + op.count;
    s->count = (unsigned)op.count;
    if (s->next > s->end) { /* it was overtaken, and got newer ones than it wanted */
        s->count -= (unsigned)(s->next - s->end);
        s->next = s->end;
    }
}

static const struct trace_record *peek(struct trace_reader *t, unsigned pcpu)
{
    struct trace_source *s = &t->source[pcpu];

    if (s->at == s->count)
        fetch(t, pcpu);
    return s->at < s->count ? &s->batch[s->at] : NULL;
}

const struct trace_record *trace_reader_next_of(struct trace_reader *t, unsigned pcpu)
{
    const struct trace_record *r = peek(t, pcpu);

    if (r)
        t->source[pcpu].at++;
    return r;
}

const struct trace_record *trace_reader_next(struct trace_reader *t, unsigned *pcpu)
{
    const struct trace_record *first = NULL;

    for (unsigned p = 0; p < t->pcpus; p++) {
        const struct trace_record *r = peek(t, p);

        if (r && (!first || TRACE_TIME(r) < TRACE_TIME(first))) {
            first = r;
            *pcpu = p;
        }
    }
    if (first)
        t->source[*pcpu].at++;
    return first;
}
