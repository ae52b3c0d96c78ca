/* SPDX-License-Identifier: MIT */
/*
 * Checks of direct stores to the guest's own page tables; for main.c.
 */
#ifndef RTCHECK_PAGETABLE_H
#define RTCHECK_PAGETABLE_H

#include <stdbool.h>

/*
 * A store through a read-only mapping of a table in use is this guest's page fault, unless it
 * enabled VMASST_TYPE_writable_pagetables: then it has its effect, whichever instruction it is. On
 * a hypervisor that lets a guest map its tables writable, stores through such a mapping work. The
 * option `stores=0` says that the assist shall have no effect.
 */
bool check_table_stores(void);

#endif
