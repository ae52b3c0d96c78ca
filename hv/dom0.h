/* SPDX-License-Identifier: MIT */
/*
 * Domain 0: made once, at boot, from the boot loader's modules. For hv/main.c.
 */
#ifndef HV_DOM0_H
#define HV_DOM0_H

/* Reads the boot device tree (module 0), builds domain 0 and makes it runnable; sets `dom0`. Panics
 * with a message for the user if tree, kernel or memory do not allow it. The scheduler must be
 * ready. */
void dom0_create(void);

#endif
