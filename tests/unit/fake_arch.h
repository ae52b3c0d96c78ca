/* SPDX-License-Identifier: MIT */
/*
 * A machine for unit tests: frames in memory of the host, pCPUs that are a variable, locks that
 * check that they are free, TLB flushes that are counted. Everything is weak, so that a test (or
 * the real file of the hypervisor) may bring its own.
 */
#ifndef TESTS_UNIT_FAKE_ARCH_H
#define TESTS_UNIT_FAKE_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/config.h"
#include "mm/types.h"

struct fake_machine {
    unsigned pcpu;   /* the pCPU that runs the test now */
    unsigned pcpus;  /* online; 1 unless a test says more */
    uint64_t now_ns; /* arch_time_ns() */
    uint64_t frames; /* machine frames 0 .. frames - 1; frame 0 is never RAM */
    unsigned flushes[PCPU_MAX], ipis[PCPU_MAX], rescheds[PCPU_MAX];
    uint64_t timer[PCPU_MAX];                        /* deadline programmed last */
    void (*on_flush)(unsigned pcpu);                 /* a pCPU dropped all its translations */
    void (*on_flush_va)(unsigned pcpu, uint64_t va); /* those of one page */
    unsigned log_lines;
};
extern struct fake_machine fake;

/* A new machine with `frames` frames, of which 1 .. frames - 1 are given to the frame allocator. */
void fake_machine_start(uint64_t frames, unsigned pcpus);
void fake_machine_stop(void);

/* MMIO as dom0 sees it in tests: read-write at FAKE_MMIO, read-only one frame later, all else
 * denied. */
#define FAKE_MMIO 0xf0000UL

#endif
