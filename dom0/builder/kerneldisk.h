/* SPDX-License-Identifier: MIT */
/*
 * Kernel files on domain 0's disk, and domain 0's memory to unpack them in: what kernelfile.h needs
 * of its surroundings. For threads.
 */
#ifndef DOM0_BUILDER_KERNELDISK_H
#define DOM0_BUILDER_KERNELDISK_H

#include "dom0/builder/kernelfile.h"

extern const struct kernelfile_host kerneldisk_host;

/* Open and identify; `who` as in vfs_open. Errors as there and of kernelfile_identify, with a line
 * in err; kerneldisk_close() in any case. `path` must live as long as k. */
int kerneldisk_open(struct kernelfile *k, const char *path, const char *who, struct cfg_error *err);

/* Closes the file and frees what was unpacked. Once more is no harm. */
void kerneldisk_close(struct kernelfile *k);

#endif
