/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stress.h"

void fail_at(const char *file, int line, const char *format, ...)
{
    va_list args;

    printf("stress: FAILED at %s:%d: ", file, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    _exit(1);
}

uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

int cpu_count(void)
{
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

void cpu_bind(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        fail("cannot run on CPU %d", cpu);
}

uint64_t checksum(uint64_t sum, const void *bytes, unsigned long len)
{
    const unsigned char *b = bytes;

    while (len--)
        sum = (sum ^ *b++) * 1099511628211ull;
    return sum;
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"fork", stress_fork}, {"memory", stress_memory}, {"signal", stress_signal},
    {"fpu", stress_fpu},   {"futex", stress_futex},   {"clock", stress_clock},
    {"vdso", stress_vdso},
};

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "exit"))
        return atoi(argv[2]);
    for (unsigned i = 0; argc == 2 && i < sizeof tests / sizeof tests[0]; i++)
        if (!strcmp(argv[1], tests[i].name)) {
            tests[i].run();
            return 0;
        }
    fail("which test?");
}
