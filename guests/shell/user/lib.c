/* SPDX-License-Identifier: MIT */
/* The user programs' start, system calls and printf. */
#include "lib.h"

#include <stdarg.h>

/* The kernel starts a program with the argument string in rdi and an empty, aligned stack. */
asm(".globl user_start\n"
    "user_start:\n"
    "    xor %ebp, %ebp\n"
    "    call main\n"
    "    mov %rax, %rdi\n"
    "    xor %eax, %eax\n" /* SYS_EXIT */
    "    syscall\n"
    "    ud2\n");

long sys_call(long number, long a, long b, long c)
{
    long rc;

    asm volatile("syscall"
                 : "=a"(rc)
                 : "0"(number), "D"(a), "S"(b), "d"(c)
                 : "rcx", "r11", "memory");
    return rc;
}

int printf(const char *restrict fmt, ...)
{
    char text[256];
    va_list ap;
    int count;

    va_start(ap, fmt);
    count = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    sys_write(text, count < (int)sizeof(text) ? (size_t)count : sizeof(text) - 1);
    return count;
}
