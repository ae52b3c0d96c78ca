/* SPDX-License-Identifier: MIT */
#include "dom0/blk/iotrace.h"

#include <stdlib.h>
#include <xen/errno.h>

#include <rt/clock.h>
#include <rt/thread.h>

#define RECORDS 1024u /* a power of two */

domid_t iotrace_domid = DOMID_INVALID;

/* Written by disks' threads and the driver's, all on one vCPU and none waiting in here. */
static struct {
    struct iotrace_record *ring;
    uint64_t head; /* handle of the next record; the ring holds those up to RECORDS before it */
    uint64_t tail; /* of the next one to be read */
    uint64_t lost;
    struct waitq reader;
} trace;

uint64_t iotrace_begin(const struct iotrace_record *record)
{
    uint64_t handle = trace.head;
    struct iotrace_record *r = &trace.ring[handle % RECORDS];

    if (handle - trace.tail == RECORDS) {
        trace.tail++;
        trace.lost++;
    }
    *r = *record;
    r->begin = clock_ns();
    r->end = 0;
    trace.head++;
    return handle;
}

void iotrace_end(uint64_t handle, int status)
{
    struct iotrace_record *r;

    if (!trace.ring || !handle || handle - trace.tail >= trace.head - trace.tail)
        return;
    r = &trace.ring[handle % RECORDS];
    r->end = clock_ns();
    r->status = status;
    waitq_wake(&trace.reader);
}

int iotrace_start(domid_t domid)
{
    if (trace.ring)
        return -XEN_EBUSY;
    trace.ring = calloc(RECORDS, sizeof(*trace.ring));
    if (!trace.ring)
        return -XEN_ENOMEM;
    /* Handles of a trace before, which requests in flight may still have, are none of this one. */
    trace.head += RECORDS;
    trace.tail = trace.head;
    trace.lost = 0;
    waitq_init(&trace.reader);
    iotrace_domid = domid;
    return 0;
}

void iotrace_stop(void)
{
    iotrace_domid = DOMID_INVALID;
    free(trace.ring);
    trace.ring = NULL;
}

static bool ready(void)
{
    return trace.tail != trace.head && trace.ring[trace.tail % RECORDS].end;
}

bool iotrace_read(struct iotrace_record *record, uint64_t ns, uint64_t *lost)
{
    wait_event_timeout(&trace.reader, ready(), ns);
    *lost = trace.lost;
    if (!ready())
        return false;
    *record = trace.ring[trace.tail++ % RECORDS];
    return true;
}
