/* SPDX-License-Identifier: MIT */
/* Sizes of disks and of memory as people type them. Pure. */
#ifndef DOM0_CLI_SIZE_H
#define DOM0_CLI_SIZE_H

#include <stdint.h>

/*
 * "512", "64K", "64M", "1G", "2GiB", "1TB" (all powers of 1024, either case) into bytes.
 * -XEN_EINVAL if it is none of these, zero, no multiple of 512, or beyond 2^62.
 */
int size_parse(const char *text, uint64_t *bytes);

/*
 * A size of memory, into KiB: the same suffixes, and as with xl a bare number is MiB. -XEN_EINVAL
 * if it is none of these, no whole KiB, zero, or beyond 2^62 bytes.
 */
int size_parse_memory(const char *text, uint64_t *kib);

#endif
