/* SPDX-License-Identifier: MIT */
#include "dom0/builder/cpupool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>

#include <rt/hypercall.h>

#include "dom0/builder/penumbra.h"
#include "dom0/config/xlcfg.h"
#include "dom0/store/store.h"

#define POOL_NODE "/local/pool/%u"
#define PATH_MAX  48

static void begin(struct xen_sysctl *op, uint32_t cmd, uint32_t id)
{
    memset(op, 0, sizeof *op);
    op->cmd = XEN_SYSCTL_cpupool_op;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    op->u.cpupool_op.op = cmd;
    op->u.cpupool_op.cpupool_id = id;
}

int cpupool_next(uint32_t id, struct cpupool *pool)
{
    struct xen_sysctl op;
    int rc;

    begin(&op, XEN_SYSCTL_CPUPOOL_OP_INFO, id);
    pool->cpus = 0;
    set_xen_guest_handle(op.u.cpupool_op.cpumap.bitmap, (uint8_t *)&pool->cpus);
    op.u.cpupool_op.cpumap.nr_bits = 64;
    rc = (int)hypercall_sysctl(&op);
    if (rc < 0)
        return rc;
    pool->id = op.u.cpupool_op.cpupool_id;
    pool->sched_id = op.u.cpupool_op.sched_id;
    pool->domains = op.u.cpupool_op.n_dom;
    return 0;
}

int cpupool_info(uint32_t id, struct cpupool *pool)
{
    int rc = cpupool_next(id, pool);

    return rc == 0 && pool->id != id ? -XEN_ENOENT : rc;
}

char *cpupool_name(uint32_t id, char buf[CPUPOOL_NAME_MAX])
{
    char path[PATH_MAX], *name;

    snprintf(path, sizeof path, POOL_NODE "/name", id);
    name = store_read(path);
    if (name && *name)
        snprintf(buf, CPUPOOL_NAME_MAX, "%s", name);
    else
        snprintf(buf, CPUPOOL_NAME_MAX, "Pool-%u", id);
    free(name);
    return buf;
}

int cpupool_find(const char *name_or_number, struct cpupool *pool)
{
    char name[CPUPOOL_NAME_MAX], number[16];
    uint32_t id = 0;
    int rc;

    for (; (rc = cpupool_next(id, pool)) == 0; id = pool->id + 1) {
        snprintf(number, sizeof number, "%u", pool->id);
        if (!strcmp(name_or_number, cpupool_name(pool->id, name)) ||
            !strcmp(name_or_number, number))
            return 0;
    }
    return rc;
}

bool cpupool_name_valid(const char *name)
{
    return strlen(name) < CPUPOOL_NAME_MAX && xlcfg_name_valid(name);
}

int cpupool_free_cpus(uint64_t *cpus)
{
    struct xen_sysctl op;

    begin(&op, XEN_SYSCTL_CPUPOOL_OP_FREEINFO, 0);
    *cpus = 0;
    set_xen_guest_handle(op.u.cpupool_op.cpumap.bitmap, (uint8_t *)cpus);
    op.u.cpupool_op.cpumap.nr_bits = 64;
    return (int)hypercall_sysctl(&op);
}

/* ---- changes ---- */

int cpupool_rename(uint32_t id, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, POOL_NODE "/name", id);
    return store_write(path, name);
}

int cpupool_create(const char *name, uint32_t sched_id, uint32_t *id)
{
    struct xen_sysctl op;
    int rc;

    begin(&op, XEN_SYSCTL_CPUPOOL_OP_CREATE, XEN_SYSCTL_CPUPOOL_PAR_ANY);
    op.u.cpupool_op.sched_id = sched_id;
    rc = (int)hypercall_sysctl(&op);
    if (rc < 0)
        return rc;
    *id = op.u.cpupool_op.cpupool_id;
    rc = cpupool_rename(*id, name);
    if (rc < 0)
        cpupool_destroy(*id);
    return rc;
}

int cpupool_destroy(uint32_t id)
{
    struct xen_sysctl op;
    char path[PATH_MAX];
    int rc;

    begin(&op, XEN_SYSCTL_CPUPOOL_OP_DESTROY, id);
    rc = (int)hypercall_sysctl(&op);
    if (rc < 0)
        return rc;
    snprintf(path, sizeof path, POOL_NODE, id);
    return store_rm(path);
}

static int change_cpu(uint32_t cmd, uint32_t id, unsigned cpu)
{
    struct xen_sysctl op;

    begin(&op, cmd, id);
    op.u.cpupool_op.cpu = cpu;
    return (int)hypercall_sysctl(&op);
}

int cpupool_add_cpu(uint32_t id, unsigned cpu)
{
    return change_cpu(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, id, cpu);
}

int cpupool_remove_cpu(uint32_t id, unsigned cpu)
{
    return change_cpu(XEN_SYSCTL_CPUPOOL_OP_RMCPU, id, cpu);
}

int cpupool_move_domain(uint32_t id, domid_t domid)
{
    struct xen_sysctl op;

    begin(&op, XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, id);
    op.u.cpupool_op.domid = domid;
    return (int)hypercall_sysctl(&op);
}

/* ---- schedulers ---- */

/* Xen's own. */
static const struct penumbra_scheduler xens[] = {
    {.id = XEN_SCHEDULER_CREDIT, .name = "credit", .weights = 1, .caps = 1},
    {.id = XEN_SCHEDULER_CREDIT2, .name = "credit2", .weights = 1, .caps = 1},
    {.id = XEN_SCHEDULER_ARINC653, .name = "arinc653"},
    {.id = XEN_SCHEDULER_RTDS, .name = "rtds"},
    {.id = XEN_SCHEDULER_NULL, .name = "null"},
};

int cpupool_scheduler_at(uint32_t index, struct penumbra_scheduler *s)
{
    int rc = penumbra_scheduler(index, s);

    if (rc != -XEN_ENOSYS)
        return rc;
    if (index >= sizeof xens / sizeof xens[0])
        return -XEN_ENOENT;
    *s = xens[index];
    return 0;
}

int cpupool_scheduler(uint32_t sched_id, struct penumbra_scheduler *s)
{
    uint32_t index = 0;
    int rc;

    while ((rc = cpupool_scheduler_at(index++, s)) == 0)
        if (s->id == sched_id)
            return 0;
    return rc;
}

int cpupool_find_scheduler(const char *name, struct penumbra_scheduler *s)
{
    uint32_t index = 0;
    int rc;

    while ((rc = cpupool_scheduler_at(index++, s)) == 0)
        if (!strcmp(s->name, name))
            return 0;
    return rc;
}

int cpupool_service_start(void)
{
    return store_write("/local/pool/0/name", "Pool-0");
}
