/* SPDX-License-Identifier: MIT */
/*
 * A decoder for the few instruction forms that are emulated: prefixes, opcode, ModRM and immediate
 * of 64-bit code (Intel SDM vol. 2, chapter 2). The memory operand's address is not computed: for
 * table stores the processor reports it.
 */
#ifndef ARCH_X86_DECODE_H
#define ARCH_X86_DECODE_H

#include <stdbool.h>
#include <stdint.h>
#include "arch/x86/public.h"

struct insn {
    struct regs *regs;
    uint8_t opcode;
    bool two_byte; /* 0f escape */
    bool operand16, lock, rep;
    bool rex_w, rex;      /* rex: byte registers are spl.. instead of ah.. */
    uint8_t mod, reg, rm; /* with REX bits; valid if the opcode has ModRM */
    uint64_t immediate;   /* sign-extended */
    unsigned length;
};

/* Fetches and decodes the instruction at rip of the current guest. False: unknown or unreadable. */
bool insn_fetch(struct insn *i, struct regs *r);
/* The same from bytes at hand, for tests. */
bool insn_decode(struct insn *i, const uint8_t *bytes, unsigned count);
/* Is it a plain store of a 64-bit register, REX.W 89 /r, without other prefixes? Its length (at
 * most 8) and the register's number; 0: it is something else. */
unsigned insn_word_mov(const uint8_t bytes[8], unsigned *reg);
/* General register by number 0..15 (rax, rcx, rdx, rbx, rsp, ..). */
uint64_t *insn_gpr(struct regs *r, unsigned number);
/* Operand size in bytes: 1 for the byte forms (opcode bit 0 clear), else 2, 4 or 8. */
unsigned insn_operand_size(const struct insn *i);

#endif
