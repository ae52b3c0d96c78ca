/* SPDX-License-Identifier: MIT */
#include "dom0/builder/sysctl.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include <rt/hypercall.h>

#include "hv/public/penumbra.h"

/* Counters that are believed; more would be a mistake. */
#define COUNTERS_MAX 4096

#define DOMAINS_AT_ONCE 64

static void begin(struct xen_sysctl *op, uint32_t cmd)
{
    memset(op, 0, sizeof *op);
    op->cmd = cmd;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
}

int sysctl_physinfo(struct xen_sysctl_physinfo *info)
{
    struct xen_sysctl op;
    int rc;

    begin(&op, XEN_SYSCTL_physinfo);
    rc = (int)hypercall_sysctl(&op);
    if (rc == 0)
        *info = op.u.physinfo;
    return rc;
}

int sysctl_sched_id(uint32_t *sched_id)
{
    struct xen_sysctl op;
    int rc;

    begin(&op, XEN_SYSCTL_sched_id);
    rc = (int)hypercall_sysctl(&op);
    if (rc == 0)
        *sched_id = op.u.sched_id.sched_id;
    return rc;
}

/* Asks for a pool's parameters; *us is where the answer has the rate limit. */
static int get_parameters(struct xen_sysctl *op, uint32_t pool, uint32_t sched_id, uint32_t **us)
{
    begin(op, XEN_SYSCTL_scheduler_op);
    op->u.scheduler_op.cpupool_id = pool;
    op->u.scheduler_op.sched_id = sched_id;
    op->u.scheduler_op.cmd = XEN_SYSCTL_SCHEDOP_getinfo;
    if (sched_id == XEN_SCHEDULER_CREDIT)
        *us = &op->u.scheduler_op.u.sched_credit.ratelimit_us;
    else if (sched_id == XEN_SCHEDULER_CREDIT2 || sched_id >= PENUMBRA_SCHEDULER_RR)
        *us = &op->u.scheduler_op.u.sched_credit2.ratelimit_us;
    else
        return -XEN_EOPNOTSUPP;
    return (int)hypercall_sysctl(op);
}

int sysctl_get_ratelimit(uint32_t pool, uint32_t sched_id, uint32_t *us)
{
    struct xen_sysctl op;
    uint32_t *field;
    int rc = get_parameters(&op, pool, sched_id, &field);

    if (rc == 0)
        *us = *field;
    return rc;
}

int sysctl_set_ratelimit(uint32_t pool, uint32_t sched_id, uint32_t us)
{
    struct xen_sysctl op;
    uint32_t *field;
    int rc = get_parameters(&op, pool, sched_id, &field);

    if (rc < 0)
        return rc;
    *field = us;
    op.u.scheduler_op.cmd = XEN_SYSCTL_SCHEDOP_putinfo;
    return (int)hypercall_sysctl(&op);
}

int sysctl_domains(domid_t first, struct xen_domctl_getdomaininfo *infos, unsigned max)
{
    struct xen_sysctl op;
    int rc;

    begin(&op, XEN_SYSCTL_getdomaininfolist);
    op.u.getdomaininfolist.first_domain = first;
    op.u.getdomaininfolist.max_domains = max;
    set_xen_guest_handle(op.u.getdomaininfolist.buffer, infos);
    rc = (int)hypercall_sysctl(&op);
    if (rc < 0)
        return rc;
    return op.u.getdomaininfolist.num_domains < max ? (int)op.u.getdomaininfolist.num_domains
                                                    : (int)max;
}

int sysctl_each_domain(void (*fn)(void *ctx, const struct xen_domctl_getdomaininfo *info),
                       void *ctx)
{
    struct xen_domctl_getdomaininfo *infos = calloc(DOMAINS_AT_ONCE, sizeof *infos);
    int count = infos ? sysctl_domains(0, infos, DOMAINS_AT_ONCE) : -XEN_ENOMEM;

    while (count > 0) {
        unsigned next = infos[count - 1].domain + 1u;

        for (int i = 0; i < count; i++)
            fn(ctx, &infos[i]);
        if (count < DOMAINS_AT_ONCE || next >= DOMID_FIRST_RESERVED)
            break;
        count = sysctl_domains((domid_t)next, infos, DOMAINS_AT_ONCE);
    }
    free(infos);
    return count < 0 ? count : 0;
}

static int read_console(char *buf, unsigned size, uint32_t *index, bool clear)
{
    struct xen_sysctl op;
    int rc;

    begin(&op, XEN_SYSCTL_readconsole);
    op.u.readconsole.clear = clear;
    op.u.readconsole.incremental = 1;
    op.u.readconsole.index = *index;
    op.u.readconsole.count = size;
    set_xen_guest_handle(op.u.readconsole.buffer, buf);
    rc = (int)hypercall_sysctl(&op);
    if (rc < 0)
        return rc;
    *index = op.u.readconsole.index;
    return (int)(op.u.readconsole.count < size ? op.u.readconsole.count : size);
}

int sysctl_read_log(char *buf, unsigned size, uint32_t *index)
{
    return read_console(buf, size, index, false);
}

int sysctl_clear_log(void)
{
    uint32_t index = 0;
    char byte;
    int rc = read_console(&byte, 1, &index, true);

    return rc < 0 ? rc : 0;
}

static int query_counters(struct xen_sysctl *op, struct xen_sysctl_perfc_desc *descs,
                          uint32_t *values)
{
    begin(op, XEN_SYSCTL_perfc_op);
    op->u.perfc_op.cmd = XEN_SYSCTL_PERFCOP_query;
    set_xen_guest_handle(op->u.perfc_op.desc, descs);
    set_xen_guest_handle(op->u.perfc_op.val, values);
    return (int)hypercall_sysctl(op);
}

int sysctl_counters(void (*fn)(void *ctx, const char *name, uint64_t value), void *ctx)
{
    struct xen_sysctl_perfc_desc *descs;
    uint32_t *values, counters, total, at = 0;
    struct xen_sysctl op;
    int rc = query_counters(&op, NULL, NULL); /* how many are there? */

    if (rc < 0)
        return rc;
    counters = op.u.perfc_op.nr_counters;
    total = op.u.perfc_op.nr_vals;
    if (counters > COUNTERS_MAX || total > COUNTERS_MAX * 64)
        return -XEN_EINVAL;
    descs = calloc(counters + 1, sizeof *descs);
    values = calloc(total + 1, sizeof *values);
    rc = descs && values ? query_counters(&op, descs, values) : -XEN_ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < counters; i++) {
        uint64_t sum = 0;

        for (uint32_t n = 0; n < descs[i].nr_vals && at < total; n++)
            sum += values[at++];
        descs[i].name[sizeof descs[i].name - 1] = 0;
        fn(ctx, descs[i].name, sum);
    }
    free(descs);
    free(values);
    return rc;
}
