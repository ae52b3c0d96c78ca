/* SPDX-License-Identifier: MIT */
/*
 * The first NVMe disk on the PCI bus, as a struct blkdev: its first namespace, one queue of
 * commands. Started once by dom0's main(); everybody else uses blkdev.h.
 */
#ifndef DOM0_DRIVERS_NVME_H
#define DOM0_DRIVERS_NVME_H

struct blkdev;

/*
 * Finds and starts it, with the driver's thread; after pci_init(). On a negative errno (-ENODEV:
 * there is none), nvme_problem() says in one line what is wrong and what to do.
 */
int nvme_start(struct blkdev **out);
const char *nvme_problem(void);
/* The disk, once it has been started; else NULL. */
struct blkdev *nvme_disk(void);

#endif
