/* SPDX-License-Identifier: MIT */
/*
 * Checks of direct stores to the guest's own page tables; for main.c.
 */
#ifndef RTCHECK_PAGETABLE_H
#define RTCHECK_PAGETABLE_H

#include <stdbool.h>

/*
 * A store through a read-only mapping of a table in use is this guest's page fault, unless it
 * enabled VMASST_TYPE_writable_pagetables, or is domain 0: then it has its effect, whichever
 * instruction it is. On a hypervisor that lets a guest map its tables writable, stores through such
 * a mapping work. The option `stores=0` says that no store through a read-only one shall work.
 */
bool check_table_stores(void);

#endif
