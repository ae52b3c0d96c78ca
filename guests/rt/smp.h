/* SPDX-License-Identifier: MIT */
/*
 * Several vCPUs. Threads live on vCPU 0 only; another vCPU runs one function on a stack of its own,
 * with its own event upcalls. What that function may call: hypercalls, clock.h, event_send(),
 * printf, atomics on shared data. Not: malloc, page_alloc, waitq_wake, anything that waits for a
 * thread.
 */
#ifndef RT_SMP_H
#define RT_SMP_H

#include <stdint.h>

#define SMP_MAX 32 /* vCPUs with a vcpu_info in shared_info */

struct vcpu_info;

/* What each vCPU finds at its kernel GS base. */
struct smp_cpu {
    struct smp_cpu *self;
    uint64_t id;
    struct vcpu_info *info;
    void (*fn)(void *);
    void *arg;
    void *stack;
};

/* The calling vCPU. */
static inline struct smp_cpu *smp_self(void)
{
    struct smp_cpu *self;

    asm volatile("mov %%gs:0, %0" : "=r"(self));
    return self;
}

static inline unsigned smp_id(void)
{
    return (unsigned)smp_self()->id;
}

/* vCPUs that this domain has, up or not, SMP_MAX at most. */
unsigned smp_vcpus(void);

/* Starts vCPU `id` (1 to smp_vcpus() - 1) in fn(arg), upcalls enabled. When fn returns the vCPU
 * goes down. From a thread. 0 or a negative errno: -XEN_EINVAL bad id, -XEN_EEXIST already started,
 * -XEN_ENOMEM, or what the hypervisor said. */
int smp_boot_vcpu(unsigned id, void (*fn)(void *), void *arg);

/* Waits on a secondary vCPU until cond, which an event handler of that vCPU makes true, holds. */
#define smp_wait_until(cond)          \
    do {                              \
        while (smp_mask(), !(cond)) { \
            smp_block();              \
        }                             \
        smp_unmask();                 \
    } while (0)

/* The parts of the macro: block ends with upcalls enabled, after at least one event. */
void smp_mask(void);
void smp_unmask(void);
void smp_block(void);

/* Set-up of vCPU 0's own area, called first of all by the runtime. */
void smp_init_boot(void);

#endif
