/* SPDX-License-Identifier: MIT */
/*
 * States and switches of vCPUs around the policy of sched/wfq.c. One lock covers the queue and
 * every vCPU's scheduling state.
 *
 * A vCPU's state is up, blocked and pause_count; settle() brings queue and run state in line after
 * each change of them. A vCPU that runs is taken off only by its own pCPU, in sched_run(); others
 * ask for that with arch_request_resched().
 *
 * The switch itself is outside the lock, because loading takes the paging lock:
 *
 *     pCPU A (prev)                               pCPU B (the same vCPU is next)
 *     lock; prev is queued again; unlock
 *     arch_vcpu_save(prev)                        lock; picks it; unlock
 *     on_pcpu = false (release)          --->     waits for on_pcpu == false (acquire)
 *     waits for its own next                      on_pcpu = true; arch_vcpu_load
 *
 * Each pCPU saves before it waits, so two that swap their vCPUs do not wait for each other.
 */
#include "sched/sched.h"

#include <stddef.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/vcpu.h>
#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/evtchn.h"
#include "hv/log.h"

static struct spinlock lock = SPINLOCK_INIT(LOCK_SCHED);
static struct wfq queue;
static struct wfq_entity *queue_heap[DOMAIN_MAX * VCPU_MAX];
static struct timer release_timer; /* capped vCPUs get their next budget */

static struct sched_pcpu {
    struct vcpu *current; /* NULL: idle */
    bool yielded;         /* by `current`, since it was chosen */
    uint64_t idle_ns, idle_since;
    struct timer quantum;
    uint64_t told; /* pCPUs that shall pick again: told so once this one has released the lock */
} pcpus[PCPU_MAX];

static struct vcpu *vcpu_of(struct wfq_entity *e)
{
    return (struct vcpu *)((char *)e - offsetof(struct vcpu, sched.wfq));
}

/* ---- the lock ---- */

/* The pCPU shall pick again (lock held). */
static void tell(unsigned pcpu)
{
    pcpus[arch_pcpu_id()].told |= 1UL << pcpu;
}

/* Interrupts are sent without the lock: one takes longer than all that is done under it. */
static void unlock(void)
{
    struct sched_pcpu *c = &pcpus[arch_pcpu_id()];
    uint64_t told = c->told;

    c->told = 0;
    spin_unlock(&lock);
    for (; told; told &= told - 1)
        arch_request_resched((unsigned)__builtin_ctzll(told));
}

/* ---- run states (lock held) ---- */

static bool runnable(const struct sched_vcpu *s)
{
    return s->up && !s->blocked && !s->pause_count;
}

static void enter_state(struct sched_vcpu *s, int state, uint64_t now)
{
    if (s->run_state == state)
        return;
    if (now > s->state_since_ns)
        s->state_time_ns[s->run_state] += now - s->state_since_ns;
    s->run_state = state;
    s->state_since_ns = now;
}

static int state_off_pcpu(const struct sched_vcpu *s)
{
    if (s->up && s->blocked)
        return RUNSTATE_blocked;
    return runnable(s) ? RUNSTATE_runnable : RUNSTATE_offline;
}

static void kick_for(struct vcpu *v, uint64_t now, bool waking)
{
    int pcpu = wfq_place(&queue, &v->sched.wfq, now, waking);
    if (pcpu >= 0)
        tell((unsigned)pcpu);
}

/* After a change of up, blocked or pause_count. */
static void settle(struct vcpu *v)
{
    struct sched_vcpu *s = &v->sched;
    uint64_t now = arch_time_ns();

    if (s->wfq.state == WFQ_RUNNING) {
        if (!runnable(s))
            tell(s->wfq.pcpu);
        return;
    }
    enter_state(s, state_off_pcpu(s), now);
    if (!runnable(s)) {
        wfq_sleep(&queue, &s->wfq);
    } else if (s->wfq.state == WFQ_ASLEEP) {
        wfq_wake(&queue, &s->wfq, now);
        kick_for(v, now, true);
    }
}

/* ---- life ---- */

static void quantum_over(void *arg)
{
    (void)arg;
    arch_request_resched(arch_pcpu_id());
}

static void tell_all(void)
{
    pcpus[arch_pcpu_id()].told |= queue.online;
}

/* A new period of budgets: whoever idles looks again; the others do at the end of their quanta,
 * which they have from now on. */
static void release_capped(void *arg)
{
    (void)arg;
    spin_lock(&lock);
    wfq_release(&queue, arch_time_ns());
    tell_all();
    unlock();
}

void sched_init(void)
{
    wfq_init(&queue, queue_heap, DOMAIN_MAX * VCPU_MAX);
    timer_init(&release_timer, release_capped, NULL);
}

void sched_pcpu_init(void)
{
    struct sched_pcpu *c = &pcpus[arch_pcpu_id()];

    *c = (struct sched_pcpu){.idle_since = arch_time_ns()};
    timer_init(&c->quantum, quantum_over, NULL);
    spin_lock(&lock);
    wfq_pcpu_online(&queue, arch_pcpu_id());
    unlock();
}

void sched_vcpu_init(struct vcpu *v)
{
    struct sched_domain *d = &v->domain->sched;

    v->sched = (struct sched_vcpu){.hard_affinity = ~0UL,
                                   .soft_affinity = ~0UL,
                                   .run_state = RUNSTATE_offline,
                                   .state_since_ns = arch_time_ns()};
    wfq_entity_init(&v->sched.wfq, &d->group, d->weight ? d->weight : SCHED_WEIGHT_DEFAULT);
}

void sched_vcpu_remove(struct vcpu *v)
{
    spin_lock(&lock);
    v->sched.up = false;
    settle(v);
    unlock();
    sched_wait_off_pcpu(v);
}

/* ---- state changes ---- */

void sched_vcpu_up(struct vcpu *v)
{
    spin_lock(&lock);
    v->sched.up = true;
    settle(v);
    unlock();
}

void sched_vcpu_down(struct vcpu *v)
{
    spin_lock(&lock);
    v->sched.up = false;
    settle(v);
    unlock();
}

/*
 * No wake-up is lost: the sender writes the pending bit, then looks at `blocked`; here `blocked` is
 * written, then the pending bit is looked at; with a full barrier between on both sides at least
 * one sees the other's write.
 */
static void mark_blocked(struct vcpu *v)
{
    spin_lock(&lock);
    __atomic_store_n(&v->sched.blocked, true, __ATOMIC_RELAXED);
    unlock();
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    arch_request_resched(arch_pcpu_id());
}

void sched_block_current(void)
{
    struct vcpu *v = current_vcpu();

    mark_blocked(v);
    if (evtchn_upcall_due(v))
        sched_wake(v);
}

void sched_poll_current(void)
{
    mark_blocked(current_vcpu());
}

void sched_wake(struct vcpu *v)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with sched_block_current() */
    if (!__atomic_load_n(&v->sched.blocked, __ATOMIC_RELAXED))
        return;
    spin_lock(&lock);
    __atomic_store_n(&v->sched.blocked, false, __ATOMIC_RELAXED);
    settle(v);
    unlock();
}

void sched_kick(struct vcpu *v)
{
    unsigned pcpu;

    sched_wake(v);
    /* If it is being switched in right now, the look at its events on the way out comes after this.
     */
    pcpu = __atomic_load_n(&v->sched.pcpu, __ATOMIC_RELAXED);
    if (__atomic_load_n(&v->sched.on_pcpu, __ATOMIC_ACQUIRE) && pcpu != arch_pcpu_id())
        arch_send_ipi(pcpu, IPI_RESCHED);
}

/*
 * Guests that poll yield without end: while nobody waits they stay off the lock, which the wake-up
 * of whom they wait for needs. Who is queued right after the look has this pCPU pick again.
 */
void sched_yield_current(void)
{
    unsigned pcpu = arch_pcpu_id();

    if (wfq_somebody_waits(&queue)) {
        pcpus[pcpu].yielded = true;
        arch_request_resched(pcpu);
    }
}

void sched_pause(struct vcpu *v)
{
    spin_lock(&lock);
    v->sched.pause_count++;
    settle(v);
    unlock();
}

void sched_unpause(struct vcpu *v)
{
    spin_lock(&lock);
    ASSERT(v->sched.pause_count > 0);
    v->sched.pause_count--;
    settle(v);
    unlock();
}

/* The caller saw to it that v may not run: once it is off the policy's list of running ones it
 * stays off, so the order of the two looks matters. */
void sched_wait_off_pcpu(struct vcpu *v)
{
    while (__atomic_load_n(&v->sched.wfq.state, __ATOMIC_ACQUIRE) == WFQ_RUNNING ||
           __atomic_load_n(&v->sched.on_pcpu, __ATOMIC_ACQUIRE))
        arch_cpu_relax();
}

/* ---- the choice and the switch ---- */

/* When this pCPU must pick again (lock held). */
static uint64_t quantum_end(const struct wfq_pcpu *p)
{
    return p->running && p->slice != WFQ_NO_LIMIT ? p->since + p->slice : WFQ_NO_LIMIT;
}

static void set_quantum(struct sched_pcpu *c, uint64_t end)
{
    if (end != WFQ_NO_LIMIT || timer_is_set(&c->quantum))
        timer_set(&c->quantum, end);
}

/* One timer for all pCPUs, so the lock is held; there is something to set with caps only. */
static void set_release(void)
{
    uint64_t release = wfq_release_time(&queue);

    if (release != WFQ_NO_LIMIT &&
        (!timer_is_set(&release_timer) || release_timer.deadline != release))
        timer_set(&release_timer, release);
}

static struct vcpu *choose(unsigned pcpu, uint64_t now)
{
    struct sched_pcpu *c = &pcpus[pcpu];
    struct vcpu *prev = c->current;
    struct wfq_entity *e;
    enum wfq_stop how = WFQ_STOP_SLEEP;

    if (prev && runnable(&prev->sched))
        how = c->yielded ? WFQ_STOP_YIELD : WFQ_STOP_QUEUE;
    c->yielded = false;
    wfq_stop(&queue, pcpu, now, how);
    e = wfq_pick(&queue, pcpu, now);
    c->current = e ? vcpu_of(e) : NULL;
    if (prev && prev != c->current)
        enter_state(&prev->sched, state_off_pcpu(&prev->sched), now);
    if (!prev && e)
        c->idle_ns += now - c->idle_since;
    if (e) {
        enter_state(&c->current->sched, RUNSTATE_running, now);
    } else if (prev) {
        c->idle_since = now;
    }
    return c->current;
}

static void switch_vcpus(unsigned pcpu, struct vcpu *prev, struct vcpu *next)
{
    arch_vcpu_save(prev);
    if (prev)
        __atomic_store_n(&prev->sched.on_pcpu, false, __ATOMIC_RELEASE);
    if (next) {
        while (__atomic_load_n(&next->sched.on_pcpu, __ATOMIC_ACQUIRE))
            arch_cpu_relax();
        __atomic_store_n(&next->sched.pcpu, pcpu, __ATOMIC_RELAXED);
        __atomic_store_n(&next->sched.on_pcpu, true, __ATOMIC_SEQ_CST);
    }
    arch_vcpu_load(next);
}

struct vcpu *sched_run(void)
{
    unsigned pcpu = arch_pcpu_id();
    struct sched_pcpu *c = &pcpus[pcpu];
    struct vcpu *prev, *next;
    uint64_t now, left, quantum;
    int idle;

    spin_lock(&lock);
    now = arch_time_ns();
    prev = next = c->current;
    left = wfq_min_run_left(&queue, pcpu, now);
    if (prev && left && !c->yielded && runnable(&prev->sched) &&
        (prev->sched.wfq.affinity & (1UL << pcpu))) {
        quantum = now + left;
    } else {
        next = choose(pcpu, now);
        quantum = quantum_end(&queue.pcpu[pcpu]);
        set_release();
        if (prev && prev != next && prev->sched.wfq.state == WFQ_QUEUED)
            kick_for(prev, now, false);
        while ((idle = wfq_idle_with_work(&queue)) >= 0)
            tell((unsigned)idle);
    }
    unlock();
    set_quantum(c, quantum);
    if (next != prev)
        switch_vcpus(pcpu, prev, next);
    return next;
}

/* ---- parameters and figures ---- */

long sched_set_params(struct domain *d, unsigned weight, unsigned cap)
{
    if (weight < 1 || weight > WFQ_WEIGHT_MAX || cap > 100 * VCPU_MAX)
        return refuse(d, -XEN_EINVAL, "weight %u, cap %u", weight, cap);
    spin_lock(&lock);
    d->sched.weight = weight;
    for (unsigned i = 0; i < d->vcpu_max; i++)
        if (d->vcpu[i])
            wfq_set_weight(&d->vcpu[i]->sched.wfq, weight);
    if (d->sched.group.cap != cap) {
        wfq_set_cap(&queue, &d->sched.group, cap, arch_time_ns());
        tell_all();
    }
    unlock();
    return 0;
}

void sched_get_params(struct domain *d, unsigned *weight, unsigned *cap)
{
    *weight = d->sched.weight ? d->sched.weight : SCHED_WEIGHT_DEFAULT;
    *cap = d->sched.group.cap;
}

long sched_set_affinity(struct vcpu *v, const uint64_t *hard, const uint64_t *soft)
{
    struct sched_vcpu *s = &v->sched;

    if (hard && !(*hard & arch_pcpu_mask()))
        return refuse(v->domain, -XEN_EINVAL, "no pCPU online in %lx", *hard);
    spin_lock(&lock);
    if (hard)
        s->hard_affinity = *hard;
    if (soft)
        s->soft_affinity = *soft;
    wfq_set_affinity(&queue, &s->wfq, s->hard_affinity, s->soft_affinity, arch_time_ns());
    if (s->wfq.state == WFQ_RUNNING)
        tell(s->wfq.pcpu);
    else if (s->wfq.state == WFQ_QUEUED)
        kick_for(v, arch_time_ns(), true);
    unlock();
    return 0;
}

/* ns in `state`, the present stay included (lock held). */
static uint64_t time_in(const struct sched_vcpu *s, int state, uint64_t now)
{
    uint64_t ns = s->state_time_ns[state];
    return s->run_state == state && now > s->state_since_ns ? ns + now - s->state_since_ns : ns;
}

uint64_t sched_cpu_time(struct vcpu *v)
{
    uint64_t ns;

    spin_lock(&lock);
    ns = time_in(&v->sched, RUNSTATE_running, arch_time_ns());
    unlock();
    return ns;
}

void sched_runstate(struct vcpu *v, struct vcpu_runstate_info *out)
{
    uint64_t now;

    memset(out, 0, sizeof *out); /* guests get all of it, the gap behind `state` too */
    spin_lock(&lock);
    now = arch_time_ns();
    out->state = v->sched.run_state;
    out->state_entry_time = v->sched.state_since_ns;
    for (int i = 0; i < 4; i++)
        out->time[i] = time_in(&v->sched, i, now);
    unlock();
}

uint64_t sched_idle_time(unsigned pcpu)
{
    uint64_t ns, now;

    spin_lock(&lock);
    now = arch_time_ns();
    ns = pcpus[pcpu].idle_ns;
    if (!pcpus[pcpu].current && now > pcpus[pcpu].idle_since)
        ns += now - pcpus[pcpu].idle_since;
    unlock();
    return ns;
}
