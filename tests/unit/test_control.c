/* SPDX-License-Identifier: MIT */
/*
 * The control interface: versions, errors and answers of domctl and sysctl. Domains are the test's
 * own; what the hypervisor does to them is recorded, not done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/sysctl.h>

#include "hv/arch.h"
#include "hv/control.h"
#include "hv/domain.h"
#include "hv/evtchn.h"
#include "hv/grant.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/memory_map.h"
#include "hv/public/penumbra.h"
#include "hv/wallclock.h"
#include "mm/heap.h"
#include "tests/unit/fake_arch.h"

#define DOMAINS 3

static struct domain domains[DOMAINS]; /* 0, 4, 9 */
static struct vcpu vcpus[DOMAINS][4];
static const domid_t ids[DOMAINS] = {0, 4, 9};
static struct shared_info shared[DOMAINS];
static int references, pauses;
static struct domain_params created;
static long create_result, destroy_result, context_result;
static unsigned weights[DOMAINS], caps[DOMAINS];
static char logged[4096];
static bool trylock_fails;
struct domain *dom0 = &domains[0];

/* ---- the rest of the hypervisor ---- */

static struct domain *find(domid_t id, bool next)
{
    for (unsigned i = 0; i < DOMAINS; i++)
        if (ids[i] == id || (next && ids[i] > id)) {
            references++;
            return &domains[i];
        }
    return NULL;
}

struct domain *domain_get_dying_too(domid_t id)
{
    return find(id, false);
}

struct domain *domain_get(domid_t id)
{
    return find(id, false);
}

struct domain *domain_next(domid_t id)
{
    return find(id, true);
}

void domain_put(struct domain *d)
{
    assert_non_null(d);
    references--;
}

unsigned domain_count(void)
{
    return DOMAINS;
}

long domain_create(const struct domain_params *params, struct domain **out)
{
    created = *params;
    if (create_result)
        return create_result;
    *out = &domains[1];
    references++;
    return 0;
}

long domain_destroy(struct domain *d)
{
    d->dying = true;
    return destroy_result;
}

long domain_set_max_vcpus(struct domain *d, unsigned count)
{
    (void)d;
    return count < 1 || count > VCPU_MAX ? -XEN_EINVAL : 0;
}

void domain_pause(struct domain *d)
{
    (void)d;
    pauses++;
}

void domain_unpause(struct domain *d)
{
    (void)d;
    pauses--;
}

void arch_vcpu_update_time(struct vcpu *v)
{
    v->arch.time_written++;
}

long arch_vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx)
{
    (void)ctx;
    assert_int_equal(pauses, 1);
    assert_false(v->sched.up);
    return context_result;
}

void arch_vcpu_get_context(struct vcpu *v, struct vcpu_guest_context *ctx)
{
    (void)v;
    ctx->user_regs.rip = 0x1234;
}

void arch_vcpu_dump(struct vcpu *v)
{
    (void)v;
}

uint32_t arch_cpu_khz(void)
{
    return 2500000;
}

void arch_cpu_capabilities(uint32_t words[8])
{
    memset(words, 0x11, 32);
}

bool arch_read_rtc(struct wallclock_date *date)
{
    (void)date;
    return false;
}

void sched_vcpu_up(struct vcpu *v)
{
    v->sched.up = true;
}

void sched_vcpu_down(struct vcpu *v)
{
    v->sched.up = false;
}

uint64_t sched_cpu_time(struct vcpu *v)
{
    return 100 + v->id;
}

uint64_t sched_idle_time(unsigned pcpu)
{
    return 1000 + pcpu;
}

void sched_get_params(struct domain *d, unsigned *weight, unsigned *cap)
{
    *weight = weights[d - domains];
    *cap = caps[d - domains];
}

long sched_set_params(struct domain *d, unsigned weight, unsigned cap)
{
    if (cap > 6400)
        return -XEN_EINVAL;
    weights[d - domains] = weight;
    caps[d - domains] = cap;
    return 0;
}

/* ---- pools: 0 with credit2's number, 3 with credit's, 5 with null's ---- */

static const struct sched_policy policies[] = {
    {.name = "first",
     .id = XEN_SCHEDULER_CREDIT2,
     .weights = true,
     .caps = true,
     .quantum_ns = 1000000,
     .cap_period_ns = 10000000},
    {.name = "second", .id = XEN_SCHEDULER_CREDIT, .weights = true, .quantum_ns = 30000000},
    {.name = "third", .id = XEN_SCHEDULER_NULL},
};
static struct sched_pool_info pools[] = {
    {0, &policies[0], 3, 2, 100000}, {3, &policies[1], 4, 1, 250000}, {5, &policies[2], 0, 0, 0}};
static unsigned pool_of[DOMAINS];
static char pool_call[80]; /* the last change that was asked for */
static long pool_result;

const struct sched_policy *policy_list(unsigned n)
{
    return n < 3 ? &policies[n] : NULL;
}

long sched_pool_info(unsigned id, struct sched_pool_info *out)
{
    for (unsigned i = 0; i < 3; i++)
        if (pools[i].id >= id) {
            *out = pools[i];
            return 0;
        }
    return -XEN_ENOENT;
}

unsigned sched_pool_of(const struct domain *d)
{
    return pool_of[d - domains];
}

long sched_pool_create(unsigned *id, uint32_t policy_id)
{
    snprintf(pool_call, sizeof pool_call, "create %d %u", (int)*id, policy_id);
    *id = 7;
    return pool_result;
}

long sched_pool_destroy(unsigned id)
{
    snprintf(pool_call, sizeof pool_call, "destroy %u", id);
    return pool_result;
}

long sched_pool_add_pcpu(unsigned id, unsigned pcpu)
{
    snprintf(pool_call, sizeof pool_call, "add %u %d", id, (int)pcpu);
    return pool_result;
}

long sched_pool_remove_pcpu(unsigned id, unsigned pcpu)
{
    snprintf(pool_call, sizeof pool_call, "remove %u %d", id, (int)pcpu);
    return pool_result;
}

long sched_pool_move(struct domain *d, unsigned id)
{
    snprintf(pool_call, sizeof pool_call, "move %u %u", d->id, id);
    return pool_result;
}

long sched_pool_set_min_run(unsigned id, uint64_t ns)
{
    snprintf(pool_call, sizeof pool_call, "min_run %u %lu", id, ns);
    return pool_result;
}

uint64_t sched_pool_free_pcpus(void)
{
    return 0x88;
}

long sched_set_affinity(struct vcpu *v, const uint64_t *hard, const uint64_t *soft)
{
    if (hard && !(*hard & 3))
        return -XEN_EINVAL;
    if (hard)
        v->sched.hard_affinity = *hard;
    if (soft)
        v->sched.soft_affinity = *soft;
    v->sched.entity.affinity = v->sched.hard_affinity & 3;
    return 0;
}

void memory_map_release(struct domain *d)
{
    assert_true(d->dying);
}

unsigned evtchn_count(struct domain *d)
{
    return d->id + 1;
}

unsigned grant_map_count(struct domain *d)
{
    (void)d;
    return 2;
}

unsigned grant_handle_pages(struct domain *d)
{
    return d->id + 3;
}

bool spin_trylock(struct spinlock *l)
{
    if (trylock_fails)
        return false;
    spin_lock(l);
    return true;
}

size_t log_read(char *buf, size_t size, uint32_t *index)
{
    size_t left = strlen(logged) - *index;

    size = size < left ? size : left;
    memcpy(buf, logged + *index, size);
    *index += size;
    return size;
}

void log_clear(void)
{
    logged[0] = 0;
}

size_t arch_copy_from_guest(void *dst, uint64_t va, size_t bytes)
{
    if (va < 4096)
        return bytes;
    memcpy(dst, (const void *)va, bytes);
    return 0;
}

size_t arch_copy_to_guest(uint64_t va, const void *src, size_t bytes)
{
    if (va < 4096)
        return bytes;
    memcpy((void *)va, src, bytes);
    return 0;
}

/* ---- helpers ---- */

static int setup(void **state)
{
    (void)state;
    fake_machine_start(2048, 2);
    memset(domains, 0, sizeof domains);
    memset(vcpus, 0, sizeof vcpus);
    for (unsigned i = 0; i < DOMAINS; i++) {
        domains[i].id = ids[i];
        domains[i].privileged = i == 0;
        domains[i].vcpu_max = 2;
        domains[i].shared = &shared[i];
        domains[i].paging = paging_create(ids[i], 100, 0, PAGING_POOL_MIN);
        domains[i].max_pages = 100;
        spin_lock_init(&domains[i].lock, LOCK_DOMAIN);
        weights[i] = 256;
        caps[i] = 0;
        for (unsigned k = 0; k < 2; k++) {
            vcpus[i][k].domain = &domains[i];
            vcpus[i][k].id = k;
            domains[i].vcpu[k] = &vcpus[i][k];
        }
    }
    domains[1].vcpu_max = 1;
    references = pauses = 0;
    create_result = destroy_result = context_result = 0;
    trylock_fails = false;
    strcpy(logged, "one line\nanother line\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(references, 0);
    assert_int_equal(pauses, 0);
    for (unsigned i = 0; i < DOMAINS; i++) {
        while (paging_teardown(domains[i].paging) == -XEN_ERESTART)
            continue;
        paging_free(domains[i].paging);
    }
    assert_int_equal(heap_used_bytes(), 0);
    fake_machine_stop();
    return 0;
}

static struct xen_domctl dc;
static struct xen_sysctl sc;

static long call_domctl(void)
{
    struct hypercall call = {.arg = {(uint64_t)&dc}};

    return hypercall_domctl(&vcpus[0][0], &call);
}

static void begin(uint32_t cmd, domid_t domain)
{
    memset(&dc, 0, sizeof dc);
    dc.cmd = cmd;
    dc.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    dc.domain = domain;
}

#define DOMCTL(cmd, dom, ...) (begin(cmd, dom), (void)0, ##__VA_ARGS__, call_domctl())

static long call_sysctl(uint32_t cmd)
{
    struct hypercall call = {.arg = {(uint64_t)&sc}};

    sc.cmd = cmd;
    sc.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return hypercall_sysctl(&vcpus[0][0], &call);
}

static void sysctl_clear(void)
{
    memset(&sc, 0, sizeof sc);
}

/* ---- tests ---- */

static void test_versions(void **state)
{
    struct hypercall bad = {0};

    (void)state;
    begin(XEN_DOMCTL_getdomaininfo, 0);
    dc.interface_version = 0x14;
    assert_int_equal(call_domctl(), -XEN_EACCES);
    assert_int_equal(hypercall_domctl(&vcpus[0][0], &bad), -XEN_EFAULT);
    assert_int_equal(hypercall_sysctl(&vcpus[0][0], &bad), -XEN_EFAULT);
    sc.interface_version = 0x14;
    bad.arg[0] = (uint64_t)&sc;
    assert_int_equal(hypercall_sysctl(&vcpus[0][0], &bad), -XEN_EACCES);
    trylock_fails = true;
    assert_int_equal(DOMCTL(XEN_DOMCTL_getdomaininfo, 0), -XEN_ERESTART);
    assert_int_equal(call_sysctl(XEN_SYSCTL_physinfo), -XEN_ERESTART);
}

static void good_create(void)
{
    begin(XEN_DOMCTL_createdomain, 0);
    dc.u.createdomain.max_vcpus = 2;
    dc.u.createdomain.max_grant_frames = 64;
    dc.u.createdomain.max_maptrack_frames = ~0U;
    dc.u.createdomain.grant_opts = XEN_DOMCTL_GRANT_version(1);
    memset(dc.u.createdomain.handle, 7, 16);
}

static void test_create(void **state)
{
    (void)state;
    good_create();
    assert_int_equal(call_domctl(), 0);
    assert_int_equal(dc.domain, 4);
    assert_true(created.id >= DOMID_FIRST_RESERVED);
    assert_int_equal(created.max_grant_frames, GRANT_FRAMES);
    assert_int_equal(created.max_maptrack_frames, MAPTRACK_FRAMES);
    assert_int_equal(created.handle[15], 7);
    assert_false(created.privileged);
    good_create();
    dc.domain = 77;
    assert_int_equal(call_domctl(), 0);
    assert_int_equal(created.id, 77);
    create_result = -XEN_EEXIST;
    assert_int_equal((good_create(), call_domctl()), -XEN_EINVAL);
    create_result = -XEN_ENOMEM;
    assert_int_equal((good_create(), call_domctl()), -XEN_ENOMEM);
    create_result = 0;
    assert_int_equal((good_create(), dc.u.createdomain.max_vcpus = 0, call_domctl()), -XEN_EINVAL);
    assert_int_equal((good_create(), dc.u.createdomain.max_vcpus = 33, call_domctl()), -XEN_EINVAL);
    assert_int_equal((good_create(), dc.u.createdomain.flags = XEN_DOMCTL_CDF_hvm, call_domctl()),
                     -XEN_EINVAL);
    assert_int_equal((good_create(), dc.u.createdomain.arch.emulation_flags = 1, call_domctl()),
                     -XEN_EOPNOTSUPP);
    assert_int_equal((good_create(), dc.u.createdomain.grant_opts = 0, call_domctl()), -XEN_EINVAL);
    assert_int_equal((good_create(), dc.u.createdomain.max_grant_frames = 0, call_domctl()),
                     -XEN_EINVAL);
    assert_int_equal((good_create(), dc.u.createdomain.cpupool_id = 3, call_domctl()), 0);
    assert_int_equal(created.pool, 3);
    assert_int_equal((good_create(), dc.domain = DOMID_SELF, call_domctl()), -XEN_EINVAL);
}

static void test_life(void **state)
{
    (void)state;
    assert_int_equal(DOMCTL(XEN_DOMCTL_pausedomain, 5), -XEN_ESRCH);
    assert_int_equal(DOMCTL(XEN_DOMCTL_pausedomain, DOMID_SELF), -XEN_ESRCH);
    assert_int_equal(DOMCTL(XEN_DOMCTL_pausedomain, 0), -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_unpausedomain, 4), -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_pausedomain, 4), 0);
    assert_int_equal(DOMCTL(XEN_DOMCTL_pausedomain, 4), 0);
    assert_int_equal(pauses, 1);
    assert_int_equal(DOMCTL(XEN_DOMCTL_unpausedomain, 4), 0);
    assert_int_equal(DOMCTL(XEN_DOMCTL_resumedomain, 4), -XEN_ENOSYS);
    assert_int_equal(DOMCTL(12345, 4), -XEN_ENOSYS);
    assert_int_equal(DOMCTL(XEN_DOMCTL_destroydomain, 0), -XEN_EINVAL);
    destroy_result = -XEN_ERESTART;
    assert_int_equal(DOMCTL(XEN_DOMCTL_destroydomain, 4), -XEN_ERESTART);
    assert_int_equal(DOMCTL(XEN_DOMCTL_max_mem, 4, dc.u.max_mem.max_memkb = 4000), -XEN_EINVAL);
    destroy_result = 0;
    assert_int_equal(DOMCTL(XEN_DOMCTL_destroydomain, 4), 0);
    assert_int_equal(DOMCTL(XEN_DOMCTL_getdomaininfo, 4), 0);
    assert_true(dc.u.getdomaininfo.flags & XEN_DOMINF_dying);
}

static void test_info(void **state)
{
    struct xen_domctl_getdomaininfo *info = &dc.u.getdomaininfo;

    (void)state;
    vcpus[2][0].sched.up = vcpus[2][1].sched.up = true;
    vcpus[2][0].sched.blocked = true;
    vcpus[2][1].sched.on_pcpu = true;
    domains[2].is_shut_down = true;
    domains[2].shutdown_code = 3;
    domains[2].controller_paused = true;
    assert_int_equal(DOMCTL(XEN_DOMCTL_getdomaininfo, 5), 0); /* the next one */
    assert_int_equal(dc.domain, 9);
    assert_int_equal(info->domain, 9);
    assert_int_equal(info->flags, XEN_DOMINF_running | XEN_DOMINF_paused | XEN_DOMINF_shutdown |
                                      3 << XEN_DOMINF_shutdownshift);
    assert_int_equal(info->nr_online_vcpus, 2);
    assert_int_equal(info->max_vcpu_id, 1);
    assert_int_equal(info->cpu_time, 201);
    assert_int_equal(info->max_pages, 100);
    vcpus[2][1].sched.on_pcpu = false;
    vcpus[2][1].sched.blocked = true;
    assert_int_equal(DOMCTL(XEN_DOMCTL_getdomaininfo, 9), 0);
    assert_true(info->flags & XEN_DOMINF_blocked);
    assert_int_equal(DOMCTL(XEN_DOMCTL_getdomaininfo, 10), -XEN_ESRCH);
    assert_int_equal(DOMCTL(XEN_DOMCTL_getdomaininfo, DOMID_SELF), -XEN_EINVAL);
}

static void test_context(void **state)
{
    static struct vcpu_guest_context ctx;

    (void)state;
    ctx.flags = VGCF_online;
    ctx.vm_assist = 1u << VMASST_TYPE_writable_pagetables | 1u << 31;
    assert_int_equal(DOMCTL(XEN_DOMCTL_setvcpucontext, 4), -XEN_EINVAL); /* no pointer */
    assert_int_equal(DOMCTL(XEN_DOMCTL_setvcpucontext, 4, dc.u.vcpucontext.ctxt.p = (void *)8),
                     -XEN_EFAULT);
    assert_int_equal(DOMCTL(XEN_DOMCTL_setvcpucontext, 4, dc.u.vcpucontext.ctxt.p = &ctx,
                            dc.u.vcpucontext.vcpu = 1),
                     -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_setvcpucontext, 4, dc.u.vcpucontext.ctxt.p = &ctx,
                            dc.u.vcpucontext.vcpu = ~0U),
                     -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_setvcpucontext, 0, dc.u.vcpucontext.ctxt.p = &ctx),
                     -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_getvcpucontext, 4, dc.u.vcpucontext.ctxt.p = &ctx),
                     -XEN_ENODATA);
    context_result = -XEN_EINVAL;
    assert_int_equal(DOMCTL(XEN_DOMCTL_setvcpucontext, 4, dc.u.vcpucontext.ctxt.p = &ctx),
                     -XEN_EINVAL);
    assert_false(vcpus[1][0].initialised || vcpus[1][0].sched.up);
    context_result = 0;
    assert_int_equal(DOMCTL(XEN_DOMCTL_setvcpucontext, 4, dc.u.vcpucontext.ctxt.p = &ctx), 0);
    assert_true(vcpus[1][0].initialised && vcpus[1][0].sched.up);
    assert_int_equal(vcpus[1][0].arch.time_written, 1);
    assert_int_equal(vcpus[1][0].domain->vm_assist, 1u << VMASST_TYPE_writable_pagetables);
    assert_int_equal(DOMCTL(XEN_DOMCTL_getvcpucontext, 4, dc.u.vcpucontext.ctxt.p = &ctx), 0);
    assert_int_equal(ctx.user_regs.rip, 0x1234);
    assert_int_equal(DOMCTL(XEN_DOMCTL_getvcpuinfo, 4), 0);
    assert_int_equal(dc.u.getvcpuinfo.online, 1);
    assert_int_equal(dc.u.getvcpuinfo.cpu_time, 100);
    assert_int_equal(DOMCTL(XEN_DOMCTL_getvcpuinfo, 4, dc.u.getvcpuinfo.vcpu = 1), -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_getvcpuinfo, 4, dc.u.getvcpuinfo.vcpu = 2), -XEN_EINVAL);
}

static long affinity(uint32_t cmd, uint32_t flags, uint8_t *bits, unsigned count)
{
    begin(cmd, 9);
    dc.u.vcpuaffinity.flags = flags;
    dc.u.vcpuaffinity.cpumap_hard.bitmap.p = bits;
    dc.u.vcpuaffinity.cpumap_hard.nr_bits = count;
    return call_domctl();
}

static void test_affinity(void **state)
{
    uint8_t bits[512];

    (void)state;
    memset(bits, 0xff, sizeof bits);
    assert_int_equal(affinity(XEN_DOMCTL_setvcpuaffinity, 0, bits, 64), -XEN_EINVAL);
    assert_int_equal(affinity(XEN_DOMCTL_setvcpuaffinity, 1, bits, 64), 0);
    assert_int_equal(bits[0], 3); /* what came into force: two pCPUs */
    assert_int_equal(bits[1], 0);
    assert_int_equal(vcpus[2][0].sched.hard_affinity, ~0UL);
    bits[0] = 0xfd;
    assert_int_equal(affinity(XEN_DOMCTL_setvcpuaffinity, 1, bits, 1),
                     0); /* one bit of the byte is meant */
    assert_int_equal(vcpus[2][0].sched.hard_affinity, 1);
    assert_int_equal(affinity(XEN_DOMCTL_getvcpuaffinity, 1, bits, 4096), 0);
    assert_int_equal(bits[0], 1);
    assert_int_equal(bits[100], 0);
    bits[0] = 4;
    assert_int_equal(affinity(XEN_DOMCTL_setvcpuaffinity, 1, bits, 64),
                     -XEN_EINVAL); /* no such pCPU */
    assert_int_equal(affinity(XEN_DOMCTL_setvcpuaffinity, 1, NULL, 64), -XEN_EFAULT);
    assert_int_equal(affinity(XEN_DOMCTL_getvcpuaffinity, 1, bits, ~0U), -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_setvcpuaffinity, 4, dc.u.vcpuaffinity.vcpu = 1,
                            dc.u.vcpuaffinity.flags = 1),
                     -XEN_EINVAL);
}

static long share(uint32_t id, uint32_t cmd, uint16_t weight, uint16_t cap)
{
    begin(XEN_DOMCTL_scheduler_op, 4);
    dc.u.scheduler_op.sched_id = id;
    dc.u.scheduler_op.cmd = cmd;
    dc.u.scheduler_op.u.credit2.weight = weight;
    dc.u.scheduler_op.u.credit2.cap = cap;
    return call_domctl();
}

static void test_scheduler(void **state)
{
    (void)state;
    assert_int_equal(share(XEN_SCHEDULER_CREDIT, XEN_DOMCTL_SCHEDOP_getinfo, 0, 0), -XEN_EINVAL);
    assert_int_equal(share(XEN_SCHEDULER_CREDIT2, XEN_DOMCTL_SCHEDOP_putvcpuinfo, 0, 0),
                     -XEN_EINVAL);
    assert_int_equal(share(XEN_SCHEDULER_CREDIT2, XEN_DOMCTL_SCHEDOP_putinfo, 512, 50), 0);
    assert_int_equal(share(XEN_SCHEDULER_CREDIT2, XEN_DOMCTL_SCHEDOP_putinfo, 0, 70), 0);
    assert_int_equal(share(XEN_SCHEDULER_CREDIT2, XEN_DOMCTL_SCHEDOP_putinfo, 600, 0xffff), 0);
    assert_int_equal(share(XEN_SCHEDULER_CREDIT2, XEN_DOMCTL_SCHEDOP_putinfo, 1, 6401),
                     -XEN_EINVAL);
    assert_int_equal(share(XEN_SCHEDULER_CREDIT2, XEN_DOMCTL_SCHEDOP_getinfo, 0, 0), 0);
    assert_int_equal(dc.u.scheduler_op.u.credit2.weight, 600);
    assert_int_equal(dc.u.scheduler_op.u.credit2.cap, 70);
    pool_of[1] = 3; /* another scheduler's number now */
    assert_int_equal(share(XEN_SCHEDULER_CREDIT2, XEN_DOMCTL_SCHEDOP_getinfo, 0, 0), -XEN_EINVAL);
    assert_int_equal(share(XEN_SCHEDULER_CREDIT, XEN_DOMCTL_SCHEDOP_getinfo, 0, 0), 0);
    assert_int_equal(DOMCTL(XEN_DOMCTL_getdomaininfo, 4), 0);
    assert_int_equal(dc.u.getdomaininfo.cpupool, 3);
    pool_of[1] = 0;
}

static void test_memory_and_others(void **state)
{
    (void)state;
    assert_int_equal(DOMCTL(XEN_DOMCTL_max_vcpus, 4, dc.u.max_vcpus.max = 2), 0);
    assert_int_equal(DOMCTL(XEN_DOMCTL_max_vcpus, 4, dc.u.max_vcpus.max = 0), -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_max_vcpus, 0, dc.u.max_vcpus.max = 1), -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_max_mem, 4, dc.u.max_mem.max_memkb = 4000), 0);
    assert_int_equal(domains[1].max_pages, 1000);
    assert_int_equal(p2m_max_gfn(domains[1].paging), 1000 + EXCHANGE_GFNS);
    assert_int_equal(DOMCTL(XEN_DOMCTL_max_mem, 4, dc.u.max_mem.max_memkb = 40), 0);
    assert_int_equal(domains[1].max_pages, 10);
    assert_true(DOMCTL(XEN_DOMCTL_max_mem, 4, dc.u.max_mem.max_memkb = ~0UL) < 0);
    assert_int_equal(domains[1].max_pages, 10);
    assert_int_equal(DOMCTL(XEN_DOMCTL_set_address_size, 4, dc.u.address_size.size = 64), 0);
    assert_int_equal(DOMCTL(XEN_DOMCTL_set_address_size, 4, dc.u.address_size.size = 32),
                     -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_get_address_size, 4), 0);
    assert_int_equal(dc.u.address_size.size, 64);
    assert_int_equal(DOMCTL(XEN_DOMCTL_settscinfo, 4, dc.u.tsc_info.tsc_mode = 1), -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_settscinfo, 4, dc.u.tsc_info.tsc_mode = 2), 0);
    assert_int_equal(DOMCTL(XEN_DOMCTL_gettscinfo, 4), 0);
    assert_int_equal(dc.u.tsc_info.gtsc_khz, 2500000);
    assert_int_equal(DOMCTL(XEN_DOMCTL_setdomainhandle, 4, dc.u.setdomainhandle.handle[3] = 9), 0);
    assert_int_equal(domains[1].handle[3], 9);
    assert_int_equal(DOMCTL(XEN_DOMCTL_hypercall_init, 4, dc.u.hypercall_init.gmfn = 50),
                     -XEN_EACCES);
    assert_int_equal(
        DOMCTL(XEN_DOMCTL_settimeoffset, 4, dc.u.settimeoffset.time_offset_seconds = 60), 0);
    assert_int_equal(shared[1].wc_sec, 60);
}

static void test_pool(void **state)
{
    const uint64_t shadow = 4 * 4096;

    (void)state;
    assert_int_equal(DOMCTL(XEN_DOMCTL_get_paging_mempool_size, 4), 0);
    assert_int_equal(dc.u.paging_mempool.size, PAGING_POOL_MIN * shadow);
    assert_int_equal(
        DOMCTL(XEN_DOMCTL_set_paging_mempool_size, 4, dc.u.paging_mempool.size = 500 * shadow + 7),
        0);
    assert_int_equal(DOMCTL(XEN_DOMCTL_get_paging_mempool_size, 4), 0);
    assert_int_equal(dc.u.paging_mempool.size, 500 * shadow);
    assert_int_equal(DOMCTL(XEN_DOMCTL_set_paging_mempool_size, 4, dc.u.paging_mempool.size = ~0UL),
                     -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_set_paging_mempool_size, 4, dc.u.paging_mempool.size = 0),
                     -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_set_paging_mempool_size, 4,
                            dc.u.paging_mempool.size = PAGING_POOL_MIN * shadow - 1),
                     -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_get_paging_mempool_size, 4), 0);
    assert_int_equal(dc.u.paging_mempool.size, 500 * shadow); /* as it was */
    assert_int_equal(DOMCTL(XEN_DOMCTL_set_paging_mempool_size, 4,
                            dc.u.paging_mempool.size = PAGING_POOL_MIN * shadow),
                     0);
}

/* Each vCPU more needs its share of the pool, and has its reserve from the start. */
static void test_pool_of_vcpus(void **state)
{
    const uint64_t shadow = 4 * 4096, least = PAGING_POOL_MIN + 3 * PAGING_POOL_VCPU;
    struct paging *p = domains[1].paging;
    uint64_t before = frame_free_count();

    (void)state;
    paging_lock(p);
    assert_int_equal(paging_set_vcpus(p, 4), 0);
    assert_int_equal(paging_pool_bytes(p), least * shadow);
    paging_unlock(p);
    assert_int_equal(before - frame_free_count() >= 3 * 24 * 3, 1);
    assert_int_equal(DOMCTL(XEN_DOMCTL_set_paging_mempool_size, 4,
                            dc.u.paging_mempool.size = (least - 1) * shadow),
                     -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_set_paging_mempool_size, 4,
                            dc.u.paging_mempool.size = (least + 1) * shadow),
                     0);
    paging_lock(p);
    assert_int_equal(paging_set_vcpus(p, 4), 0); /* again: nothing changes */
    assert_int_equal(paging_pool_bytes(p), (least + 1) * shadow);
    paging_unlock(p);
}

/* A shadow is in use: the pool is what it is. */
static void test_pool_in_use(void **state)
{
    struct paging *p = domains[1].paging;
    struct paging_vcpu pv;

    (void)state;
    paging_vcpu_init(p, &pv);
    paging_lock(p);
    assert_int_equal(p2m_add_ram(p, gfn_of(3), frame_alloc(0, 4, 0)), 0);
    assert_int_equal(shadow_set_kernel_root(p, &pv, gfn_of(3)), 0);
    assert_true(mfn_valid(shadow_root(p, &pv)));
    paging_unlock(p);
    assert_int_equal(
        DOMCTL(XEN_DOMCTL_set_paging_mempool_size, 4, dc.u.paging_mempool.size = 1 << 24),
        -XEN_EBUSY);
    paging_vcpu_release(p, &pv);
}

/* ---- the log of dirty frames ---- */

static uint8_t bits[16];

static long shadow_op(uint32_t op, uint64_t pages, void *buffer)
{
    begin(XEN_DOMCTL_shadow_op, 4);
    dc.u.shadow_op.op = op;
    dc.u.shadow_op.pages = pages;
    dc.u.shadow_op.dirty_bitmap.p = buffer;
    memset(bits, 0xee, sizeof bits);
    return call_domctl();
}

static void give_memory(struct paging *p, uint64_t gfn)
{
    paging_lock(p);
    assert_int_equal(p2m_add_ram(p, gfn_of(gfn), frame_alloc(0, 4, 0)), 0);
    paging_unlock(p);
}

static void test_log_dirty(void **state)
{
    struct paging *p = domains[1].paging;
    struct frame_hold hold;

    (void)state;
    for (unsigned gfn = 0; gfn < 20; gfn++)
        give_memory(p, gfn);
    /* Off: nothing is written, as Xen says it too. */
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 1000, bits), 0);
    assert_int_equal(dc.u.shadow_op.pages, 100);
    assert_int_equal(bits[0] | bits[12], 0);
    assert_int_equal(bits[13], 0xee);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL), 0);

    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL), 0);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL), -XEN_EINVAL);
    assert_non_null(paging_hold(p, gfn_of(3), true, &hold));
    give_memory(p, 50);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 1000, bits), 0);
    assert_int_equal(bits[0], 1 << 3);
    assert_int_equal(bits[6], 1 << 2);
    assert_int_equal(dc.u.shadow_op.stats.dirty_count, 2);
    /* A short buffer: what is not told stays. Without one: only cleaned. */
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 12, bits), 0);
    assert_int_equal(dc.u.shadow_op.pages, 12);
    assert_int_equal(dc.u.shadow_op.stats.dirty_count, 2);
    assert_int_equal(bits[0] | bits[1] << 8, 1 << 3);
    assert_int_equal(bits[2], 0xee);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 100, bits), 0);
    assert_int_equal(dc.u.shadow_op.stats.dirty_count, 0);
    assert_int_equal(bits[0], 1 << 3); /* held: dirty as long as that lasts */
    assert_int_equal(bits[6], 1 << 2);
    paging_release(&hold);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 100, NULL), 0);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 100, bits), 0);
    assert_int_equal(bits[0] | bits[6], 0);
    /* What could not be written to the caller is not lost. */
    assert_non_null(paging_hold(p, gfn_of(9), true, &hold));
    paging_release(&hold);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 100, (void *)8), -XEN_EFAULT);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 100, bits), 0);
    assert_int_equal(bits[1], 1 << 1);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL), 0);
}

static void test_log_dirty_errors(void **state)
{
    (void)state;
    assert_int_equal(shadow_op(99, 0, NULL), -XEN_EINVAL);
    begin(XEN_DOMCTL_shadow_op, 4);
    dc.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_PEEK;
    dc.u.shadow_op.mode = 2;
    assert_int_equal(call_domctl(), -XEN_EINVAL);
    assert_int_equal(DOMCTL(XEN_DOMCTL_shadow_op, 0, dc.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_OFF),
                     -XEN_EINVAL);
    assert_int_equal(
        DOMCTL(XEN_DOMCTL_shadow_op, 4, dc.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_ENABLE),
        -XEN_EINVAL);
    domains[2].vcpu_max = 0;
    assert_int_equal(DOMCTL(XEN_DOMCTL_shadow_op, 9, dc.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_OFF),
                     -XEN_EINVAL);
    /* Somebody else is in the middle of it. */
    domains[1].log_reader = (struct log_reader){.vcpu = 2, .op = XEN_DOMCTL_SHADOW_OP_PEEK};
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 100, bits), -XEN_EBUSY);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL), 0);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 100, bits), 0);
    /* The pool, the old way. */
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION, 0, NULL), 0);
    assert_int_equal(dc.u.shadow_op.mb, 1);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION, 0, NULL), -XEN_EINVAL);
    begin(XEN_DOMCTL_shadow_op, 4);
    dc.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION;
    dc.u.shadow_op.mb = 3;
    assert_int_equal(call_domctl(), 0);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION, 0, NULL), 0);
    assert_int_equal(dc.u.shadow_op.mb, 3);
}

static bool preempts;

bool hypercall_preempt(void)
{
    return preempts;
}

/* Each step is a call of its own: more memory than one has. */
static void test_log_dirty_steps(void **state)
{
    static uint8_t many[5000 / 8];
    struct paging *p = domains[1].paging;
    struct frame_hold hold;
    unsigned steps = 0;
    long rc;

    (void)state;
    preempts = true;
    paging_lock(p);
    assert_int_equal(p2m_set_max(p, 5000), 0);
    paging_unlock(p);
    for (uint64_t gfn = 0; gfn < 5000; gfn += 999)
        give_memory(p, gfn);
    while ((rc = shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL)) == -XEN_ERESTART)
        steps++;
    assert_int_equal(rc, 0);
    assert_true(steps >= 4);
    for (uint64_t gfn = 999; gfn < 5000; gfn += 1998) {
        assert_non_null(paging_hold(p, gfn_of(gfn), true, &hold));
        paging_release(&hold);
    }
    memset(many, 0xee, sizeof many);
    while ((rc = shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 5000, many)) == -XEN_ERESTART)
        steps--;
    assert_int_equal(rc, 0);
    for (unsigned n = 0; n < 5000; n++)
        assert_int_equal(many[n / 8] >> n % 8 & 1, n % 1998 == 999);
    assert_true(steps <= 1);
    while ((rc = shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL)) == -XEN_ERESTART)
        steps++;
    assert_int_equal(rc, 0);
    assert_true(steps >= 4);
    preempts = false;
}

static void test_hypercall_page(void **state)
{
    mfn_t mfn = frame_alloc(0, 4, 0);
    uint8_t *page;

    (void)state;
    paging_lock(domains[1].paging);
    assert_int_equal(p2m_add_ram(domains[1].paging, gfn_of(50), mfn), 0);
    paging_unlock(domains[1].paging);
    assert_int_equal(DOMCTL(XEN_DOMCTL_hypercall_init, 4, dc.u.hypercall_init.gmfn = 50), 0);
    page = frame_map(mfn);
    assert_int_equal(page[0], 0xb8);
    frame_unmap(page);
}

static void test_sysctl_log(void **state)
{
    char text[64] = "";

    (void)state;
    sysctl_clear();
    sc.u.readconsole.buffer.p = text;
    sc.u.readconsole.count = 8;
    assert_int_equal(call_sysctl(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(sc.u.readconsole.count, 8);
    assert_string_equal(text, "one line");
    sc.u.readconsole.incremental = 1;
    sc.u.readconsole.count = 60;
    assert_int_equal(call_sysctl(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(sc.u.readconsole.count, 14);
    sc.u.readconsole.buffer.p = (char *)8;
    sc.u.readconsole.incremental = 0;
    assert_int_equal(call_sysctl(XEN_SYSCTL_readconsole), -XEN_EFAULT);
    sc.u.readconsole.count = 0;
    sc.u.readconsole.clear = 1;
    assert_int_equal(call_sysctl(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(logged[0], 0);
}

static void test_sysctl_lists(void **state)
{
    struct xen_domctl_getdomaininfo infos[4];
    struct xen_sysctl_cpuinfo cpus[4];
    struct xen_sysctl_cputopo topo[4];
    uint8_t pool[8];

    (void)state;
    sysctl_clear();
    sc.u.getdomaininfolist.max_domains = 4;
    sc.u.getdomaininfolist.buffer.p = infos;
    assert_int_equal(call_sysctl(XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(sc.u.getdomaininfolist.num_domains, 3);
    assert_int_equal(infos[2].domain, 9);
    sc.u.getdomaininfolist.max_domains = 1;
    sc.u.getdomaininfolist.first_domain = 1;
    assert_int_equal(call_sysctl(XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(sc.u.getdomaininfolist.num_domains, 1);
    assert_int_equal(infos[0].domain, 4);
    sc.u.getdomaininfolist.first_domain = 0xffff;
    assert_int_equal(call_sysctl(XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(sc.u.getdomaininfolist.num_domains, 0);

    sysctl_clear();
    assert_int_equal(call_sysctl(XEN_SYSCTL_physinfo), 0);
    assert_int_equal(sc.u.physinfo.nr_cpus, 2);
    assert_int_equal(sc.u.physinfo.total_pages, 2047);
    assert_int_equal(sc.u.physinfo.cpu_khz, 2500000);

    sysctl_clear();
    sc.u.getcpuinfo.max_cpus = 4;
    sc.u.getcpuinfo.info.p = cpus;
    assert_int_equal(call_sysctl(XEN_SYSCTL_getcpuinfo), 0);
    assert_int_equal(sc.u.getcpuinfo.nr_cpus, 2);
    assert_int_equal(cpus[1].idletime, 1001);

    sysctl_clear();
    assert_int_equal(call_sysctl(XEN_SYSCTL_cputopoinfo), 0);
    assert_int_equal(sc.u.cputopoinfo.num_cpus, 2);
    sc.u.cputopoinfo.num_cpus = 4;
    sc.u.cputopoinfo.cputopo.p = topo;
    assert_int_equal(call_sysctl(XEN_SYSCTL_cputopoinfo), 0);
    assert_int_equal(topo[1].core, 1);

    sysctl_clear();
    sc.u.cpupool_op.op = XEN_SYSCTL_CPUPOOL_OP_INFO;
    sc.u.cpupool_op.cpumap.bitmap.p = pool;
    sc.u.cpupool_op.cpumap.nr_bits = 64;
    assert_int_equal(call_sysctl(XEN_SYSCTL_cpupool_op), 0);
    assert_int_equal(pool[0], 3);
    assert_int_equal(sc.u.cpupool_op.n_dom, 2);
    assert_int_equal(sc.u.cpupool_op.sched_id, XEN_SCHEDULER_CREDIT2);
    sc.u.cpupool_op.cpupool_id = 1; /* or the next one */
    assert_int_equal(call_sysctl(XEN_SYSCTL_cpupool_op), 0);
    assert_int_equal(sc.u.cpupool_op.cpupool_id, 3);
    assert_int_equal(sc.u.cpupool_op.sched_id, XEN_SCHEDULER_CREDIT);
    assert_int_equal(pool[0], 4);
    sc.u.cpupool_op.cpupool_id = 6;
    assert_int_equal(call_sysctl(XEN_SYSCTL_cpupool_op), -XEN_ENOENT);
    sc.u.cpupool_op.op = XEN_SYSCTL_CPUPOOL_OP_FREEINFO;
    assert_int_equal(call_sysctl(XEN_SYSCTL_cpupool_op), 0);
    assert_int_equal(pool[0], 0x88);
    sc.u.cpupool_op.cpumap.nr_bits = ~0U;
    assert_int_equal(call_sysctl(XEN_SYSCTL_cpupool_op), -XEN_EINVAL);

    sysctl_clear();
    assert_int_equal(call_sysctl(XEN_SYSCTL_tbuf_op), -XEN_ENOSYS);
    assert_int_equal(call_sysctl(XEN_SYSCTL_sched_id), 0);
    assert_int_equal(sc.u.sched_id.sched_id, XEN_SCHEDULER_CREDIT2);
}

static long pool_op(uint32_t op, uint32_t id, uint32_t argument)
{
    sysctl_clear();
    pool_call[0] = 0;
    sc.u.cpupool_op.op = op;
    sc.u.cpupool_op.cpupool_id = id;
    sc.u.cpupool_op.sched_id = sc.u.cpupool_op.domid = sc.u.cpupool_op.cpu = argument;
    return call_sysctl(XEN_SYSCTL_cpupool_op);
}

static void test_pools(void **state)
{
    (void)state;
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_CREATE, XEN_SYSCTL_CPUPOOL_PAR_ANY, 6), 0);
    assert_string_equal(pool_call, "create -1 6");
    assert_int_equal(sc.u.cpupool_op.cpupool_id, 7);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_DESTROY, 3, 0), 0);
    assert_string_equal(pool_call, "destroy 3");
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, 3, 1), 0);
    assert_string_equal(pool_call, "add 3 1");
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 3, XEN_SYSCTL_CPUPOOL_PAR_ANY), 0);
    assert_string_equal(pool_call, "remove 3 -1");
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, 3, 9), 0);
    assert_string_equal(pool_call, "move 9 3");
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, 3, 8), -XEN_EINVAL);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, 3, 0x10009), -XEN_EINVAL);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, 3, DOMID_SELF), -XEN_EINVAL);
    assert_int_equal(references, 0);
    assert_int_equal(pool_op(0, 0, 0), -XEN_ENOSYS);
    assert_int_equal(pool_op(8, 0, 0), -XEN_ENOSYS);
    pool_result = -XEN_EBUSY;
    for (uint32_t op = XEN_SYSCTL_CPUPOOL_OP_CREATE; op < XEN_SYSCTL_CPUPOOL_OP_FREEINFO; op++)
        if (op != XEN_SYSCTL_CPUPOOL_OP_INFO)
            assert_int_equal(pool_op(op, 3, 4), -XEN_EBUSY);
    pool_result = 0;
}

static long parameters(uint32_t pool, uint32_t sched_id, uint32_t cmd)
{
    pool_call[0] = 0;
    sc.u.scheduler_op.cpupool_id = pool;
    sc.u.scheduler_op.sched_id = sched_id;
    sc.u.scheduler_op.cmd = cmd;
    return call_sysctl(XEN_SYSCTL_scheduler_op);
}

#define GET XEN_SYSCTL_SCHEDOP_getinfo
#define PUT XEN_SYSCTL_SCHEDOP_putinfo

static void test_pool_parameters(void **state)
{
    (void)state;
    sysctl_clear();
    assert_int_equal(parameters(0, XEN_SCHEDULER_CREDIT2, GET), 0);
    assert_int_equal(sc.u.scheduler_op.u.sched_credit2.ratelimit_us, 100);
    sc.u.scheduler_op.u.sched_credit2.ratelimit_us = 4000000000;
    assert_int_equal(parameters(0, XEN_SCHEDULER_CREDIT2, PUT), 0);
    assert_string_equal(pool_call, "min_run 0 4000000000000");
    assert_int_equal(parameters(0, XEN_SCHEDULER_CREDIT2, 2), -XEN_EINVAL);
    assert_int_equal(parameters(0, XEN_SCHEDULER_CREDIT, GET), -XEN_EINVAL);
    assert_int_equal(parameters(1, XEN_SCHEDULER_CREDIT, GET), -XEN_ESRCH);
    assert_int_equal(parameters(9, XEN_SCHEDULER_CREDIT, GET), -XEN_ESRCH);
    assert_int_equal(parameters(5, XEN_SCHEDULER_NULL, GET), -XEN_EOPNOTSUPP);

    assert_int_equal(parameters(3, XEN_SCHEDULER_CREDIT, GET), 0);
    assert_int_equal(sc.u.scheduler_op.u.sched_credit.tslice_ms, 30);
    assert_int_equal(sc.u.scheduler_op.u.sched_credit.ratelimit_us, 250);
    assert_int_equal(sc.u.scheduler_op.u.sched_credit.vcpu_migr_delay_us, 0);
    sc.u.scheduler_op.u.sched_credit.ratelimit_us = 300;
    assert_int_equal(parameters(3, XEN_SCHEDULER_CREDIT, PUT), 0);
    assert_string_equal(pool_call, "min_run 3 300000");
    sc.u.scheduler_op.u.sched_credit.tslice_ms = 20;
    assert_int_equal(parameters(3, XEN_SCHEDULER_CREDIT, PUT), -XEN_EINVAL);
    assert_string_equal(pool_call, "");
}

static void test_schedulers(void **state)
{
    struct penumbra_scheduler s = {0};

    (void)state;
    assert_int_equal(sysctl_describe_scheduler(&s), 0);
    assert_string_equal(s.name, "first");
    assert_int_equal(s.id, XEN_SCHEDULER_CREDIT2);
    assert_true(s.weights && s.caps);
    assert_int_equal(s.quantum_us, 1000);
    assert_int_equal(s.cap_period_us, 10000);
    s.index = 2;
    assert_int_equal(sysctl_describe_scheduler(&s), 0);
    assert_string_equal(s.name, "third");
    assert_false(s.weights || s.caps || s.quantum_us || s.cap_period_us);
    s.index = 3;
    assert_int_equal(sysctl_describe_scheduler(&s), -XEN_ENOENT);
    s.index = ~0U;
    assert_int_equal(sysctl_describe_scheduler(&s), -XEN_ENOENT);
}

static void test_sysctl_counters(void **state)
{
    struct xen_sysctl_perfc_desc desc[64];
    xen_sysctl_perfc_val_t values[64];
    const struct {
        const char *name;
        uint64_t value;
    } wanted[] = {{"event_ports", 1 + 5 + 10},
                  {"window_gfns", 0},
                  {"kept_heap_pages", 3 + 7 + 12},
                  {"kept_frames", 3 + 7 + 12 + 3 * 24 * 4}}; /* each a pool at its smallest */
    unsigned found = 0;

    (void)state;
    sysctl_clear();
    assert_int_equal(call_sysctl(XEN_SYSCTL_perfc_op), -XEN_EINVAL);
    sc.u.perfc_op.cmd = XEN_SYSCTL_PERFCOP_query;
    assert_int_equal(call_sysctl(XEN_SYSCTL_perfc_op), 0);
    assert_in_range(sc.u.perfc_op.nr_counters, 5, 64);
    assert_int_equal(sc.u.perfc_op.nr_counters, sc.u.perfc_op.nr_vals);
    sc.u.perfc_op.desc.p = desc;
    sc.u.perfc_op.val.p = values;
    assert_int_equal(call_sysctl(XEN_SYSCTL_perfc_op), 0);
    for (unsigned i = 0; i < sc.u.perfc_op.nr_counters; i++) {
        assert_int_equal(desc[i].nr_vals, 1);
        assert_true(desc[i].name[0]);
        for (unsigned j = 0; j < sizeof wanted / sizeof wanted[0]; j++) {
            if (strcmp(desc[i].name, wanted[j].name))
                continue;
            assert_int_equal(values[i], wanted[j].value);
            found++;
        }
    }
    assert_int_equal(found, sizeof wanted / sizeof wanted[0]);
    sc.u.perfc_op.val.p = (void *)8;
    assert_int_equal(call_sysctl(XEN_SYSCTL_perfc_op), -XEN_EFAULT);
}

static void test_sysctl_keys(void **state)
{
    static const char keys[] = "hmqQt\x01?";

    (void)state;
    sysctl_clear();
    for (unsigned i = 0; i < DOMAINS; i++)
        for (unsigned k = 0; k < 2; k++)
            vcpus[i][k].info = &shared[i].vcpu_info[k];
    sc.u.debug_keys.keys.p = keys;
    sc.u.debug_keys.nr_keys = sizeof keys - 1;
    assert_int_equal(call_sysctl(XEN_SYSCTL_debug_keys), 0);
    assert_true(fake.log_lines > 10);
    sc.u.debug_keys.nr_keys = 33;
    assert_int_equal(call_sysctl(XEN_SYSCTL_debug_keys), -XEN_EINVAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_versions),
        T(test_create),
        T(test_life),
        T(test_info),
        T(test_context),
        T(test_affinity),
        T(test_pools),
        T(test_pool_parameters),
        T(test_schedulers),
        T(test_scheduler),
        T(test_memory_and_others),
        T(test_hypercall_page),
        T(test_pool),
        T(test_pool_in_use),
        T(test_log_dirty),
        T(test_log_dirty_errors),
        T(test_log_dirty_steps),
        T(test_pool_of_vcpus),
        T(test_sysctl_log),
        T(test_sysctl_lists),
        T(test_sysctl_counters),
        T(test_sysctl_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
