/* SPDX-License-Identifier: MIT */
/*
 * Lists of physical CPUs as people write them: "0-1,3", "all", "all,^2", "^2". Pure.
 */
#ifndef DOM0_CONFIG_CPULIST_H
#define DOM0_CONFIG_CPULIST_H

#include <stddef.h>
#include <stdint.h>

#include "dom0/config/cfgtext.h"

#define CPULIST_MAX 64 /* CPU numbers are below this */

/*
 * Parse `text` into a mask, bit n for CPU n; "all" sets every bit. A `^` takes CPUs away again;
 * at the start of the list it takes them from all. Returns 0 or -XEN_EINVAL with err set.
 */
int cpulist_parse(const char *text, uint64_t *mask, struct cfg_error *err);

/*
 * The list for `mask` on a machine of `cpu_count` CPUs, as xl prints it ("all" if none is
 * missing, "none" if none is there). Returns buf.
 */
char *cpulist_format(uint64_t mask, unsigned cpu_count, char *buf, size_t size);

#endif
