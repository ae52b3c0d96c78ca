/* SPDX-License-Identifier: MIT */
/*
 * What a library compiled with stack protection expects: a canary at %fs:0x28 (System V ABI, x86-64
 * supplement, thread pointer at %fs:0) and a function that is called when it was overwritten. Only
 * libfdt needs it, and only while booting: later the FS base is the guest's.
 */
#include "arch/x86/x86.h"
#include "hv/arch_boot.h"
#include "hv/log.h"

static uint64_t canary_block[8] __attribute__((aligned(64)));

void arch_boot_canary(void)
{
    canary_block[0x28 / 8] = x86_rdtsc() * 0x9e3779b97f4a7c15UL & ~0xffUL;
    x86_wrmsr(MSR_FS_BASE, (uint64_t)canary_block);
}

__attribute__((noreturn)) void __stack_chk_fail(void);

void __stack_chk_fail(void)
{
    panic("a library function has overwritten its stack");
}
