/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a domain's block requests, kept for `trace-io`: a guest's sector, its place in
 * the image's file, on the device, and the machine address of its memory. One domain at a time; a
 * ring of the latest records, read by one thread. Off, it costs a comparison for each request.
 */
#ifndef DOM0_BLK_IOTRACE_H
#define DOM0_BLK_IOTRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>

#define IOTRACE_NOWHERE UINT64_MAX

enum iotrace_op {
    IOTRACE_READ,
    IOTRACE_WRITE,
    IOTRACE_FLUSH,
    IOTRACE_ZEROS,  /* a read of what the image does not hold */
    IOTRACE_UNPACK, /* a read of what is compressed */
    IOTRACE_TABLES, /* a flush that had tables to write */
    IOTRACE_DISCARD,
};

/* A part of a request that is in one piece on the device, or a request without memory. */
struct iotrace_record {
    enum iotrace_op op;
    char vdev[12];
    uint64_t sector; /* of the guest's disk */
    uint64_t bytes;
    uint64_t offset; /* in the image's file, or IOTRACE_NOWHERE */
    uint64_t device; /* sector of the real disk, or IOTRACE_NOWHERE */
    uint64_t maddr;  /* of its first piece of memory */
    unsigned pieces;
    uint64_t begin, end; /* ns; end 0: not done yet */
    int status;
};

/* The domain that is looked at; DOMID_INVALID: none. Read it, do not write it. */
extern domid_t iotrace_domid;

static inline bool iotrace_wanted(domid_t domid)
{
    return domid == iotrace_domid;
}

/* Adds a record, with its begin; a handle for iotrace_end(), never 0. */
uint64_t iotrace_begin(const struct iotrace_record *record);
/* The request is done; 0 and handles of records that are gone are ignored. */
void iotrace_end(uint64_t handle, int status);

/* --- the reader --- */

/* -EBUSY: somebody looks already; -ENOMEM. */
int iotrace_start(domid_t domid);
void iotrace_stop(void);
/*
 * The next record that is done, in the order of their begin, waiting at most `ns` for it. False if
 * none came. *lost counts those that were overwritten before they could be read.
 */
bool iotrace_read(struct iotrace_record *record, uint64_t ns, uint64_t *lost);

#endif
