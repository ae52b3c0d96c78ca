/* SPDX-License-Identifier: MIT */
/* Where a domain's block requests go. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <xen/errno.h>

#include "dom0/blk/blkback.h"
#include "dom0/blk/iotrace.h"
#include "dom0/cli/options.h"
#include "dom0/cli/term.h"

#define COUNT_DEFAULT 32u
#define COUNT_MAX     1000000u
#define LOOK_NS       100000000ull

static const char *const names[] = {
    [IOTRACE_READ] = "read",       [IOTRACE_WRITE] = "write",   [IOTRACE_FLUSH] = "flush",
    [IOTRACE_ZEROS] = "zeros",     [IOTRACE_UNPACK] = "unpack", [IOTRACE_TABLES] = "tables",
    [IOTRACE_DISCARD] = "discard",
};

/* A number, or "-" where there is none. */
static const char *place(uint64_t value, char *buf, size_t size)
{
    if (value == IOTRACE_NOWHERE)
        snprintf(buf, size, "-");
    else
        snprintf(buf, size, "%llu", (unsigned long long)value);
    return buf;
}

static void print_record(const struct iotrace_record *r)
{
    char sector[24], offset[24], device[24], machine[24] = "-";
    char pieces[8] = "";

    if (r->pieces)
        snprintf(machine, sizeof machine, "%llx", (unsigned long long)r->maddr);
    if (r->pieces > 1)
        snprintf(pieces, sizeof pieces, "+%u", r->pieces - 1);
    printf("%-5s %-7s %10s %7llu %13s %10s %12s%-4s %8llu%s\n", r->vdev, names[r->op],
           place(r->sector, sector, sizeof sector), (unsigned long long)r->bytes,
           place(r->offset, offset, sizeof offset), place(r->device, device, sizeof device),
           machine, pieces, (unsigned long long)(r->end - r->begin) / 1000,
           r->status ? " failed" : "");
}

static void follow(uint64_t count)
{
    struct iotrace_record record;
    uint64_t lost = 0;

    printf("Disk  Op          Sector   Bytes    Image byte Dev sector      Machine           us\n");
    while (count && !term_interrupted()) {
        if (iotrace_read(&record, LOOK_NS, &lost)) {
            print_record(&record);
            count--;
        }
    }
    if (lost)
        printf("(%llu came too fast to be shown)\n", (unsigned long long)lost);
}

int cmd_trace_io(int argc, char **argv)
{
    uint64_t count = COUNT_DEFAULT;
    struct blkback_info info;
    domid_t domid;
    int rc;

    if (argc < 2 || argc > 3)
        return cli_usage(argv[0]);
    if (argc > 2 && (!options_number(argv[2], COUNT_MAX, &count) || !count))
        return cli_refuse(argv[0], -XEN_EINVAL, "bad count '%.20s': write a number from 1 to %u",
                          argv[2], COUNT_MAX);
    rc = cli_domain(argv[0], argv[1], &domid);
    if (rc < 0)
        return rc;
    if (!blkback_list(domid, &info, 1))
        return cli_refuse(argv[0], -XEN_ENOENT, "%s has no virtual disk", argv[1]);
    rc = iotrace_start(domid);
    if (rc < 0)
        return cli_refuse(argv[0], rc, "not enough memory for the trace");
    follow(count);
    iotrace_stop();
    return 0;
}
