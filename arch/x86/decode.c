/* SPDX-License-Identifier: MIT */
#include "arch/x86/decode.h"

#include <stddef.h>
#include "hv/arch.h"
#include "mm/types.h"

#define INSN_MAX 15 /* bytes, Intel SDM vol. 2, 2.3.11 */

uint64_t *insn_gpr(struct regs *r, unsigned number)
{
    static const uint8_t at[16] = {
        offsetof(struct regs, rax), offsetof(struct regs, rcx), offsetof(struct regs, rdx),
        offsetof(struct regs, rbx), offsetof(struct regs, rsp), offsetof(struct regs, rbp),
        offsetof(struct regs, rsi), offsetof(struct regs, rdi), offsetof(struct regs, r8),
        offsetof(struct regs, r9),  offsetof(struct regs, r10), offsetof(struct regs, r11),
        offsetof(struct regs, r12), offsetof(struct regs, r13), offsetof(struct regs, r14),
        offsetof(struct regs, r15),
    };
    return (uint64_t *)((char *)r + at[number & 15]);
}

unsigned insn_operand_size(const struct insn *i)
{
    if (!(i->opcode & 1) && !(i->two_byte && (i->opcode & 0xc7) == 0x83))
        return 1;
    return i->rex_w ? 8 : i->operand16 ? 2 : 4;
}

/* What follows the opcode in the forms that we know. */
enum form { FORM_UNKNOWN, FORM_NONE, FORM_IMM8, FORM_MODRM, FORM_MODRM_IMM8, FORM_MODRM_IMM };

static enum form form_of(const struct insn *i)
{
    if (i->two_byte) {
        switch (i->opcode) {
        case 0x06:
        case 0x08:
        case 0x09:
        case 0x30:
        case 0x32:
        case 0xa2:
            return FORM_NONE;
        case 0x01: /* group 7: xsetbv */
        case 0x20 ... 0x23:
        case 0xab:
        case 0xb3:
        case 0xbb: /* bts, btr, btc r/m, r */
        case 0xb0:
        case 0xb1: /* cmpxchg */
            return FORM_MODRM;
        case 0xba: /* group 8: bts, btr, btc r/m, imm8 */
            return FORM_MODRM_IMM8;
        default:
            return FORM_UNKNOWN;
        }
    }
    switch (i->opcode) {
    case 0xcd:
    case 0xe4 ... 0xe7:
        return FORM_IMM8;
    case 0xec ... 0xef:
    case 0xfa:
    case 0xfb:
        return FORM_NONE;
    case 0x08:
    case 0x09:
    case 0x20:
    case 0x21: /* or, and r/m, r */
    case 0x86:
    case 0x87:
    case 0x88:
    case 0x89: /* xchg; mov r/m, r */
        return FORM_MODRM;
    case 0x80:
    case 0x83:
    case 0xc6: /* group 1 with imm8; mov r/m8, imm8 */
        return FORM_MODRM_IMM8;
    case 0x81:
    case 0xc7:
        return FORM_MODRM_IMM;
    default:
        return FORM_UNKNOWN;
    }
}

struct cursor {
    const uint8_t *bytes;
    unsigned count, at;
};

static bool next(struct cursor *c, uint8_t *byte)
{
    if (c->at >= c->count)
        return false;
    *byte = c->bytes[c->at++];
    return true;
}

static bool prefixes(struct insn *i, struct cursor *c, uint8_t *byte)
{
    while (next(c, byte)) {
        switch (*byte) {
        case 0x66:
            i->operand16 = true;
            break;
        case 0xf0:
            i->lock = true;
            break;
        case 0xf2:
        case 0xf3:
            i->rep = true;
            break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
        case 0x67:
            break; /* segment and address size: the address is the processor's business */
        case 0x40 ... 0x4f:
            i->rex = true;
            i->rex_w = *byte & 8;
            i->reg = (*byte & 4) << 1;
            i->rm = (*byte & 1) << 3;
            return next(c, byte);
        default:
            return true;
        }
    }
    return false;
}

/* ModRM, SIB and displacement: only their length matters beyond the register numbers. */
static bool modrm(struct insn *i, struct cursor *c)
{
    uint8_t m, sib = 0;
    unsigned disp;

    if (!next(c, &m))
        return false;
    i->mod = m >> 6;
    i->reg |= (m >> 3) & 7;
    i->rm |= m & 7;
    if (i->mod == 3)
        return true;
    if ((m & 7) == 4 && !next(c, &sib))
        return false;
    disp = i->mod == 1 ? 1 : i->mod == 2 ? 4 : 0;
    if (i->mod == 0 && ((m & 7) == 5 || ((m & 7) == 4 && (sib & 7) == 5)))
        disp = 4;
    c->at += disp;
    return c->at <= c->count;
}

static bool immediate(struct insn *i, struct cursor *c, unsigned size)
{
    uint64_t value = 0;
    uint8_t byte;

    for (unsigned k = 0; k < size; k++) {
        if (!next(c, &byte))
            return false;
        value |= (uint64_t)byte << (8 * k);
    }
    i->immediate = (uint64_t)((int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size));
    return true;
}

bool insn_decode(struct insn *i, const uint8_t *bytes, unsigned count)
{
    struct cursor c = {.bytes = bytes, .count = count};
    uint8_t byte;
    bool ok;

    *i = (struct insn){.regs = i->regs};
    if (!prefixes(i, &c, &byte))
        return false;
    if (byte == 0x0f) {
        i->two_byte = true;
        if (!next(&c, &byte))
            return false;
    }
    i->opcode = byte;
    switch (form_of(i)) {
    case FORM_NONE:
        ok = true;
        break;
    case FORM_IMM8:
        ok = immediate(i, &c, 1);
        break;
    case FORM_MODRM:
        ok = modrm(i, &c);
        break;
    case FORM_MODRM_IMM8:
        ok = modrm(i, &c) && immediate(i, &c, 1);
        break;
    case FORM_MODRM_IMM:
        ok = modrm(i, &c) && immediate(i, &c, i->operand16 ? 2 : 4);
        break;
    default:
        return false;
    }
    i->length = c.at;
    return ok;
}

bool insn_fetch(struct insn *i, struct regs *r)
{
    uint8_t bytes[INSN_MAX];
    unsigned count = INSN_MAX;
    /* The last instruction of a page may be followed by nothing: then only up to its end. */
    unsigned in_page = PAGE_SIZE - (r->rip & (PAGE_SIZE - 1));

    i->regs = r;
    if (arch_copy_from_guest(bytes, r->rip, count)) {
        if (in_page >= INSN_MAX || arch_copy_from_guest(bytes, r->rip, in_page))
            return false;
        count = in_page;
    }
    return insn_decode(i, bytes, count);
}

unsigned insn_word_mov(const uint8_t bytes[8], unsigned *reg)
{
    unsigned mod = bytes[2] >> 6, rm = bytes[2] & 7, length = 3;

    if ((bytes[0] & 0xf8) != 0x48 || bytes[1] != 0x89 || mod == 3)
        return 0;
    *reg = (bytes[0] & 4U) << 1 | (bytes[2] >> 3 & 7);
    if (rm == 4)
        length++;
    if (mod == 1)
        return length + 1;
    if (mod == 2 || rm == 5 || (rm == 4 && (bytes[3] & 7) == 5))
        return length + 4;
    return length;
}
