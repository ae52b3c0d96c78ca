/* SPDX-License-Identifier: MIT */
/*
 * All limits of the hypervisor in one place. Raising one costs memory as the comment says, nothing
 * else.
 */
#ifndef HV_CONFIG_H
#define HV_CONFIG_H

#define PCPU_MAX    64   /* pCPUs used; a bit each in a 64-bit mask */
#define DOMAIN_MAX  1024 /* slots of the domain table, a pointer each; numbers are reused late */
#define CPUPOOL_MAX 32   /* pools of pCPUs, 7 KiB each */
#define VCPU_MAX    32   /* vCPUs of a domain: shared_info has room for 32 vcpu_infos */
#define EXCHANGE_GFNS                                                                           \
    1024 /* gfns of a domU beyond its memory limit: room for XENMEM_exchange to find contiguous \
            ones */
#define EVTCHN_MAX 4096 /* ports of a domain with the 2-level ABI, 64-bit */
#define VIRQ_MAX   24   /* NR_VIRQS of <xen/xen.h> */
#define PIRQ_MAX   64   /* physical interrupt numbers of dom0 */
#define GRANT_FRAMES                                                            \
    32 /* default and largest grant-table frames of a domain (512 entries each) \
        */
#define MAPTRACK_FRAMES 32           /* default frames of grant-mapping handles of a domain */
#define PCI_DEVICES     64           /* devices that dom0 may add */
#define LOG_BYTES       (128 * 1024) /* the hypervisor's log ring (power of two) */

#define HYPERCALL_BUDGET_US 500 /* a hypercall that took this long becomes a continuation */

/* Looks at a taken lock before its pCPU queues for it: some 5 ms, more than what a host takes a
 * processor away for. With 16,384 looks Linux on 4 pCPUs of a busy host takes three times as long.
 * A unit test has few. */
#ifndef LOCK_PATIENCE
#define LOCK_PATIENCE 131072
#endif

/* A continuation, inside the hypervisor only: <xen/errno.h> hides its ERESTART (85) from others. */
#define XEN_ERESTART 85

/* CONFIG_DEBUG=1 (make DEBUG=1) adds the costly checks: shadow audit, lock ranks, refusal log
 * lines. */
#ifndef CONFIG_DEBUG
#define CONFIG_DEBUG 0
#endif

#endif
