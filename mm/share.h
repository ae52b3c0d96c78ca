/* SPDX-License-Identifier: MIT */
/*
 * Copy-on-write: one machine frame behind several gfns, of one domain or several, until one of them
 * is written. Clones of a domain, and checkpoints, are made of this.
 *
 * A shared frame belongs to DOMID_COW, and each record of type P2M_SHARED is one reference to it.
 * The first write through a gfn, its use as a page table, and its lending to another domain give
 * that gfn a frame of its own (share_break() in mm/paging_priv.h); the last gfn that has the frame
 * gets it back without a copy.
 */
#ifndef MM_SHARE_H
#define MM_SHARE_H

#include "mm/paging.h"

/*
 * The frame of `from`'s gfn becomes that of `to`'s to_gfn too, a hole so far. Takes both paging
 * locks, one after the other; `from` and `to` may be the same. Neither is direct-mapped (-EINVAL).
 * -EINVAL: no memory at gfn, to_gfn beyond the limit, or a domain that is dying; -EEXIST: to_gfn is
 * no hole; -EBUSY: somebody else holds the frame (a grant, a foreign map, a registered page), or it
 * is a page table with frames of others in it; -ENOMEM. Nothing is changed after an error.
 */
long paging_share(struct paging *from, gfn_t gfn, struct paging *to, gfn_t to_gfn);

/* Gives a shared gfn a frame of its own now; 0 also if it has one. -ENOMEM, -EINVAL: no memory
 * there. Takes the paging lock. */
long paging_unshare(struct paging *p, gfn_t gfn);

#endif
