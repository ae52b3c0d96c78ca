/* SPDX-License-Identifier: MIT */
/* Requests to be counted. */
#ifndef DISKIO_BENCH_H
#define DISKIO_BENCH_H

#include <stdbool.h>

#include <rt/blkfront.h>

/* Runs `bench` requests of `kib` KiB, one after the other, reads or (write=1) writes, after a first
 * round over the disk that allocates it; says when it begins and ends, and what each cost this
 * guest. False: one failed. */
bool bench_run(struct blkfront *disk, void *buf);

#endif
