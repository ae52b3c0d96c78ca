/* SPDX-License-Identifier: MIT */
/*
 * States and switches of vCPUs around the policies. One lock covers the queues of all pools and
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
 *     arch_vcpu_save, leave(prev)                 lock; picks it; unlock
 *     on_pcpu = false (release)          --->     waits for on_pcpu == false (acquire)
 *     waits for its own next                      on_pcpu = true; arch_vcpu_load
 *
 * Each pCPU saves before it waits, so two that swap their vCPUs do not wait for each other. Who
 * need not wait, because next is off its pCPU already, loads it at once and leaves prev by that.
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
#include "sched/sched_priv.h"
#include "sched/trace.h"

static struct spinlock lock = SPINLOCK_INIT(LOCK_SCHED);
struct sched_pcpu sched_pcpus[PCPU_MAX];

static struct vcpu *vcpu_of(struct sched_entity *e)
{
    return (struct vcpu *)((char *)e - offsetof(struct vcpu, sched.entity));
}

static struct sched_queue *queue_of(const struct vcpu *v)
{
    return &v->domain->sched.pool->queue;
}

/* ---- the lock ---- */

void sched_lock(void)
{
    spin_lock(&lock);
}

void sched_tell(unsigned pcpu)
{
    sched_pcpus[arch_pcpu_id()].told |= 1UL << pcpu;
}

void sched_tell_all(const struct sched_pool *p)
{
    sched_pcpus[arch_pcpu_id()].told |= p->queue.online;
}

void sched_tell_idle(struct sched_pool *p)
{
    int pcpu;

    while ((pcpu = policy_idle_with_work(&p->queue)) >= 0)
        sched_tell((unsigned)pcpu);
}

static __attribute__((noinline)) void unlock_and_tell(struct sched_pcpu *c)
{
    struct sched_vcpu_name unserved = c->unserved;
    uint64_t told = c->told;

    c->told = 0;
    c->unserved.valid = false;
    spin_unlock(&lock);
    for (; told; told &= told - 1)
        arch_request_resched((unsigned)__builtin_ctzll(told));
    if (unserved.valid)
        log_warn("domain %u vCPU %u does not run: scheduler null has no pCPU left for it\n",
                 unserved.domain, unserved.vcpu);
}

void sched_unlock(void)
{
    struct sched_pcpu *c = &sched_pcpus[arch_pcpu_id()];

    if (c->told || c->unserved.valid)
        unlock_and_tell(c);
    else
        spin_unlock(&lock);
}

/* ---- run states (lock held) ---- */

static bool runnable(const struct sched_vcpu *s)
{
    return s->up && !s->blocked && !s->pause_count;
}

static inline void enter_state(struct sched_vcpu *s, int state, uint64_t now)
{
    int before = s->run_state;

    if (before == state)
        return;
    if (now > s->state_since_ns)
        s->state_time_ns[before] += now - s->state_since_ns;
    s->run_state = state;
    s->state_since_ns = now;
    trace_runstate(vcpu_of(&s->entity), before, state, now);
}

static int state_off_pcpu(const struct sched_vcpu *s)
{
    if (s->up && s->blocked)
        return RUNSTATE_blocked;
    return runnable(s) ? RUNSTATE_runnable : RUNSTATE_offline;
}

void sched_kick_for(struct vcpu *v, uint64_t now, bool waking)
{
    int pcpu = policy_place(queue_of(v), &v->sched.entity, now, waking);
    if (pcpu >= 0) {
        trace_kick(v, (unsigned)pcpu, now);
        sched_tell((unsigned)pcpu);
    }
}

/* A policy may leave one without a pCPU: said once, after the lock is released. */
static void note_unserved(struct vcpu *v)
{
    if (v->sched.unserved_said || policy_served(queue_of(v), &v->sched.entity))
        return;
    v->sched.unserved_said = true;
    sched_pcpus[arch_pcpu_id()].unserved =
        (struct sched_vcpu_name){.valid = true, .domain = v->domain->id, .vcpu = v->id};
}

/* After a change of up, blocked or pause_count. */
static void settle(struct vcpu *v)
{
    struct sched_vcpu *s = &v->sched;
    uint64_t now = arch_time_ns();

    if (s->entity.state == SCHED_RUNNING) {
        if (!runnable(s))
            sched_tell(s->entity.pcpu);
        return;
    }
    enter_state(s, state_off_pcpu(s), now);
    if (!runnable(s)) {
        policy_sleep(queue_of(v), &s->entity);
    } else if (s->entity.state == SCHED_ASLEEP) {
        trace_vcpu(TRC_SCHED_WAKE, v, now);
        policy_wake(queue_of(v), &s->entity, now);
        sched_kick_for(v, now, true);
        note_unserved(v);
    }
}

/* ---- life ---- */

void sched_init(void)
{
    sched_pools_init();
}

void sched_pcpu_init(void)
{
    struct sched_pcpu *c = &sched_pcpus[arch_pcpu_id()];

    *c = (struct sched_pcpu){.idle_since = arch_time_ns()};
    sched_lock();
    sched_pool_join(arch_pcpu_id());
    sched_unlock();
}

void sched_vcpu_init(struct vcpu *v)
{
    v->sched = (struct sched_vcpu){.hard_affinity = ~0UL,
                                   .soft_affinity = ~0UL,
                                   .run_state = RUNSTATE_offline,
                                   .state_since_ns = arch_time_ns()};
    sched_lock();
    sched_pool_enter_vcpu(v);
    sched_unlock();
    trace_vcpu(TRC_SCHED_DOM_ADD, v, arch_time_ns());
}

void sched_vcpu_remove(struct vcpu *v)
{
    sched_lock();
    v->sched.up = false;
    settle(v);
    sched_unlock();
    sched_wait_off_pcpu(v);
    sched_lock();
    policy_remove(queue_of(v), &v->sched.entity);
    sched_tell_idle(v->domain->sched.pool);
    sched_unlock();
    trace_vcpu(TRC_SCHED_DOM_REM, v, arch_time_ns());
}

/* ---- state changes ---- */

void sched_vcpu_up(struct vcpu *v)
{
    sched_lock();
    v->sched.up = true;
    settle(v);
    sched_unlock();
}

void sched_vcpu_down(struct vcpu *v)
{
    sched_lock();
    v->sched.up = false;
    settle(v);
    sched_unlock();
}

/*
 * No wake-up is lost: the sender writes the pending bit, then looks at `blocked`; here `blocked` is
 * written, then the pending bit is looked at; with a full barrier between on both sides at least
 * one sees the other's write.
 */
static void mark_blocked(struct vcpu *v)
{
    sched_lock();
    __atomic_store_n(&v->sched.blocked, true, __ATOMIC_RELAXED);
    sched_unlock();
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
    sched_lock();
    __atomic_store_n(&v->sched.blocked, false, __ATOMIC_RELAXED);
    settle(v);
    sched_unlock();
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

    if (policy_somebody_waits(&sched_pcpus[pcpu].joined->queue)) {
        sched_pcpus[pcpu].yielded = true;
        arch_request_resched(pcpu);
    }
}

void sched_pause(struct vcpu *v)
{
    sched_lock();
    v->sched.pause_count++;
    settle(v);
    sched_unlock();
}

void sched_unpause(struct vcpu *v)
{
    sched_lock();
    ASSERT(v->sched.pause_count > 0);
    v->sched.pause_count--;
    settle(v);
    sched_unlock();
}

/* The caller saw to it that v may not run: once it is off the policy's list of running ones it
 * stays off, so the order of the two looks matters. */
void sched_wait_off_pcpu(struct vcpu *v)
{
    while (__atomic_load_n(&v->sched.entity.state, __ATOMIC_ACQUIRE) == SCHED_RUNNING ||
           __atomic_load_n(&v->sched.on_pcpu, __ATOMIC_ACQUIRE))
        arch_cpu_relax();
}

/* ---- the choice and the switch ---- */

/* When this pCPU must pick again (lock held). */
static uint64_t quantum_end(const struct sched_slot *s)
{
    return s->slice != SCHED_NO_LIMIT ? s->since + s->slice : SCHED_NO_LIMIT;
}

/* One timer for all pCPUs of a pool, so the lock is held. */
static void set_release(struct sched_pool *p)
{
    uint64_t release = p->queue.release_due;

    if (release != SCHED_NO_LIMIT &&
        (!timer_is_set(&p->release_timer) || p->release_timer.deadline != release))
        timer_set_before_quantum(&p->release_timer, release);
}

/* This pCPU leaves its pool, running nothing, and joins the one that it was given to (lock held).
 */
static void follow_pool(struct sched_pcpu *c, unsigned pcpu, uint64_t now)
{
    if (c->joined)
        policy_pcpu_offline(&c->joined->queue, pcpu, now);
    if (c->pool)
        policy_pcpu_online(&c->pool->queue, pcpu);
    /* Who waits for it looks without the lock (sched_pool_remove_pcpu()). */
    __atomic_store_n(&c->joined, c->pool, __ATOMIC_RELEASE);
}

/* Why the one that ran since `since` does not go on, now that the next one is chosen. */
static enum trace_stop why_stopped(const struct sched_vcpu *s, bool yielded, bool quantum_over)
{
    if (!runnable(s))
        return s->up && s->blocked ? TRACE_STOP_blocked : TRACE_STOP_paused;
    if (s->entity.state == SCHED_PARKED)
        return TRACE_STOP_cap;
    if (!(s->entity.affinity >> s->entity.pcpu & 1))
        return TRACE_STOP_moved;
    if (yielded)
        return TRACE_STOP_yielded;
    return quantum_over ? TRACE_STOP_quantum : TRACE_STOP_preempted;
}

/* prev, which ran here, was displaced: it waits, is parked, or does not want to run. */
static inline void displaced(struct vcpu *prev, unsigned pcpu, uint64_t now)
{
    struct sched_vcpu *s = &prev->sched;

    enter_state(s, s->entity.state == SCHED_ASLEEP ? state_off_pcpu(s) : RUNSTATE_runnable, now);
    if (s->entity.state == SCHED_QUEUED &&
        (s->entity.affinity & queue_of(prev)->online & ~(1UL << pcpu)))
        sched_kick_for(prev, now, false); /* another pCPU may run it: this one has just looked */
}

/* Who runs here from now on becomes c->current (lock held). */
static inline void choose(struct sched_pcpu *c, unsigned pcpu, uint64_t now)
{
    struct vcpu *prev = c->current, *next = NULL;
    struct sched_entity *e;
    enum sched_stop how = SCHED_STOP_SLEEP;
    bool over = false;

    if (prev) {
        over = trace_wanted() && now >= quantum_end(&c->joined->queue.pcpu[pcpu]);
        if (runnable(&prev->sched))
            how = c->yielded ? SCHED_STOP_YIELD : SCHED_STOP_QUEUE;
        policy_stop(&c->joined->queue, pcpu, now, how);
    }
    if (c->joined != c->pool)
        follow_pool(c, pcpu, now);
    if (c->joined && (e = policy_pick(&c->joined->queue, pcpu, now)))
        next = vcpu_of(e);
    if (prev != next) {
        c->current = next;
        if (prev && trace_wanted())
            trace_stop_running(prev, why_stopped(&prev->sched, c->yielded, over),
                               now - prev->sched.state_since_ns, now);
        if (prev)
            displaced(prev, pcpu, now);
        else
            c->idle_ns += now - c->idle_since;
        if (next)
            enter_state(&next->sched, RUNSTATE_running, now);
        else
            c->idle_since = now;
    }
    c->yielded = false;
}

/* Who else should look at the queue after that, and when this pCPU must (lock held). */
static inline uint64_t after_choice(struct sched_pool *p, unsigned pcpu)
{
    set_release(p);
    if (p->queue.idle)
        sched_tell_idle(p);
    return quantum_end(&p->queue.pcpu[pcpu]);
}

/* Till when this pCPU's vCPU goes on whatever waits; 0: a choice is due (lock held). */
static inline uint64_t undisturbed(const struct sched_pcpu *c, unsigned pcpu, uint64_t now)
{
    const struct vcpu *v = c->current;
    uint64_t left = v ? policy_min_run_left(&c->joined->queue, pcpu, now) : 0;

    if (!left || c->joined != c->pool || c->yielded || !runnable(&v->sched) ||
        !(v->sched.entity.affinity >> pcpu & 1))
        return 0;
    return now + left;
}

static bool is_on_pcpu(const struct vcpu *v)
{
    return __atomic_load_n(&v->sched.on_pcpu, __ATOMIC_ACQUIRE);
}

static void release_vcpu(struct vcpu *v)
{
    __atomic_store_n(&v->sched.on_pcpu, false, __ATOMIC_RELEASE);
}

static inline void load(unsigned pcpu, struct vcpu *next, struct vcpu *from)
{
    __atomic_store_n(&next->sched.pcpu, pcpu, __ATOMIC_RELAXED);
    __atomic_store_n(&next->sched.on_pcpu, true, __ATOMIC_SEQ_CST);
    arch_vcpu_load(next, from);
}

static inline void switch_vcpus(unsigned pcpu, struct vcpu *prev, struct vcpu *next)
{
    if (prev && next && !is_on_pcpu(next)) {
        arch_vcpu_save(prev);
        load(pcpu, next, prev);
        release_vcpu(prev);
        return;
    }
    if (prev) {
        arch_vcpu_save(prev);
        arch_vcpu_leave(prev);
        release_vcpu(prev);
    }
    if (next) {
        while (is_on_pcpu(next))
            arch_cpu_relax();
        load(pcpu, next, NULL);
    }
}

struct vcpu *sched_run(void)
{
    unsigned pcpu = arch_pcpu_id();
    struct sched_pcpu *c = &sched_pcpus[pcpu];
    struct vcpu *prev, *next;
    uint64_t now, quantum;

    sched_lock();
    now = arch_time_ns();
    prev = c->current;
    quantum = undisturbed(c, pcpu, now);
    if (!quantum) {
        choose(c, pcpu, now);
        quantum = c->joined ? after_choice(c->joined, pcpu) : SCHED_NO_LIMIT;
    }
    next = c->current;
    if (c->told)
        unlock_and_tell(c);
    else
        spin_unlock(&lock);
    timer_set_quantum(pcpu, quantum);
    if (next != prev)
        switch_vcpus(pcpu, prev, next);
    return next;
}

/* ---- figures ---- */

/* ns in `state`, the present stay included (lock held). */
static uint64_t time_in(const struct sched_vcpu *s, int state, uint64_t now)
{
    uint64_t ns = s->state_time_ns[state];
    return s->run_state == state && now > s->state_since_ns ? ns + now - s->state_since_ns : ns;
}

uint64_t sched_cpu_time(struct vcpu *v)
{
    uint64_t ns;

    sched_lock();
    ns = time_in(&v->sched, RUNSTATE_running, arch_time_ns());
    sched_unlock();
    return ns;
}

void sched_runstate(struct vcpu *v, struct vcpu_runstate_info *out)
{
    uint64_t now;

    __builtin_memset(out, 0, sizeof *out); /* guests get all of it, the gap behind `state` too */
    sched_lock();
    now = arch_time_ns();
    out->state = v->sched.run_state;
    out->state_entry_time = v->sched.state_since_ns;
    for (int i = 0; i < 4; i++)
        out->time[i] = time_in(&v->sched, i, now);
    sched_unlock();
}

uint64_t sched_idle_time(unsigned pcpu)
{
    uint64_t ns, now;

    sched_lock();
    now = arch_time_ns();
    ns = sched_pcpus[pcpu].idle_ns;
    if (!sched_pcpus[pcpu].current && now > sched_pcpus[pcpu].idle_since)
        ns += now - sched_pcpus[pcpu].idle_since;
    sched_unlock();
    return ns;
}
