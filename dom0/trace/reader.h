/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's trace, read ring by ring, or as one stream in the order of time. Tracing may go
 * on meanwhile: what comes after trace_reader_open() is left out, and what is overwritten before
 * it was read counts as lost. For threads of dom0.
 */
#ifndef DOM0_TRACE_READER_H
#define DOM0_TRACE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/public/trace.h"

struct trace_reader {
    unsigned pcpus;
    uint32_t kib;  /* of each ring */
    bool on;       /* tracing goes on */
    uint64_t lost; /* records that were overwritten */
    /* ns: from when on nothing is missing, and the last record; the same if there is none */
    uint64_t begin, end;
    struct trace_source {
        uint64_t next, end; /* numbers of records: the one to be fetched, one past the last */
        struct trace_record *batch;
        unsigned at, count; /* of the batch */
    } * source;             /* one a pCPU */
};

/* Looks what there is. While tracing is on, the present state of every vCPU is recorded first. 0;
 * -XEN_ENODATA: there are no rings; -XEN_ENOMEM; or what the hypervisor said. */
int trace_reader_open(struct trace_reader *t);
void trace_reader_close(struct trace_reader *t);

/* The next record of one ring, NULL at its end. Good until the next call. */
const struct trace_record *trace_reader_next_of(struct trace_reader *t, unsigned pcpu);
/* The earliest of all rings. */
const struct trace_record *trace_reader_next(struct trace_reader *t, unsigned *pcpu);

/* Records the present state of every vCPU. */
int trace_mark(void);

#endif
