/* SPDX-License-Identifier: MIT */
/*
 * The balloon: this domain's memory follows the store's memory/target (KiB), which the control
 * domain writes (`mem-set`). Pages are given back to the hypervisor when that goes down, and taken
 * again when it goes up, by a thread of its own, in small steps: free pages only, so nothing that
 * the kernel uses is ever touched, and never the last BALLOON_RESERVE of those. Where the target
 * cannot be reached now, for want of free pages here or in the machine, it is tried again each
 * second.
 */
#ifndef RT_BALLOON_H
#define RT_BALLOON_H

#define BALLOON_RESERVE 128 /* free pages that are kept, whatever the target */

/* Pages that the domain has, and those that it is to have (0: nobody has said so). For threads. */
unsigned long balloon_pages(void);
unsigned long balloon_target(void);

/* Set-up, called once by the runtime. Without a store there is no balloon. */
void balloon_init(void);

#endif
