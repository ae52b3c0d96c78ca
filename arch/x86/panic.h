/* SPDX-License-Identifier: MIT */
/*
 * The end of the hypervisor's own life, with registers. For arch/x86; others call panic() of
 * hv/log.h.
 */
#ifndef ARCH_X86_PANIC_H
#define ARCH_X86_PANIC_H

#include <stdbool.h>
#include <stdint.h>

struct regs;

/* An exception inside the hypervisor: reports `regs` as the place of the fault. */
void x86_panic_regs(const struct regs *regs, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));
/* On NMI, first thing: stops here for good if another pCPU panics; otherwise returns. */
void x86_panic_nmi(void);

/* Function that holds a text address, with the offset in it; NULL if none. */
const char *symbol_name(uint64_t address, uint64_t *offset);

#endif
