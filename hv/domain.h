/* SPDX-License-Identifier: MIT */
/*
 * Domains and their vCPUs: the structures that everything else hangs on, and their life.
 *
 * Life of a domain: created (paused, no context) -> running -> shutdown (by itself, a reason is
 * kept) -> dying (XEN_DOMCTL_destroydomain, in steps) -> zombie until the last reference goes ->
 * freed. domain_set_* below are the only doors.
 */
#ifndef HV_DOMAIN_H
#define HV_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/vcpu.h>
#include "hv/config.h"
#include "hv/console_line.h"
#include "hv/lock.h"
#include "mm/logdirty.h"
#include "mm/paging.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "arch/x86/public.h"

struct evtchn_table; /* hv/evtchn.c */
struct grant_table;  /* hv/grant.c */

/* Emulated stores to page tables, by kind of instruction. */
enum store_form { STORE_MOV, STORE_XCHG, STORE_CMPXCHG, STORE_LOGIC, STORE_BIT, STORE_FORMS };

struct vcpu {
    struct domain *domain;
    /* The guest-shared vcpu_info: in shared_info at first, or where VCPUOP_register_vcpu_info put
     * it. Read and written by the hypervisor through this pointer only. */
    struct vcpu_info *info;
    uint64_t hypercall_since; /* ticks: when its present hypercall first looked at the clock; 0: not
                                 yet */
    /* What it did, for PENUMBRA_OP_counters: counted by the vCPU itself, with no lock. */
    struct {
        uint64_t hypercalls, updates;
        uint64_t stores[STORE_FORMS], stores_refused, tables_dropped;
    } count;
    struct paging_vcpu paging;
    struct arch_vcpu arch; /* arch's assembly knows where all of these stand */

    unsigned id;
    struct sched_vcpu sched; /* sched/: state, affinity, run states */

    /* Set by XEN_DOMCTL_setvcpucontext / VCPUOP_initialise; an uninitialised vCPU never runs. */
    bool initialised;

    struct frame_hold info_hold; /* of a registered page of info */

    /* Run-state area: guest virtual address, 0 if none; written when its entry is reachable, at
     * switch-in. */
    uint64_t runstate_va;
    uint64_t time_va; /* the same for a second vcpu_time_info */

    struct timer singleshot; /* raises VIRQ_TIMER */
    struct timer periodic;
    uint64_t periodic_ns; /* 0: stopped */

    struct timer poll_timer; /* SCHEDOP_poll's timeout */
    bool polling; /* blocked in SCHEDOP_poll: an event on a polled port wakes even when masked */

    uint32_t virq_port[VIRQ_MAX]; /* 0: unbound; event lock */
};

/* What a guest may switch on by vm_assist. */
#define DOMAIN_ASSISTS                                                            \
    ((1u << VMASST_TYPE_4gb_segments) | (1u << VMASST_TYPE_writable_pagetables) | \
     (1u << VMASST_TYPE_pae_extended_cr3) | (1u << VMASST_TYPE_runstate_update_flag))

struct domain {
    domid_t id;
    int32_t refs; /* atomic; the domain table holds one until destruction is complete */
    bool privileged;
    uint64_t hypercalls; /* a bit for each that it may make; arch's assembly knows where */
    bool dying;          /* domain lock; set once, never cleared */
    bool is_shut_down;   /* shutdown_code is valid */
    uint8_t shutdown_code;
    bool controller_paused; /* by XEN_DOMCTL_pausedomain */
    unsigned
        pause_count; /* domain_pause() calls not undone; new vCPUs start with it (domain lock) */
    unsigned destroy_step; /* how far domain_destroy() is */
    struct domain *next;   /* domain table, by number */
    uint64_t created_ns;
    xen_domain_handle_t handle;

    struct spinlock lock;

    unsigned vcpu_max; /* slots of vcpu[] in use, fixed by XEN_DOMCTL_max_vcpus */
    struct vcpu *vcpu[VCPU_MAX];

    struct paging *paging;
    uint64_t max_pages; /* XEN_DOMCTL_max_mem */
    /* Who is in the middle of reading the log of dirty frames (hv/domctl_shadow.c); control lock */
    struct log_reader {
        unsigned vcpu; /* of domain 0, plus 1; 0: nobody */
        uint32_t op;
        uint64_t next; /* gfn */
        struct log_stats stats;
    } log_reader;

    /* shared_info: a hypervisor frame in the domain's window. */
    struct shared_info *shared;
    mfn_t shared_mfn;
    gfn_t shared_gfn;

    struct spinlock event_lock;
    struct evtchn_table *evtchn;
    struct grant_table *grant;

    struct sched_domain sched; /* weight and cap; sched lock */

    uint32_t vm_assist;   /* bits of VMASST_TYPE_*, of DOMAIN_ASSISTS only: atomic */
    uint8_t store_mode;   /* PENUMBRA_STORES_*: atomic, changed at any time */
    uint64_t time_offset; /* wall clock seconds offset */

    struct console_line console; /* output by console_io (hv/console.c); domain lock */
    struct memory_map
        *memory_map; /* XENMEM_set_memory_map, NULL: none (hv/memory_map.c); domain lock */
};

/* The domain whose vCPU runs here, and that vCPU (NULL when idle). */
struct vcpu *current_vcpu(void);

/* Domain table. domain_get takes a reference, NULL if there is none (or it is dying and dying_too
 * is false). DOMID_SELF is the caller's. */
struct domain *domain_get(domid_t id);
void domain_put(struct domain *d);
/* The same, zombies included: for XEN_DOMCTL_destroydomain and lists. */
struct domain *domain_get_dying_too(domid_t id);
/* Next domain with number >= id, with a reference; NULL at the end. For lists. */
struct domain *domain_next(domid_t id);
/* Resolves DOMID_SELF; a reference is taken. -XEN_ESRCH via NULL. */
struct domain *domain_get_for(struct domain *caller, domid_t id);

/* Creates a domain without vCPUs, paused once: *out holds a reference for the caller. -EEXIST,
 * -ENOMEM, -EINVAL. DOMCTL lock held. */
struct domain_params {
    domid_t id;      /* 0xffff or DOMID_INVALID..: choose one */
    bool privileged; /* dom0 */
    uint64_t max_pages;
    unsigned shadow_pages; /* 0: default from max_pages */
    unsigned max_grant_frames, max_maptrack_frames;
    unsigned pool; /* of pCPUs, sched/sched.h */
    xen_domain_handle_t handle;
};
long domain_create(const struct domain_params *params, struct domain **out);
long domain_set_max_vcpus(struct domain *d, unsigned count); /* once; -EINVAL, -ENOMEM */

void domain_pause(struct domain *d); /* counted; returns when no vCPU of it runs (not for the
                                        caller's own domain) */
void domain_unpause(struct domain *d);
/* The guest (or dom0 for it) ended: reason SHUTDOWN_*; vCPUs stop; VIRQ_DOM_EXC goes to dom0. For
 * dom0: power off or reboot the machine. */
void domain_shutdown(struct domain *d, unsigned reason);
/* A guest broke the rules: registers on the log with `why`, then shutdown(SHUTDOWN_crash). Returns;
 * the vCPU will not run guest code again. */
void domain_crash(struct domain *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One step of destruction; -XEN_ERESTART until it is complete. */
long domain_destroy(struct domain *d);

/* Counts for the leak audit (perfc). */
unsigned domain_count(void);

extern struct domain *dom0;

#endif
