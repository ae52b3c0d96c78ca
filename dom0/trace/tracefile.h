/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a trace file: those that Xen's xentrace writes, records of variable length behind
 * each other, each pCPU's in pieces that TRC_TRACE_CPU_CHANGE announces. In front of them are
 * records of ours (TRACE_FILE_*), which say what kind of file it is and what the domains are
 * called. Pure.
 */
#ifndef DOM0_TRACE_TRACEFILE_H
#define DOM0_TRACE_TRACEFILE_H

#include <stddef.h>
#include <stdint.h>

#include "hv/public/trace.h"

#define TRACEFILE_RECORD_MAX 32 /* bytes of any record */

/* Each puts one or more records to `to` and returns their bytes. */
size_t tracefile_record(uint8_t *to, const struct trace_record *r);
size_t tracefile_piece(uint8_t *to, unsigned pcpu, uint32_t bytes); /* which then follow */
size_t tracefile_head(uint8_t *to, unsigned pcpus, uint64_t lost);
/* A name of up to 63 bytes takes at most 4 records. */
size_t tracefile_name(uint8_t *to, uint32_t domid, const char *name);

#endif
