/* SPDX-License-Identifier: MIT */
/*
 * A guest's store to one of its page tables, caught by the write protection of its shadow: decoded,
 * done on the guest's frame by a compare-and-exchange of the whole entry, and followed by the
 * shadow (shadow_store). The forms that compilers make for page tables are known: mov, xchg,
 * cmpxchg, and, or, bts, btr, btc, of any width. Another form drops the table's shadow, if the
 * guest's own entry lets it write, and runs by itself. So do all forms if the domain's mode says so
 * (hv/store_mode.h), which decides first.
 */
#include "arch/x86/guest.h"

#include "arch/x86/decode.h"
#include "hv/log.h"
#include "hv/store_mode.h"

#define FLAG_PF   (1UL << 2)
#define FLAG_AF   (1UL << 4)
#define FLAG_ZF   (1UL << 6)
#define FLAG_SF   (1UL << 7)
#define FLAG_OF   (1UL << 11)
#define FLAGS_ALL (RFLAGS_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static uint64_t mask_of(unsigned size)
{
    return size == 8 ? ~0UL : (1UL << (8 * size)) - 1;
}

/* The register operand; byte registers 4..7 without REX are ah, ch, dh, bh. */
static uint64_t read_reg(const struct insn *i, unsigned size)
{
    if (size == 1 && !i->rex && i->reg >= 4)
        return (*insn_gpr(i->regs, i->reg & 3) >> 8) & 0xff;
    return *insn_gpr(i->regs, i->reg) & mask_of(size);
}

/* Writes of 32 bits clear the upper half, narrower ones keep the rest (SDM vol. 1, 3.4.1.1). */
static void write_gpr(uint64_t *gpr, uint64_t value, unsigned size)
{
    *gpr = size >= 4 ? value : (*gpr & ~mask_of(size)) | value;
}

static void write_reg(const struct insn *i, uint64_t value, unsigned size)
{
    if (size == 1 && !i->rex && i->reg >= 4) {
        uint64_t *gpr = insn_gpr(i->regs, i->reg & 3);
        *gpr = (*gpr & ~0xff00UL) | value << 8;
        return;
    }
    write_gpr(insn_gpr(i->regs, i->reg), value, size);
}

static uint64_t result_flags(uint64_t value, unsigned size)
{
    uint64_t flags = 0;

    if (!(value & mask_of(size)))
        flags |= FLAG_ZF;
    if (value >> (8 * size - 1) & 1)
        flags |= FLAG_SF;
    if (!__builtin_parity((unsigned)(value & 0xff)))
        flags |= FLAG_PF;
    return flags;
}

static uint64_t compare_flags(uint64_t a, uint64_t b, unsigned size)
{
    uint64_t diff = (a - b) & mask_of(size);
    uint64_t flags = result_flags(diff, size);

    if (a < b)
        flags |= RFLAGS_CF;
    if ((a ^ b ^ diff) & 0x10)
        flags |= FLAG_AF;
    if ((a ^ b) & (a ^ diff) & (1UL << (8 * size - 1)))
        flags |= FLAG_OF;
    return flags;
}

/* What the instruction makes of the old value, and its side effects, which count only if the store
 * succeeds. */
struct effect {
    uint64_t value;
    uint64_t flags, flags_changed;
    bool to_reg; /* xchg: the old value goes to the register operand */
    bool to_rax; /* cmpxchg that failed: the old value goes to rax */
    enum store_form form;
};

static bool logic(const struct insn *i, uint64_t old, uint64_t operand, bool is_and,
                  struct effect *e)
{
    unsigned size = insn_operand_size(i);

    e->value = is_and ? old & operand : old | operand;
    e->flags = result_flags(e->value, size);
    e->flags_changed = FLAGS_ALL;
    e->form = STORE_LOGIC;
    return true;
}

static bool bit_op(unsigned kind, unsigned size, uint64_t old, uint64_t index, struct effect *e)
{
    uint64_t bit = 1UL << (index & (8 * size - 1));

    e->flags = old & bit ? RFLAGS_CF : 0;
    e->flags_changed = RFLAGS_CF;
    e->form = STORE_BIT;
    switch (kind) {
    case 5:
        e->value = old | bit;
        return true;
    case 6:
        e->value = old & ~bit;
        return true;
    case 7:
        e->value = old ^ bit;
        return true;
    default: /* bt does not write */
        return false;
    }
}

static bool effect_0f(const struct insn *i, unsigned size, uint64_t old, struct effect *e)
{
    uint64_t rax = i->regs->rax & mask_of(size);

    switch (i->opcode) {
    case 0xab:
    case 0xb3:
    case 0xbb: /* the register's low bits: the address that faulted is that of the bit itself */
        return bit_op((i->opcode >> 3) & 7, size, old, read_reg(i, size), e);
    case 0xba:
        return bit_op(i->reg & 7, size, old, i->immediate, e);
    case 0xb0:
    case 0xb1:
        e->flags = compare_flags(rax, old, size);
        e->flags_changed = FLAGS_ALL;
        e->value = rax == old ? read_reg(i, size) : old;
        e->to_rax = rax != old;
        e->form = STORE_CMPXCHG;
        return true;
    default:
        return false;
    }
}

static bool effect_of(const struct insn *i, unsigned size, uint64_t old, struct effect *e)
{
    *e = (struct effect){.form = STORE_MOV};
    if (i->two_byte)
        return effect_0f(i, size, old, e);
    switch (i->opcode) {
    case 0x88:
    case 0x89:
        e->value = read_reg(i, size);
        return true;
    case 0xc6:
    case 0xc7:
        e->value = i->immediate & mask_of(size);
        return (i->reg & 7) == 0;
    case 0x86:
    case 0x87:
        e->value = read_reg(i, size);
        e->to_reg = true;
        e->form = STORE_XCHG;
        return true;
    case 0x08:
    case 0x09:
        return logic(i, old, read_reg(i, size), false, e);
    case 0x20:
    case 0x21:
        return logic(i, old, read_reg(i, size), true, e);
    case 0x80:
    case 0x81:
    case 0x83:
        if ((i->reg & 7) != 1 && (i->reg & 7) != 4)
            return false;
        return logic(i, old, i->immediate & mask_of(size), (i->reg & 7) == 4, e);
    default:
        return false;
    }
}

static unsigned store_size(const struct insn *i)
{
    /* 0f ab/b3/bb/ba have no byte form; their opcodes' bit 0 says nothing. */
    if (i->two_byte && i->opcode != 0xb0)
        return i->rex_w ? 8 : i->operand16 ? 2 : 4;
    return insn_operand_size(i);
}

/* True if the store was done. */
static bool emulate(struct vcpu *v, struct insn *i, const struct fault_info *info)
{
    struct paging *p = v->domain->paging;
    unsigned size = store_size(i);
    uint64_t old;
    struct effect e;
    long err;

    if (i->rep || (info->offset & 7) + size > 8)
        return false;
    paging_lock(p);
    do {
        old = shadow_load(p, info->gfn, info->offset, size);
        if (!effect_of(i, size, old, &e)) {
            paging_unlock(p);
            return false;
        }
        err = shadow_store(p, info->gfn, info->offset, size, old, e.value);
    } while (err == -XEN_EAGAIN);
    paging_unlock(p);
    if (err)
        return false;
    if (e.to_reg)
        write_reg(i, old, size);
    if (e.to_rax)
        write_gpr(&i->regs->rax, old, size);
    i->regs->rflags = (i->regs->rflags & ~e.flags_changed) | e.flags;
    i->regs->rflags &= ~RFLAGS_RF;
    i->regs->rip += i->length;
    v->count.stores[e.form]++;
    return true;
}

/* The store runs by itself, with the table's shadow out of its way; false: that cannot be. */
static bool let_through(struct vcpu *v, const struct fault_info *info)
{
    if (!info->guest_writable)
        return false;
    paging_lock(v->domain->paging);
    shadow_drop(v->domain->paging, info->gfn);
    paging_unlock(v->domain->paging);
    v->count.tables_dropped++;
    return true;
}

/* The form that kernels use most, for an entry that is plain: it is one request of mmu_update. */
static bool store_word(struct vcpu *v, struct regs *r, const struct fault_info *info)
{
    struct paging *p = v->domain->paging;
    unsigned length, reg;
    uint64_t code;
    bool done;

    if (info->offset % 8 || !arch_read_words(&code, r->rip, 1))
        return false;
    length = insn_word_mov((const uint8_t *)&code, &reg);
    if (!length)
        return false;
    paging_lock(p);
    done = shadow_update_one(p, info->gfn.n << PAGE_SHIFT | info->offset, *insn_gpr(r, reg));
    paging_unlock(p);
    if (done) {
        r->rflags &= ~RFLAGS_RF;
        r->rip += length;
        v->count.stores[STORE_MOV]++;
    }
    return done;
}

static bool emulate_store(struct vcpu *v, struct regs *r, const struct fault_info *info)
{
    struct insn i;

    if (store_word(v, r, info))
        return true;
    return insn_fetch(&i, r) && i.mod != 3 && emulate(v, &i, info);
}

static bool done(struct vcpu *v, struct regs *r, const struct fault_info *info)
{
    bool assist = v->domain->privileged || /* so it is on Xen, whose domain 0 need not ask */
                  (v->domain->vm_assist & 1u << VMASST_TYPE_writable_pagetables);
    unsigned mode = __atomic_load_n(&v->domain->store_mode, __ATOMIC_RELAXED);

    switch (store_mode_action(mode, assist, info)) {
    case STORE_EMULATE:
        return emulate_store(v, r, info) || let_through(v, info);
    case STORE_DROP:
        return let_through(v, info);
    default:
        return false;
    }
}

bool x86_table_store(struct vcpu *v, struct regs *r, const struct fault_info *info)
{
    bool ok = done(v, r, info);

    v->count.stores_refused += !ok;
    return ok;
}
