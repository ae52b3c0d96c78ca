/* SPDX-License-Identifier: MIT */
#include "dom0/builder/penumbra.h"

#include <string.h>

#include <rt/hypercall.h>

static void begin(struct penumbra_op *op, uint32_t cmd, domid_t domid)
{
    memset(op, 0, sizeof *op);
    op->cmd = cmd;
    op->interface_version = PENUMBRA_INTERFACE_VERSION;
    op->domid = domid;
}

int penumbra_counters(domid_t domid, struct penumbra_counters *counters)
{
    struct penumbra_op op;
    int rc;

    begin(&op, PENUMBRA_OP_counters, domid);
    rc = (int)hypercall_arch_2(&op);
    if (rc == 0)
        *counters = op.u.counters;
    return rc;
}

int penumbra_walk(domid_t domid, struct penumbra_walk *walk)
{
    struct penumbra_op op;
    int rc;

    begin(&op, PENUMBRA_OP_walk, domid);
    op.u.walk = *walk;
    rc = (int)hypercall_arch_2(&op);
    if (rc == 0)
        *walk = op.u.walk;
    return rc;
}

int penumbra_get_store_mode(domid_t domid, struct penumbra_store_mode *mode)
{
    struct penumbra_op op;
    int rc;

    begin(&op, PENUMBRA_OP_get_store_mode, domid);
    rc = (int)hypercall_arch_2(&op);
    if (rc == 0)
        *mode = op.u.store_mode;
    return rc;
}

int penumbra_set_store_mode(domid_t domid, unsigned mode)
{
    struct penumbra_op op;

    begin(&op, PENUMBRA_OP_set_store_mode, domid);
    op.u.store_mode.mode = (uint8_t)mode;
    return (int)hypercall_arch_2(&op);
}

int penumbra_trace(struct penumbra_trace *t)
{
    struct penumbra_op op;
    int rc;

    begin(&op, PENUMBRA_OP_trace, 0);
    op.u.trace = *t;
    rc = (int)hypercall_arch_2(&op);
    if (rc == 0)
        *t = op.u.trace;
    return rc;
}

int penumbra_scheduler(uint32_t index, struct penumbra_scheduler *scheduler)
{
    struct penumbra_op op;
    int rc;

    begin(&op, PENUMBRA_OP_scheduler, 0);
    op.u.scheduler.index = index;
    rc = (int)hypercall_arch_2(&op);
    if (rc == 0)
        *scheduler = op.u.scheduler;
    return rc;
}
