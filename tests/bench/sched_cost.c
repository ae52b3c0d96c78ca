/* SPDX-License-Identifier: MIT */
/*
 * What a decision costs: the instructions of the compiled policies, counted by single steps of a
 * child process. `sched_cost [VCPUS]`: that many (100 by default) always want one pCPU, in three
 * cases: equal weights; weights 1 to 1000; every second one pinned to another pCPU, which takes its
 * turn, too.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/policy.h"

#define VCPUS   1000
#define TURNS   300
#define WARM_UP 100

enum load { EQUAL, WEIGHTED, PINNED, LOADS };
enum part { STOP, PICK, OTHER, PARTS };

static struct sched_queue queue;
static struct sched_entity entity[VCPUS];
static struct sched_group group;

/* Where the parent begins another count. */
void mark(void);
__asm__(".globl mark\nmark: ret\n");

static void turn(unsigned pcpu, uint64_t now)
{
    mark();
    if (queue.pcpu[pcpu].running)
        policy_stop(&queue, pcpu, now, SCHED_STOP_QUEUE);
    mark();
    policy_pick(&queue, pcpu, now);
    mark();
}

static void child(const struct sched_policy *policy, unsigned vcpus, enum load load)
{
    uint32_t random = 1;

    policy_queue_init(&queue, policy);
    policy_pcpu_online(&queue, 0);
    if (load == PINNED)
        policy_pcpu_online(&queue, 1);
    for (unsigned i = 0; i < vcpus; i++) {
        random = random * 1103515245 + 12345;
        policy_add(&queue, &entity[i], &group, load == EQUAL ? 256 : 1 + (random >> 8) % 1000);
        policy_set_affinity(&queue, &entity[i], load == PINNED ? 1UL << i % 2 : ~0UL, ~0UL, 0);
        policy_wake(&queue, &entity[i], 0);
    }
    for (uint64_t now = 0; now < TURNS * WFQ_QUANTUM_NS; now += WFQ_QUANTUM_NS)
        turn(load == PINNED ? now / WFQ_QUANTUM_NS % 2 : 0, now);
    _exit(0);
}

/* Steps the child to its end: sums and largest counts after the warming up. */
static void count(pid_t pid, uint64_t sum[PARTS], uint64_t most[PARTS])
{
    uint64_t steps = 0;
    unsigned marks = 0;
    int status;

    while (!ptrace(PTRACE_SINGLESTEP, pid, 0, 0) && waitpid(pid, &status, 0) == pid &&
           WIFSTOPPED(status)) {
        struct user_regs_struct regs;

        ptrace(PTRACE_GETREGS, pid, 0, &regs);
        if (regs.rip == (unsigned long)mark) {
            enum part part = (marks + PARTS - 1) % PARTS;
            if (marks > WARM_UP * PARTS) {
                sum[part] += steps;
                most[part] = steps > most[part] ? steps : most[part];
            }
            marks++;
            steps = 0;
        }
        steps++;
    }
}

static void measure(const struct sched_policy *policy, unsigned vcpus, enum load load)
{
    static const char *const names[] = {"equal", "weighted", "pinned"};
    uint64_t sum[PARTS] = {0}, most[PARTS] = {0}, turns = TURNS - WARM_UP;
    pid_t pid = fork();

    if (!pid) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        child(policy, vcpus, load);
    }
    waitpid(pid, NULL, 0);
    count(pid, sum, most);
    printf("| %s | %s | %lu | %lu | %lu | %lu |\n", policy->name, names[load], sum[PICK] / turns,
           most[PICK], sum[STOP] / turns, most[STOP]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned vcpus = argc > 1 ? (unsigned)atoi(argv[1]) : 100;
    const struct sched_policy *policy;

    if (vcpus < 1 || vcpus > VCPUS) {
        fprintf(stderr, "usage: %s [VCPUS], 1 to %u\n", argv[0], VCPUS);
        return 2;
    }
    printf(
        "| policy | %u vCPUs | pick | at most | stop | at most |\n|---|---|---:|---:|---:|---:|\n",
        vcpus);
    fflush(stdout);
    for (unsigned i = 0; (policy = policy_list(i)); i++)
        for (enum load load = EQUAL; load < LOADS; load++)
            measure(policy, vcpus, load);
    return 0;
}
