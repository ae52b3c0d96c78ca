/* SPDX-License-Identifier: MIT */
/*
 * user.*: system calls and exceptions of user mode, through the guest kernel and back.
 */
#include "bench.h"

#include "figure.h"
#include "user.h"

#define RUNS 1008

static uint64_t empty_loop; /* a sample without an operation, ticks */

void user_measure(const char *name, const void *routine, int n)
{
    user_run(routine, SPACE_SAMPLES, (uint64_t)n, 0);
    figure_report_from(name, space_samples + FIGURE_WARM_UP, n - FIGURE_WARM_UP, 1, empty_loop);
}

void bench_user(void)
{
    user_run(u_empty, SPACE_SAMPLES, RUNS, 0);
    figure_sort(space_samples, RUNS);
    empty_loop = space_samples[RUNS / 2];
    user_measure("user.syscall_null", u_syscall, RUNS);
    user_measure("user.syscall_null_full_iret", u_syscall_full, RUNS);
    user_measure("user.int3", u_int3, RUNS);
    user_measure("user.ud2", u_ud2, RUNS);
    user_measure("user.int80", u_int80, RUNS);
}
