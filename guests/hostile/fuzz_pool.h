/* SPDX-License-Identifier: MIT */
/* Between fuzz_make.c and fuzz_pool.c: what this guest has to make calls from, and values made of
 * it: mostly good ones. */
#ifndef HOSTILE_FUZZ_POOL_H
#define HOSTILE_FUZZ_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>

#include "race.h"

#define SCRATCH 0x0000200000000000UL
#define PAGES   16 /* data; half of them have no mapping of their own */
#define REFS    16
#define GONE    (1UL << 40) /* no frame: given back */

struct fuzz_pool {
    char *pages[PAGES];
    xen_pfn_t frames[PAGES]; /* of `pages`, or of what has come in their place */
    uint64_t *entries;       /* the L1 table of SCRATCH */
    uint64_t *roots[3];      /* the kernel's own and two like it */
    domid_t self;
    int refs[REFS]; /* grants of the frames to itself */
    grant_handle_t handles[64];
    evtchn_port_t ports[32];
};
extern struct fuzz_pool pool;

bool fuzz_rarely(struct racer *r);
uint64_t fuzz_wild(struct racer *r);
xen_pfn_t fuzz_some_frame(struct racer *r);
uint64_t fuzz_some_address(struct racer *r);
uint64_t fuzz_some_entry(struct racer *r);
/* Machine address of an entry: in SCRATCH's table, the spare roots' free slots, or data that may
 * become a table. */
uint64_t fuzz_some_slot(struct racer *r);
domid_t fuzz_some_domain(struct racer *r);
unsigned fuzz_some_count(struct racer *r, unsigned have);
/* An entry through which nothing can be reached that is not there: a touch of that is the end of
 * this guest, by right. */
bool fuzz_is_harmless(uint64_t entry);

#endif
