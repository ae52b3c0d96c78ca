/* SPDX-License-Identifier: MIT */
/* Questions of several vCPUs at once: events, vCPUs, timers, descriptors. See race.h. */
#include "race.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rt/clock.h>
#include <rt/event.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/thread.h>
#include <rt/trap.h>

#include "hostile.h"

#define SECOND_NS 1000000000UL

/* ---- the race ---- */

static struct {
    void (*step)(struct racer *r);
    unsigned steps, vcpus;
    unsigned spare;    /* the last ones, which stay down */
    uint64_t deadline; /* where an emulator with fewer processors than vCPUs makes it too slow */
    unsigned ready, ended;
    struct racer racer[SMP_MAX];
} race;

uint64_t race_random(struct racer *r)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random;
}

bool race_alone(void)
{
    return race.vcpus == 1;
}

void race_note(struct racer *r, long rc)
{
    r->done++;
    r->refused += rc < 0;
}

static unsigned count(const unsigned *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void run_one(void *arg)
{
    struct racer *r = arg;

    __atomic_add_fetch(&race.ready, 1, __ATOMIC_SEQ_CST);
    while (count(&race.ready) < race.vcpus)
        hypercall_sched_op(SCHEDOP_yield, NULL);
    for (unsigned i = 0; i < race.steps && clock_ns() < race.deadline; i++)
        race.step(r);
    __atomic_add_fetch(&race.ended, 1, __ATOMIC_SEQ_CST);
}

/* race_touch() and race_store() leave the address to go on at in rbx, a few bytes ahead. A fault
 * elsewhere is not one that was asked for. */
static bool skip(struct trap_regs *regs)
{
    if (regs->rbx - regs->rip > 32)
        return false;
    regs->rip = regs->rbx;
    regs->rax = 0;
    return true;
}

bool race_touch(const volatile void *p)
{
    uint64_t good;

    asm volatile("lea 1f(%%rip), %%rbx; mov (%1), %%rax; mov $1, %%eax; 1:"
                 : "=&a"(good)
                 : "r"(p)
                 : "rbx", "memory");
    return good;
}

bool race_store(volatile void *p, uint64_t value)
{
    uint64_t good;

    asm volatile("lea 1f(%%rip), %%rbx; mov %2, (%1); mov $1, %%eax; 1:"
                 : "=&a"(good)
                 : "r"(p), "r"(value)
                 : "rbx", "memory");
    return good;
}

void race_run(void (*step)(struct racer *r), unsigned steps)
{
    unsigned done = 0, refused = 0;
    uint64_t seed = start_option_u64("seed", 0);

    race.step = step;
    race.steps = (unsigned)start_option_u64("times", steps);
    race.vcpus = smp_vcpus() - race.spare;
    race.deadline = clock_ns() + start_option_u64("seconds", 5) * SECOND_NS;
    trap_set_handler(13, skip);
    trap_set_handler(14, skip);
    for (unsigned v = 0; v < race.vcpus; v++) {
        race.racer[v] = (struct racer){.id = v, .random = 88172645463325252UL + seed * 64 + v};
        if (v && smp_boot_vcpu(v, run_one, &race.racer[v]))
            expect("a vCPU", 0, 1);
    }
    run_one(&race.racer[0]);
    for (uint64_t end = clock_ns() + 60 * SECOND_NS;
         count(&race.ended) < race.vcpus && clock_ns() < end;) {
        for (unsigned v = 1; v < race.vcpus; v++)
            hypercall_vcpu_op(VCPUOP_up, v, NULL); /* whom another has taken down */
        thread_sleep_ns(SECOND_NS / 100);
    }
    for (unsigned v = 0; v < race.vcpus; v++) {
        done += race.racer[v].done;
        refused += race.racer[v].refused;
    }
    printf("hostile: %u vCPUs, %u calls, %u refused\n", race.vcpus, done, refused);
    expect("vCPUs that ended", count(&race.ended), race.vcpus);
}

/* ---- events ---- */

#define PORTS 64 /* above those of console, store and the runtime */
static evtchn_port_t ports[PORTS];

static long bind_some(struct racer *r, evtchn_port_t *port)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_bind_ipi i = {.vcpu = race_pick(r, 9)};
    struct evtchn_bind_virq q = {.virq = race_pick(r, 3), .vcpu = race_pick(r, 5)};
    struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF,
                                        .remote_port = ports[race_pick(r, PORTS)]};
    long rc;

    switch (race_pick(r, 4)) {
    case 0:
        rc = hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &a);
        *port = a.port;
        return rc;
    case 1:
        rc = hypercall_event_channel_op(EVTCHNOP_bind_ipi, &i);
        *port = i.port;
        return rc;
    case 2:
        rc = hypercall_event_channel_op(EVTCHNOP_bind_virq, &q);
        *port = q.port;
        return rc;
    default:
        rc = hypercall_event_channel_op(EVTCHNOP_bind_interdomain, &b);
        *port = b.local_port;
        return rc;
    }
}

static void events_step(struct racer *r)
{
    evtchn_port_t *slot = &ports[race_pick(r, PORTS)], port = *slot;
    struct evtchn_close c = {.port = port};
    struct evtchn_unmask u = {.port = port};
    struct evtchn_bind_vcpu b = {.port = port, .vcpu = race_pick(r, 5)};
    struct evtchn_status s = {.dom = DOMID_SELF, .port = port};

    switch (race_pick(r, 8)) {
    case 0:
    case 1:
        if (!bind_some(r, &port))
            *slot = port;
        break;
    case 2:
        if (port)
            race_note(r, hypercall_event_channel_op(EVTCHNOP_close, &c));
        break;
    case 3:
        race_note(r, hypercall_event_channel_op(EVTCHNOP_unmask, &u));
        break;
    case 4:
        if (port)
            race_note(r, hypercall_event_channel_op(EVTCHNOP_bind_vcpu, &b));
        break;
    case 5:
        race_note(r, hypercall_event_channel_op(EVTCHNOP_status, &s));
        break;
    default:
        race_note(r, event_send(port));
    }
}

static void race_events(void)
{
    race_run(events_step, 20000);
}

/* ---- vCPUs ---- */

static char info_page[2][PAGE_SIZE] __attribute__((aligned(4096)));

/* To a vCPU that is down, and stays so: its vcpu_info moves once, whoever comes first. */
static void spare_step(struct racer *r, unsigned spare)
{
    struct vcpu_register_vcpu_info info = {.mfn = virt_to_mfn(info_page[race_pick(r, 2)]),
                                           .offset = race_pick(r, 64) * 64};

    race_note(r, hypercall_vcpu_op(VCPUOP_register_vcpu_info, spare, &info));
}

/* To one that runs: down, up, and all that it may be told meanwhile. */
static void victim_step(struct racer *r, unsigned victim)
{
    static struct vcpu_runstate_info area;
    static struct vcpu_guest_context empty;
    struct vcpu_set_periodic_timer periodic = {.period_ns = 1000000 + race_pick(r, 1000)};
    struct vcpu_register_runstate_memory_area state = {.addr.v = &area};

    switch (race_pick(r, 9)) {
    case 0:
    case 1:
        race_note(r, hypercall_vcpu_op(VCPUOP_down, victim, NULL));
        break;
    case 2:
        race_note(r, hypercall_vcpu_op(VCPUOP_initialise, victim, &empty));
        break;
    case 3:
        race_note(r, hypercall_vcpu_op(VCPUOP_register_runstate_memory_area, victim, &state));
        break;
    case 4:
        race_note(r, hypercall_vcpu_op(VCPUOP_set_periodic_timer, victim, &periodic));
        break;
    case 5:
        race_note(r, hypercall_vcpu_op(VCPUOP_stop_periodic_timer, victim, NULL));
        break;
    case 6:
        race_note(r, hypercall_vcpu_op(VCPUOP_get_runstate_info, victim, &area));
        break;
    default:
        race_note(r, hypercall_vcpu_op(VCPUOP_up, victim, NULL));
    }
}

/* The lower half of the vCPUs against the upper one. */
static void vcpus_step(struct racer *r)
{
    unsigned half = (race.vcpus + 1) / 2;

    if (r->id >= half)
        race_note(r, hypercall_vcpu_op(VCPUOP_is_up, r->id, NULL));
    else if (race_pick(r, 4) == 0)
        spare_step(r, race.vcpus + race_pick(r, race.spare));
    else
        victim_step(r, half + race_pick(r, race.vcpus - half));
}

static void race_vcpus(void)
{
    if (smp_vcpus() < 4) {
        printf("hostile: for 4 vCPUs and more\n");
        return;
    }
    race.spare = smp_vcpus() / 4;
    race_run(vcpus_step, 5000);
}

/* ---- time ---- */

static int kick_port;

/* vCPU 0 only kicks; the others poll, block and set timers to the ends of time. */
static void poll_step(struct racer *r)
{
    static const uint64_t odd[] = {0, 1, ~0UL, 1UL << 63, INT64_MAX, INT64_MAX - 1, 12345};
    evtchn_port_t port[2] = {(evtchn_port_t)kick_port, race_pick(r, 4) ? 1 : 4095};
    struct sched_poll p = {.nr_ports = race_pick(r, 3), .timeout = odd[race_pick(r, 7)]};
    struct vcpu_set_singleshot_timer t = {.timeout_abs_ns = odd[race_pick(r, 7)],
                                          .flags = race_pick(r, 2)};

    if (r->id == 0) {
        event_clear((evtchn_port_t)kick_port);
        race_note(r, event_send((evtchn_port_t)kick_port));
        return;
    }
    p.timeout += race_pick(r, 2) ? clock_ns() : 0;
    if (p.nr_ports == 0 && (p.timeout == 0 || p.timeout > clock_ns() + 1000))
        p.timeout = clock_ns() + 1000; /* nothing else would ever wake it */
    set_xen_guest_handle(p.ports, port);
    switch (race_pick(r, 4)) {
    case 0:
        race_note(r, hypercall_raw(__HYPERVISOR_set_timer_op, odd[race_pick(r, 7)], 0, 0, 0));
        break;
    case 1:
        race_note(r, hypercall_vcpu_op(VCPUOP_set_singleshot_timer, r->id, &t));
        break;
    default:
        if (p.nr_ports)
            port[0] = (evtchn_port_t)kick_port;
        race_note(r, hypercall_sched_op(SCHEDOP_poll, &p));
    }
}

static void poll_others(struct racer *r)
{
    poll_step(r);
    /* The kicker goes on until the others are through. */
    if (r->id == 0 && (r->done >= race.steps || clock_ns() > race.deadline - SECOND_NS))
        while (count(&race.ended) < race.vcpus - 1)
            poll_step(r);
}

static void race_poll(void)
{
    struct evtchn_bind_ipi i = {.vcpu = 0};

    hypercall_event_channel_op(EVTCHNOP_bind_ipi, &i); /* stays masked: for polls alone */
    kick_port = (int)i.port;
    race_run(poll_others, 3000);
}

/* ---- descriptors ---- */

static char gdt_page[4][PAGE_SIZE] __attribute__((aligned(4096)));

static void load_selector(uint16_t selector)
{
    uint64_t good;

    asm volatile("lea 1f(%%rip), %%rbx; mov %1, %%fs; mov $1, %%eax; 1: mov %2, %%fs"
                 : "=&a"(good)
                 : "r"((uint32_t)selector), "r"(0)
                 : "rbx", "memory");
}

static void descriptors_step(struct racer *r)
{
    static const uint64_t descriptors[] = {0,
                                           0x00cff2000000ffffUL, /* data */
                                           0x00affa000000ffffUL, /* code */
                                           0x0000890000000067UL, /* a TSS */
                                           0x0000ec0000000000UL, /* a call gate */
                                           0x00cf92000000ffffUL,
                                           ~0UL};
    xen_ulong_t frames[4];
    unsigned page = race_pick(r, 4), slot = race_pick(r, 512);

    switch (race_pick(r, 4)) {
    case 0:
        for (unsigned i = 0; i < 4; i++)
            frames[i] = virt_to_mfn(gdt_page[(page + i) % 4]);
        race_note(r, hypercall_set_gdt(frames, race_pick(r, 5) * 512));
        break;
    case 1:
        gdt_page[page][race_pick(r, PAGE_SIZE)] = (char)race_random(r);
        load_selector((uint16_t)race_pick(r, 2048 * 8) | 3);
        break;
    default:
        race_note(r, hypercall_raw(__HYPERVISOR_update_descriptor,
                                   virt_to_mfn(gdt_page[page]) << PAGE_SHIFT | slot * 8,
                                   descriptors[race_pick(r, 7)], 0, 0));
    }
}

static void race_descriptors(void)
{
    race_run(descriptors_step, 5000);
}

/* ---- its end ---- */

static void end_step(struct racer *r)
{
    if (r->id == 0 && (r->done > 300 || clock_ns() > race.deadline - 4 * SECOND_NS)) {
        printf("hostile: race-end survived\n");
        start_shutdown(SHUTDOWN_crash);
    }
    switch (race_pick(r, 4)) {
    case 0:
        events_step(r);
        break;
    case 1:
        descriptors_step(r);
        break;
    default:
        race_note(r, hypercall_sched_op(SCHEDOP_yield, NULL));
    }
}

static void race_end(void)
{
    race_run(end_step, 1000000);
}

const struct question race_questions[] = {
    {"race-events", "event channels made, closed and sent to at once", race_events},
    {"race-vcpus", "vCPUs taken up and down, moved and initialised by others", race_vcpus},
    {"race-poll", "polls and timers at the ends of time", race_poll},
    {"race-gdt", "descriptor tables changed under the processors that use them", race_descriptors},
    {"race-end", "ends with all vCPUs in hypercalls", race_end},
    {NULL, NULL, NULL},
};
