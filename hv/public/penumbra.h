/* SPDX-License-Identifier: MIT */
/*
 * The one hypercall of our own, __HYPERVISOR_arch_2, for what Xen's interface has no call for:
 * looking into a domain's shadow page tables, choosing how its stores to page tables are caught,
 * and the scheduler's trace. Shared by the hypervisor and domain 0; docs/abi.md (section 50) has
 * the errors.
 *
 * The only argument is the address of a struct penumbra_op. The caller sets `cmd`,
 * `interface_version`, `domid` and the fields marked IN; what is marked OUT is the answer. Another
 * interface version is refused with -EACCES, so a change of any layout below takes a new number.
 */
#ifndef HV_PUBLIC_PENUMBRA_H
#define HV_PUBLIC_PENUMBRA_H

#include <stdint.h>

#define PENUMBRA_INTERFACE_VERSION 1u

/*
 * Numbers of schedulers that Xen has none for, in sched_id of its control interface; their
 * parameters have the form of XEN_SCHEDULER_CREDIT2's, which itself stands for weighted fair
 * queueing here.
 */
#define PENUMBRA_SCHEDULER_RR      0x100u /* round robin */
#define PENUMBRA_SCHEDULER_LOTTERY 0x101u

#define PENUMBRA_OP_counters       1u /* u.counters */
#define PENUMBRA_OP_walk           2u /* u.walk */
#define PENUMBRA_OP_get_store_mode 3u /* u.store_mode */
#define PENUMBRA_OP_set_store_mode 4u
#define PENUMBRA_OP_trace          5u /* u.trace; `domid` is ignored */
#define PENUMBRA_OP_scheduler      6u /* u.scheduler; `domid` is ignored */

/*
 * What happened to a domain since it was made, and what it holds. All fields are 64 bits, so that
 * they can be added up as an array.
 */
struct penumbra_counters {
    /* page faults, by what they were for */
    uint64_t faults_guest; /* the guest's own: passed on to its kernel */
    uint64_t faults_fill;  /* an entry of a shadow was missing or too narrow */
    uint64_t faults_store; /* a store to a page table that is followed */
    uint64_t faults_ad;    /* entries in which A or D was set for the guest, by such a fault */
    /* what became of the stores */
    uint64_t stores_mov, stores_xchg, stores_cmpxchg; /* emulated, by form */
    uint64_t stores_logic, stores_bit;                /* and, or; bts, btr, btc */
    uint64_t stores_refused;                          /* became the guest's own page fault */
    uint64_t tables_dropped; /* the table's shadow was dropped, and the store ran by itself */
    /* paravirtual calls */
    uint64_t updates;    /* page-table entries written by hypercall */
    uint64_t hypercalls; /* all of them; a multicall is one, a continuation one more */
    /* shadow tables */
    uint64_t shadows, shadows_made, shadows_reclaimed; /* in use now; ever; taken for another use */
    uint64_t pool;                                     /* how many there may be at once */
    /* flushes that the guest asked for, or that a table's protection needed */
    uint64_t flushes, flushes_avoided; /* done; found unnecessary */
};
#define PENUMBRA_COUNTERS 19u
_Static_assert(sizeof(struct penumbra_counters) == PENUMBRA_COUNTERS * sizeof(uint64_t), "layout");

/* What a gfn stands for. */
#define PENUMBRA_GFN_hole    0u
#define PENUMBRA_GFN_ram     1u /* the domain's own memory */
#define PENUMBRA_GFN_mmio    2u /* domain 0's: a device's registers */
#define PENUMBRA_GFN_special 3u /* shared_info, grant-table frames */
#define PENUMBRA_GFN_grant   4u /* another domain's frame, granted */
#define PENUMBRA_GFN_foreign 5u /* another domain's frame, mapped by domain 0 */
#define PENUMBRA_GFN_shared  6u /* memory whose frame other gfns have too, until it is written */

/* One frame of the domain: what the p2m has, and who maps it. */
struct penumbra_frame {
    uint64_t gfn;
    uint64_t mfn;      /* ~0 for a hole */
    uint32_t mappings; /* leaf entries of shadows that map it, up to PENUMBRA_MAPPINGS_MAX */
    uint32_t writable; /* of those, the writable ones; exact */
    uint16_t aliases;  /* foreign frames that are mapped by entries of this table */
    uint8_t type;      /* PENUMBRA_GFN_* */
    uint8_t flags;     /* PENUMBRA_FRAME_* */
    uint8_t levels;    /* bit n: it is, or was, a page table of level n */
    uint8_t followed;  /* bit n: a shadow of level n follows it, so stores to it are caught */
    uint16_t pad;
};
_Static_assert(sizeof(struct penumbra_frame) == 32, "layout");
#define PENUMBRA_MAPPINGS_MAX 1024u

#define PENUMBRA_FRAME_readonly  1u  /* nothing may map it writable: lent read-only */
#define PENUMBRA_FRAME_logged    2u  /* its first write is waited for */
#define PENUMBRA_FRAME_pinned    4u  /* the guest pinned it as a table */
#define PENUMBRA_FRAME_held      8u  /* somebody else writes to it: it cannot be a table now */
#define PENUMBRA_FRAME_elsewhere 16u /* foreign: it belongs to another entry than this one */

/* One level of a walk. */
struct penumbra_step {
    struct penumbra_frame table; /* the guest's table */
    uint64_t entry;              /* its entry for the address */
    uint64_t shadow;             /* machine address of its shadow at this level; 0: none */
    uint64_t shadow_entry;       /* the entry there, which the processor reads; 0: absent */
};
_Static_assert(sizeof(struct penumbra_step) == 56, "layout");

/*
 * An address on its way through a vCPU's page tables. Nothing is changed by looking: no A is set,
 * no shadow made. The steps go from the root (level 4, step 0) down to the first entry that is
 * absent, is a large page, or names no table. No step at all: the vCPU has no such root.
 */
struct penumbra_walk {
    uint64_t va;      /* IN */
    uint16_t vcpu;    /* IN */
    uint8_t user;     /* IN: 0 the root of the vCPU's kernel, 1 of its user mode */
    uint8_t steps;    /* OUT: of step[], how many there are */
    uint8_t has_leaf; /* OUT: 1 if the level-1 entry is present: then `leaf` is its frame */
    uint8_t pad[3];
    struct penumbra_step step[4]; /* OUT */
    struct penumbra_frame leaf;   /* OUT */
};
_Static_assert(sizeof(struct penumbra_walk) == 272, "layout");

/* How a direct store to a page table that is followed is dealt with. */
#define PENUMBRA_STORES_emulate 0u /* known instructions are emulated, others drop the shadow */
#define PENUMBRA_STORES_drop    1u /* the shadow is dropped, where that lets the store through */
#define PENUMBRA_STORES_refuse  2u /* as drop; through a read-only entry it is the guest's #PF */
#define PENUMBRA_STORES_MODES   3u

struct penumbra_store_mode {
    uint8_t mode;   /* IN of set, OUT of get: PENUMBRA_STORES_* */
    uint8_t assist; /* OUT of get: VMASST_TYPE_writable_pagetables is on; in domain 0 always */
    uint8_t pad[6];
};
_Static_assert(sizeof(struct penumbra_store_mode) == 8, "layout");

/*
 * The scheduler's trace (records: hv/public/trace.h): a ring for each pCPU, whose oldest records
 * give way to new ones. Records of a ring are numbered from 0 when tracing starts.
 */
#define PENUMBRA_TRACE_start  1u /* IN: kib. Rings of that size, empty, and tracing on */
#define PENUMBRA_TRACE_stop   2u /* off; the rings stay as they are */
#define PENUMBRA_TRACE_clear  3u /* off, and the rings' memory is given back */
#define PENUMBRA_TRACE_status 4u /* of one ring: pcpu. OUT: on, kib, first, count, pcpus */
#define PENUMBRA_TRACE_mark   5u /* records the present state of every vCPU, if tracing is on */
/* IN: pcpu, first, count, buffer. OUT: the records from number `first` on, or from the oldest that
 * is still there: `first` says which; `count`, which may be less than asked for; 0: no more. */
#define PENUMBRA_TRACE_read 6u

#define PENUMBRA_TRACE_KIB_MIN 4u    /* of each pCPU's ring; a power of two */
#define PENUMBRA_TRACE_KIB_MAX 4096u /* 131,072 records */

struct penumbra_trace {
    uint32_t cmd; /* PENUMBRA_TRACE_* */
    uint32_t pcpu;
    uint32_t kib; /* of each ring; 0: there are none */
    uint32_t pcpus;
    uint64_t first; /* OUT of status: number of the oldest record */
    uint64_t count;
    uint64_t buffer; /* guest address */
    uint8_t on;
    uint8_t pad[7];
};
_Static_assert(sizeof(struct penumbra_trace) == 48, "layout");

/*
 * One of the schedulers that there are: which number a name has, what it heeds. Those of the pools
 * are told by XEN_SYSCTL_cpupool_op, by number.
 */
struct penumbra_scheduler {
    uint32_t index;        /* IN: 0 for the first; -ENOENT after the last */
    uint32_t id;           /* OUT: XEN_SCHEDULER_* or PENUMBRA_SCHEDULER_* */
    char name[16];         /* OUT: ends with a NUL */
    uint8_t weights, caps; /* OUT: 1 if it heeds them */
    uint8_t pad[2];
    uint32_t quantum_us;    /* OUT: how long one runs while others wait; 0: as long as it likes */
    uint32_t cap_period_us; /* OUT: how often caps are settled; 0: it has none */
};
_Static_assert(sizeof(struct penumbra_scheduler) == 36, "layout");

struct penumbra_op {
    uint32_t cmd;               /* PENUMBRA_OP_* */
    uint32_t interface_version; /* PENUMBRA_INTERFACE_VERSION */
    uint16_t domid;
    uint16_t pad[3];
    union {
        struct penumbra_counters counters;
        struct penumbra_walk walk;
        struct penumbra_store_mode store_mode;
        struct penumbra_trace trace;
        struct penumbra_scheduler scheduler;
    } u;
};
_Static_assert(sizeof(struct penumbra_op) == 288, "layout");

#endif
