/* SPDX-License-Identifier: MIT */
/* The options are on the command line: bench=N kib=K write=0|1. */
#include "bench.h"

#include <stdint.h>
#include <stdio.h>
#include <xen/vcpu.h>

#include <rt/hypercall.h>
#include <rt/start.h>
#include <rt/thread.h>

#define LEAD_NS 5000000000UL /* for whoever looks at the clocks */

/* What this vCPU has run so far, the hypervisor's work for it included. */
static uint64_t ran_ns(void)
{
    struct vcpu_runstate_info info = {0};

    hypercall_vcpu_op(VCPUOP_get_runstate_info, 0, &info);
    return info.time[RUNSTATE_running];
}

/* `count` requests over the disk, again from its start at its end. */
static int requests(struct blkfront *disk, void *buf, uint64_t count, uint32_t sectors, bool write)
{
    uint64_t places = blkfront_sectors(disk) / sectors;
    int rc = 0;

    for (uint64_t n = 0; n < count && !rc; n++) {
        uint64_t at = n % places * sectors;

        rc = write ? blkfront_write(disk, at, buf, sectors) : blkfront_read(disk, at, buf, sectors);
    }
    return rc;
}

bool bench_run(struct blkfront *disk, void *buf)
{
    uint64_t count = start_option_u64("bench", 0), start;
    uint32_t kib = (uint32_t)start_option_u64("kib", 4);
    bool write = start_option_u64("write", 0);
    int rc = requests(disk, buf, blkfront_sectors(disk) / (2 * kib), 2 * kib, true);

    rc = rc ? rc : blkfront_flush(disk);
    thread_sleep_ns(LEAD_NS);
    printf("diskio: bench begins\n");
    thread_sleep_ns(LEAD_NS);
    start = ran_ns();
    rc = rc ? rc : requests(disk, buf, count, 2 * kib, write);
    start = ran_ns() - start;
    printf("diskio: bench ends, %lu ns each\n", start / (count ? count : 1));
    thread_sleep_ns(LEAD_NS);
    if (rc) {
        printf("diskio: ERROR %d\n", rc);
    }
    return rc == 0;
}
