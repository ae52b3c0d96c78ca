/* SPDX-License-Identifier: MIT */
/*
 * The floating-point registers of several processes on each CPU, each with its own values in x87,
 * SSE and, where the processor has them, AVX registers: nobody may ever see another's, over
 * switches, system calls and signals.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

#define PER_CPU 3
#define ROUNDS  300

struct values {
    uint64_t ymm[4][4];
    double x87;
    uint32_t mxcsr;
};

static void on_alarm(int number)
{
    double waste[4] = {1, 2, 3, 4};

    /* The handler uses the registers too: what was interrupted must not notice. */
    (void)number;
    __asm__ volatile("movups %0, %%xmm0\n\tmovups %0, %%xmm1\n\tmovups %0, %%xmm2\n\t"
                     "movups %0, %%xmm3\n\tfldz\n\tfstp %%st(0)"
                     :
                     : "m"(waste)
                     : "xmm0", "xmm1", "xmm2", "xmm3");
}

/* Load all, give up the CPU by a system call (sched_yield) in the middle, store all. */
static void keep_avx(const struct values *in, struct values *out, uint64_t loops)
{
    __asm__ volatile(
        "ldmxcsr %c[mxcsr](%[in])\n\tfldl %c[x87](%[in])\n\t"
        "vmovups (%[in]), %%ymm0\n\tvmovups 32(%[in]), %%ymm1\n\t"
        "vmovups 64(%[in]), %%ymm2\n\tvmovups 96(%[in]), %%ymm3\n\t"
        "1: dec %[loops]\n\tjnz 1b\n\tmov $24, %%eax\n\tsyscall\n\t"
        "vmovups %%ymm0, (%[out])\n\tvmovups %%ymm1, 32(%[out])\n\t"
        "vmovups %%ymm2, 64(%[out])\n\tvmovups %%ymm3, 96(%[out])\n\t"
        "fstpl %c[x87](%[out])\n\tstmxcsr %c[mxcsr](%[out])"
        : [loops] "+r"(loops)
        : [in] "r"(in), [out] "r"(out), [x87] "i"(__builtin_offsetof(struct values, x87)),
          [mxcsr] "i"(__builtin_offsetof(struct values, mxcsr))
        : "rax", "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3");
}

static void keep_sse(const struct values *in, struct values *out, uint64_t loops)
{
    __asm__ volatile(
        "ldmxcsr %c[mxcsr](%[in])\n\tfldl %c[x87](%[in])\n\t"
        "movups (%[in]), %%xmm0\n\tmovups 32(%[in]), %%xmm1\n\t"
        "movups 64(%[in]), %%xmm2\n\tmovups 96(%[in]), %%xmm3\n\t"
        "1: dec %[loops]\n\tjnz 1b\n\tmov $24, %%eax\n\tsyscall\n\t"
        "movups %%xmm0, (%[out])\n\tmovups %%xmm1, 32(%[out])\n\t"
        "movups %%xmm2, 64(%[out])\n\tmovups %%xmm3, 96(%[out])\n\t"
        "fstpl %c[x87](%[out])\n\tstmxcsr %c[mxcsr](%[out])"
        : [loops] "+r"(loops)
        : [in] "r"(in), [out] "r"(out), [x87] "i"(__builtin_offsetof(struct values, x87)),
          [mxcsr] "i"(__builtin_offsetof(struct values, mxcsr))
        : "rax", "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3");
}

static void work(int n)
{
    uint64_t seed = 1000 + (uint64_t)n;
    int avx = __builtin_cpu_supports("avx");
    struct itimerval every = {{0, 3000 + n * 100}, {0, 3000}};
    double sum = 0;

    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &every, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        struct values in, out;

        memset(&in, 0, sizeof in);
        memset(&out, 0, sizeof out);
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < (avx ? 4 : 2); k++)
                in.ymm[i][k] = random_next(&seed);
        in.x87 = (double)(random_next(&seed) >> 12) / 3;
        in.mxcsr = 0x1f80 | (uint32_t)(n % 4) << 13; /* a rounding mode of one's own */
        (avx ? keep_avx : keep_sse)(&in, &out, 1 + random_next(&seed) % 5000);
        if (memcmp(&in, &out, sizeof in))
            fail("process %d, round %d: registers are not what they were", n, round);
        sum += in.x87;
    }
    if (sum <= 0)
        _exit(2);
    _exit(0);
}

void stress_fpu(void)
{
    int cpus = cpu_count(), status;

    for (int n = 0; n < cpus * PER_CPU; n++)
        if (!fork()) {
            cpu_bind(n % cpus);
            work(n);
        }
    for (int n = 0; n < cpus * PER_CPU; n++)
        if (wait(&status) < 0 || status)
            fail("a process ended with %x", status);
    printf("fpu: %d rounds, AVX %s\n", ROUNDS, __builtin_cpu_supports("avx") ? "yes" : "no");
}
