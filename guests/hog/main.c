/* SPDX-License-Identifier: MIT */
/*
 * hog: burns CPU on every vCPU that it has, and reports once a second of its system time how far it
 * has come; the load for scheduler experiments. Command line: seconds=N powers off after N seconds.
 */
#include <stdint.h>
#include <stdio.h>

#include <rt/clock.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/thread.h>

#define CHUNK 100000 /* iterations between two looks at the clock */

/* One counter each, in cache lines of their own. */
static struct {
    volatile uint64_t chunks;
} __attribute__((aligned(64))) work[SMP_MAX];

static void burn_chunk(void)
{
    unsigned n = CHUNK;

    asm volatile("1: dec %0; jnz 1b" : "+r"(n) : : "cc");
    work[smp_id()].chunks++;
}

static void burn_for_ever(void *arg)
{
    (void)arg;
    for (;;) {
        burn_chunk();
    }
}

static uint64_t total_iterations(void)
{
    uint64_t chunks = 0;

    for (unsigned v = 0; v < SMP_MAX; v++) {
        chunks += work[v].chunks;
    }
    return chunks * CHUNK;
}

int main(void)
{
    uint64_t limit = start_option_u64("seconds", UINT64_MAX);
    uint64_t start = clock_ns(), seconds = 0;
    unsigned vcpus = smp_vcpus();

    for (unsigned v = 1; v < vcpus; v++) {
        int rc = smp_boot_vcpu(v, burn_for_ever, NULL);

        if (rc) {
            printf("hog: vCPU %u does not start, error %d\n", v, rc);
        }
    }
    printf("hog: burning on %u vCPU(s)\n", vcpus);
    while (seconds < limit) {
        burn_chunk();
        thread_yield(); /* the console and the store want to live */
        if (clock_ns() - start >= (seconds + 1) * 1000000000) {
            uint64_t now = clock_ns(), done = total_iterations();

            seconds = (now - start) / 1000000000;
            printf("hog: %lu Miter, %lu s (%lu iterations at %lu ns)\n", done / 1000000, seconds,
                   done, now);
        }
    }
    return 0;
}
