/* SPDX-License-Identifier: MIT */
#include "tests/unit/sched_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct machine machine;
static struct machine *const m = &machine;

/* ---- chance ---- */

uint64_t machine_rnd(uint64_t limit)
{
    m->random = m->random * 6364136223846793005UL + 1442695040888963407UL;
    return limit ? (m->random >> 20) % limit : 0;
}

uint64_t machine_spread(uint64_t limit)
{
    uint64_t most = limit;

    for (uint64_t halves = machine_rnd(64 - (uint64_t)__builtin_clzl(limit)); halves; halves--)
        most /= 2;
    return 1 + machine_rnd(most);
}

void machine_fail(const char *fmt, ...)
{
    char what[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    fail_msg("%s, seed %lu, %u tasks on %u pCPUs, at %lu ns: %s", m->q.policy->name, m->seed,
             m->tasks, m->pcpus, m->now, what);
    __builtin_unreachable();
}

/* ---- what sched/sched.c does ---- */

static struct task *task_of(struct sched_entity *e)
{
    return (struct task *)((char *)e - offsetof(struct task, e));
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void place(struct task *t, bool waking)
{
    int p = policy_place(&m->q, &t->e, m->now, waking);

    if (p >= 0)
        m->resched |= 1UL << p;
}

static void tell_idle(void)
{
    int p;

    while ((p = policy_idle_with_work(&m->q)) >= 0)
        m->resched |= 1UL << p;
}

static void wake(struct task *t)
{
    t->wake_at = NEVER;
    t->left = t->burst ? 1 + machine_rnd(2 * t->burst) : NEVER;
    t->queued_at = m->now;
    policy_wake(&m->q, &t->e, m->now);
    place(t, true);
}

static void note_wait(struct task *t)
{
    if (t->queued_at != NEVER && m->now - t->queued_at > t->longest_wait)
        t->longest_wait = m->now - t->queued_at;
    t->queued_at = NEVER;
}

static bool over(const struct task *t)
{
    return t->left == 0 || m->now >= t->leaves;
}

static void stop(unsigned p, enum sched_stop how)
{
    struct task *t = task_of(m->q.pcpu[p].running);

    policy_stop(&m->q, p, m->now, how);
    if (how != SCHED_STOP_SLEEP) {
        t->queued_at = m->now;
        return;
    }
    t->present = m->now < t->leaves;
    t->wake_at = t->present ? m->now + 1 + machine_rnd(2 * t->pause) : NEVER;
    if (!t->present)
        policy_remove(&m->q, &t->e);
}

static void pick(unsigned p)
{
    struct sched_entity *e = policy_pick(&m->q, p, m->now);
    struct task *t;

    m->timer[p] = NEVER;
    if (!e)
        return;
    t = task_of(e);
    if (!(e->affinity >> p & 1))
        machine_fail("task %ld runs on pCPU %u", (long)(t - m->task), p);
    note_wait(t);
    t->moves += t->ran && t->last != p;
    t->ran = true;
    t->last = p;
    if (m->q.pcpu[p].slice != SCHED_NO_LIMIT)
        m->timer[p] = m->now + m->q.pcpu[p].slice + machine_rnd(m->late + 1);
}

static void run(unsigned p)
{
    struct sched_entity *prev = m->q.pcpu[p].running;
    struct task *t = prev ? task_of(prev) : NULL;
    uint64_t left = policy_min_run_left(&m->q, p, m->now);

    m->resched &= ~(1UL << p);
    if (prev && !over(t) && left && (prev->affinity >> p & 1)) {
        m->timer[p] = m->now + left;
        return;
    }
    if (prev)
        stop(p, over(t)                        ? SCHED_STOP_SLEEP
                : m->yields && !machine_rnd(8) ? SCHED_STOP_YIELD
                                               : SCHED_STOP_QUEUE);
    pick(p);
    if (prev && prev != m->q.pcpu[p].running && prev->state == SCHED_QUEUED)
        place(t, false);
    tell_idle();
}

/* ---- events ---- */

static void release(void)
{
    if (m->q.release_due > m->now)
        return;
    policy_release(&m->q, m->now);
    m->resched |= m->q.online;
}

static void arrive_and_leave(void)
{
    for (unsigned i = 0; i < m->tasks; i++) {
        struct task *t = &m->task[i];

        if (t->wake_at <= m->now)
            wake(t);
        if (t->present && m->now >= t->leaves && t->e.state != SCHED_RUNNING) {
            policy_sleep(&m->q, &t->e);
            policy_remove(&m->q, &t->e);
            t->present = false;
            t->wake_at = t->queued_at = NEVER;
            tell_idle();
        }
    }
}

/* Everything that is due now, until nothing is. */
static void act(void)
{
    bool again = true;

    release();
    arrive_and_leave();
    while (again) {
        again = false;
        for (uint64_t left = m->q.online; left; left &= left - 1) {
            unsigned p = (unsigned)__builtin_ctzl(left);
            const struct sched_entity *e = m->q.pcpu[p].running;

            if ((m->resched >> p & 1) || m->timer[p] <= m->now ||
                (e && over(task_of(m->q.pcpu[p].running)))) {
                run(p);
                again = true;
            }
        }
    }
}

static uint64_t next_event(uint64_t limit)
{
    uint64_t t = least(limit, m->q.release_due);

    for (uint64_t left = m->q.online; left; left &= left - 1) {
        unsigned p = (unsigned)__builtin_ctzl(left);
        const struct task *r = m->q.pcpu[p].running ? task_of(m->q.pcpu[p].running) : NULL;

        t = least(t, m->timer[p]);
        if (r)
            t = least(t, least(r->leaves, r->left == NEVER ? NEVER : m->now + r->left));
    }
    for (unsigned i = 0; i < m->tasks; i++)
        if (m->task[i].present && m->task[i].e.state != SCHED_RUNNING)
            t = least(t, least(m->task[i].wake_at, m->task[i].leaves));
    return t;
}

static void count_caps(uint64_t ns)
{
    for (unsigned g = 0; g < GROUPS; g++) {
        m->ahead[g] -= (int64_t)(ns * m->group[g].cap / 100);
        if (m->ahead[g] < m->least_ahead[g])
            m->least_ahead[g] = m->ahead[g];
        if (m->ahead[g] - m->least_ahead[g] > m->worst[g])
            m->worst[g] = m->ahead[g] - m->least_ahead[g];
    }
}

static void advance(uint64_t to)
{
    uint64_t ns = to - m->now;

    for (uint64_t left = m->q.online; left; left &= left - 1) {
        struct sched_entity *e = m->q.pcpu[__builtin_ctzl(left)].running;

        if (!e)
            continue;
        task_of(e)->cpu += ns;
        if (task_of(e)->left != NEVER)
            task_of(e)->left -= ns;
        m->ahead[e->group - m->group] += (int64_t)ns;
    }
    count_caps(ns);
    m->now = to;
}

static void check_queue(void)
{
    uint64_t wanted = 0, busy = 0;
    unsigned waiting = 0, running = 0;

    for (unsigned i = 0; i < m->tasks; i++) {
        const struct sched_entity *e = &m->task[i].e;

        waiting += e->state == SCHED_QUEUED;
        running += e->state == SCHED_RUNNING;
        if (e->state == SCHED_QUEUED)
            wanted |= e->affinity;
        if (e->state == SCHED_RUNNING && m->q.pcpu[e->pcpu].running != e)
            machine_fail("task %u is not where it says it runs", i);
    }
    for (uint64_t left = m->q.online; left; left &= left - 1)
        if (m->q.pcpu[__builtin_ctzl(left)].running) {
            busy |= left & -left;
            running--;
        }
    if (running || waiting != m->q.waiting || (m->q.idle & busy))
        machine_fail("the books are wrong: %u, %u and %u wait", running, waiting, m->q.waiting);
    if (m->conserves && (wanted & m->q.online & ~busy))
        machine_fail("pCPUs %lx idle while somebody waits", wanted & m->q.online & ~busy);
}

void machine_step(uint64_t limit)
{
    advance(next_event(limit));
    act();
    check_queue();
}

void machine_run(uint64_t until, void (*check)(void))
{
    while (m->now < until) {
        machine_step(until);
        if (check)
            check();
    }
}

/* ---- making and changing ---- */

void machine_start(const struct sched_policy *policy, unsigned pcpus, uint64_t seed)
{
    memset(m, 0, offsetof(struct machine, task));
    memset(&m->tasks, 0, sizeof *m - offsetof(struct machine, tasks));
    m->pcpus = pcpus;
    m->seed = seed;
    m->random = seed * 2654435761U + 1;
    m->conserves = true;
    policy_queue_init(&m->q, policy);
    for (unsigned p = 0; p < pcpus; p++) {
        policy_pcpu_online(&m->q, p);
        m->timer[p] = NEVER;
    }
}

struct task *machine_add(uint32_t weight, uint64_t burst, uint64_t pause, unsigned group)
{
    struct task *t = &m->task[m->tasks++];

    *t = (struct task){.hard = ~0UL,
                       .burst = burst,
                       .pause = pause,
                       .leaves = NEVER,
                       .wake_at = NEVER,
                       .queued_at = NEVER};
    policy_add(&m->q, &t->e, &m->group[group], weight);
    machine_pin(t, ~0UL);
    return t;
}

void machine_wake_all(void)
{
    for (unsigned i = 0; i < m->tasks; i++) {
        m->task[i].present = true;
        m->task[i].wake_at = m->task[i].arrives;
    }
    act();
    check_queue();
}

void machine_pin(struct task *t, uint64_t pcpus)
{
    uint64_t may = pcpus & m->q.online;

    t->hard = pcpus;
    policy_set_affinity(&m->q, &t->e, may ? may : m->q.online, ~0UL, m->now);
    if (t->e.state == SCHED_RUNNING)
        m->resched |= 1UL << t->e.pcpu;
    else if (t->e.state == SCHED_QUEUED)
        place(t, true);
    tell_idle();
}

void machine_resched_all(void)
{
    m->resched |= m->q.online;
    act();
    check_queue();
}

void machine_set_online(uint64_t pcpus)
{
    uint64_t gone = m->q.online & ~pcpus, come = pcpus & ~m->q.online;

    for (uint64_t left = come; left; left &= left - 1) {
        policy_pcpu_online(&m->q, (unsigned)__builtin_ctzl(left));
        m->timer[__builtin_ctzl(left)] = NEVER;
    }
    for (unsigned i = 0; i < m->tasks; i++) {
        struct task *t = &m->task[i];
        uint64_t may = t->hard & pcpus;

        policy_set_affinity(&m->q, &t->e, may ? may : pcpus, ~0UL, m->now);
    }
    for (uint64_t left = gone; left; left &= left - 1) {
        unsigned p = (unsigned)__builtin_ctzl(left);
        struct sched_entity *prev = m->q.pcpu[p].running;

        if (prev)
            stop(p, over(task_of(prev)) ? SCHED_STOP_SLEEP : SCHED_STOP_QUEUE);
        policy_pcpu_offline(&m->q, p, m->now);
        if (prev && prev->state == SCHED_QUEUED)
            place(task_of(prev), false);
    }
    machine_resched_all();
}
