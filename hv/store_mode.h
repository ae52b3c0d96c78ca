/* SPDX-License-Identifier: MIT */
/*
 * What is done with a guest's direct store to a page table that a shadow follows: the decision, by
 * the domain's mode (PENUMBRA_STORES_*, domain 0's side of the switch) and by what the guest asked
 * for (VMASST_TYPE_writable_pagetables, its own side). Pure; asked for on such a fault only.
 *
 * On Xen 4.17 a table is never mapped writable, and a store through a read-only entry is emulated
 * if the guest enabled the assist or is domain 0, and else is its own page fault (fixup_page_fault
 * in its arch/x86/traps.c, pv_ro_page_fault). That holds here too. A table
 * may also be mapped writable here: then the store has to work whatever the mode, and the mode says
 * how.
 */
#ifndef HV_STORE_MODE_H
#define HV_STORE_MODE_H

#include <stdbool.h>

#include "hv/public/penumbra.h"
#include "mm/paging.h"

enum store_action {
    STORE_EMULATE, /* if the instruction is known; the next best thing otherwise */
    STORE_DROP,    /* the table's shadow goes, and the instruction runs by itself */
    STORE_REFUSE,  /* the guest's own page fault */
};

static inline enum store_action store_mode_action(unsigned mode, bool assist,
                                                  const struct fault_info *info)
{
    if (info->read_only)
        return assist && mode != PENUMBRA_STORES_refuse ? STORE_EMULATE : STORE_REFUSE;
    /* Dropping a table that translates the very address would repeat the fault for ever. */
    if (!info->guest_writable)
        return STORE_EMULATE;
    return mode == PENUMBRA_STORES_emulate ? STORE_EMULATE : STORE_DROP;
}

#endif
