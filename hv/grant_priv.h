/* SPDX-License-Identifier: MIT */
/*
 * Between hv/grant.c (tables, entries, the hypercall), hv/grant_map.c (map and unmap) and
 * hv/grant_copy.c: nobody else.
 *
 * A grant table has two sides. As a granter, a domain has table frames that it shares with us, and
 * we count the uses of each entry. As a mapper, it has handles. A map or unmap takes the two sides'
 * locks one after the other, never both.
 */
#ifndef HV_GRANT_PRIV_H
#define HV_GRANT_PRIV_H

#include "hv/grant.h"
#include <xen/grant_table.h> /* wants the fixed-width types first */

#define ENTRIES_PER_FRAME (PAGE_SIZE / sizeof(struct grant_entry_v1))

/* Our count of an entry's uses. The guest cannot reach it; what it sees are the GTF_reading and
 * GTF_writing bits. */
struct grant_active {
    uint32_t pins, writers; /* all uses; the writable ones of them */
    uint32_t gfn;           /* of the granter, read when the first pin was made */
    domid_t user;           /* who pins it */
};

struct grant_frame {
    mfn_t mfn;
    gfn_t gfn; /* in the domain's window */
    struct grant_active *active;
};

enum track_state {
    TRACK_FREE,
    TRACK_BUSY,
    TRACK_LIVE
}; /* busy: one operation has it, others do not find it */

/* One mapping: a grant handle. */
struct grant_track {
    struct domain *granter; /* with a reference: its table must not go */
    mfn_t mfn;              /* from paging_alias_get() */
    gfn_t alias;            /* in the mapper's window */
    uint32_t ref;
    uint32_t next_free; /* handle + 1 */
    uint8_t flags;      /* GNTMAP_*: host_map and device_map while they last */
    uint8_t state;      /* enum track_state; the mapper's grant lock */
};
#define TRACKS_PER_FRAME (PAGE_SIZE / sizeof(struct grant_track))
#define TRACK_FRAMES_MAX 1024 /* whatever is asked for: about 100,000 handles */

struct grant_table {
    struct spinlock lock;

    unsigned frames, frames_max;
    struct grant_frame frame[GRANT_FRAMES];

    struct grant_track **track; /* track_max pointers to pages of handles, made when needed */
    unsigned track_frames, track_max;
    uint32_t track_free; /* handle + 1 */
    uint32_t track_live;
    uint32_t release_at; /* progress of grant_domain_release() */
};

/* The entry's use by domain `user` begins: checks it, sets the GTF bits. *gfn: the granter's frame.
 * GNTST_*. Takes the granter's lock. `mapping`: to be mapped, not only copied. */
int16_t grant_pin(struct domain *granter, uint32_t ref, domid_t user, bool readonly, bool mapping,
                  uint32_t *gfn);
void grant_unpin(struct domain *granter, uint32_t ref, bool readonly);

/* hv/grant_map.c: one element each, status set. */
void grant_map_one(struct vcpu *v, void *op);
/* A batch of them with one flush at its end; at most GRANT_BATCH. */
#define GRANT_BATCH 32
void grant_unmap_batch(struct vcpu *v, struct gnttab_unmap_grant_ref *ops, unsigned count);
void grant_unmap_and_replace_batch(struct vcpu *v, struct gnttab_unmap_and_replace *ops,
                                   unsigned count);
void grant_tracks_free(struct grant_table *gt);

/* hv/grant_copy.c */
void grant_copy_one(struct vcpu *v, void *op);

#endif
