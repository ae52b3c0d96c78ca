/* SPDX-License-Identifier: MIT */
/*
 * Privileged instructions of the guest, which run in ring 3 and raise #GP: decoded at rip, done on
 * the vCPU's state. What is not here stays the guest's own #GP. Also `int n`, whose gates have DPL
 * 0, and the forced-emulation prefix of the ABI (ud2a "xen" before CPUID, arch-x86/xen.h
 * XEN_EMULATE_PREFIX).
 *
 * The instruction bytes come from guest memory in one copy; only these bytes are looked at.
 */
#include "arch/x86/guest.h"

#include "arch/x86/cpu.h"
#include "arch/x86/decode.h"
#include "arch/x86/desc.h"
#include "hv/arch.h"
#include "hv/log.h"
#include "hv/mmu.h"

#define CR4_GUEST_MAY_SET (CR4_TSD | CR4_DE | CR4_FSGSBASE | CR4_OSXSAVE)

static void set32(uint64_t *reg, uint32_t value)
{
    *reg = value;
}

/* ---- control and debug registers: 0f 20..23 ---- */

static bool read_cr(struct vcpu *v, unsigned cr, uint64_t *value)
{
    switch (cr) {
    case 0:
        *value = CR0_PG | CR0_AM | CR0_WP | CR0_NE | 0x10 /* ET */ | CR0_MP | 1 /* PE */ |
                 (v->arch.cr0_ts ? CR0_TS : 0);
        return true;
    case 2:
        *value = v->info->arch.cr2;
        return true;
    case 3:
        *value = v->paging.kernel_root.n << PAGE_SHIFT;
        return true;
    case 4:
        *value = v->arch.cr4;
        return true;
    default:
        return false;
    }
}

static bool write_cr(struct vcpu *v, unsigned cr, uint64_t value)
{
    switch (cr) {
    case 0: /* only TS is the guest's to change */
        v->arch.cr0_ts = value & CR0_TS;
        x86_fpu_set_ts(v->arch.cr0_ts);
        return true;
    case 2:
        v->info->arch.cr2 = value;
        return true;
    case 3:
        return !mmu_set_kernel_base(v, gfn_of(value >> PAGE_SHIFT));
    case 4: /* the rest reads back as it was */
        v->arch.cr4 = (v->arch.cr4 & ~CR4_GUEST_MAY_SET) | (value & CR4_GUEST_MAY_SET);
        return true;
    default:
        return false;
    }
}

long x86_set_debugreg(struct vcpu *v, unsigned reg, uint64_t value)
{
    switch (reg) {
    case 0 ... 3:
        if (!x86_guest_address(value))
            return -XEN_EPERM;
        break;
    case 4:
    case 6: /* reserved bits as the processor has them (SDM vol. 3, 17.2.3) */
        reg = 6;
        value = (value & 0xe00f) | 0xffff0ff0;
        break;
    case 5:
    case 7: /* general detect and I/O breakpoints are not for guests */
        reg = 7;
        if (value >> 32 || value & 0x2000)
            return -XEN_EINVAL;
        for (unsigned i = 0; i < 4; i++)
            if (((value >> (16 + 4 * i)) & 3) == 2)
                return -XEN_EINVAL;
        value |= 0x400;
        break;
    default:
        return -XEN_EINVAL;
    }
    v->arch.debugreg[reg] = value;
    if (v == current_vcpu()) {
        x86_write_dr0(v->arch.debugreg[0]);
        x86_write_dr1(v->arch.debugreg[1]);
        x86_write_dr2(v->arch.debugreg[2]);
        x86_write_dr3(v->arch.debugreg[3]);
        x86_write_dr7(v->arch.debugreg[7]);
    }
    return 0;
}

static bool move_control(struct vcpu *v, struct insn *i)
{
    uint64_t *gpr = insn_gpr(i->regs, i->rm);

    if (i->mod != 3)
        return false;
    switch (i->opcode) {
    case 0x20:
        return read_cr(v, i->reg, gpr);
    case 0x22:
        return write_cr(v, i->reg, *gpr);
    case 0x21:
        *gpr = i->reg < 8 ? v->arch.debugreg[i->reg == 4 ? 6 : i->reg == 5 ? 7 : i->reg] : 0;
        return i->reg < 8;
    default:
        return x86_set_debugreg(v, i->reg, *gpr) == 0;
    }
}

/* ---- port I/O ---- */

static void port_in(struct vcpu *v, struct regs *r, uint16_t port, unsigned size)
{
    uint32_t value = x86_guest_in(v, port, size);

    if (size == 4)
        set32(&r->rax, value);
    else if (size == 2)
        r->rax = (r->rax & ~0xffffUL) | (uint16_t)value;
    else
        r->rax = (r->rax & ~0xffUL) | (uint8_t)value;
}

static bool port_io(struct vcpu *v, struct insn *i)
{
    struct regs *r = i->regs;
    uint16_t port = i->opcode & 8 ? (uint16_t)r->rdx : (uint8_t)i->immediate;
    unsigned size = !(i->opcode & 1) ? 1 : i->operand16 ? 2 : 4;

    if (!v->arch.kernel_mode || v->arch.iopl < 1)
        return false;
    if (i->opcode & 2)
        x86_guest_out(v, port, size, (uint32_t)r->rax);
    else
        port_in(v, r, port, size);
    return true;
}

/* ---- the rest ---- */

static bool move_msr(struct vcpu *v, struct regs *r, bool write)
{
    uint64_t value = (r->rdx << 32) | (uint32_t)r->rax;

    if (write)
        return x86_guest_wrmsr(v, (uint32_t)r->rcx, value);
    if (!x86_guest_rdmsr(v, (uint32_t)r->rcx, &value))
        return false;
    set32(&r->rax, (uint32_t)value);
    set32(&r->rdx, (uint32_t)(value >> 32));
    return true;
}

static void cpuid(struct vcpu *v, struct regs *r)
{
    uint32_t out[4];

    x86_guest_cpuid(v, (uint32_t)r->rax, (uint32_t)r->rcx, out);
    set32(&r->rax, out[0]);
    set32(&r->rbx, out[1]);
    set32(&r->rcx, out[2]);
    set32(&r->rdx, out[3]);
}

/*
 * XSETBV, 0f 01 d1. x87 cannot be off, AVX not on without SSE, and nothing that the processor lacks
 * (Intel SDM vol. 1, 13.3): else a real one would raise #GP too.
 */
static bool is_xsetbv(const struct insn *i)
{
    return i->two_byte && i->opcode == 0x01 && i->mod == 3 && i->reg == 2 && i->rm == 1;
}

static bool xsetbv(struct vcpu *v, const struct insn *i)
{
    const struct regs *r = i->regs;
    uint64_t value = r->rdx << 32 | (uint32_t)r->rax;

    if (!is_xsetbv(i) || (uint32_t)r->rcx != 0)
        return false;
    if (!cpu.xcr0 || value & ~cpu.xcr0 || !(value & 1) || ((value & 4) && !(value & 2)))
        return false;
    v->arch.xcr0 = value;
    x86_xsetbv(0, value);
    return true;
}

/* Two-byte opcodes, in guest kernel mode. */
static bool privileged_0f(struct vcpu *v, struct insn *i)
{
    struct regs *r = i->regs;

    switch (i->opcode) {
    case 0x01:
        return xsetbv(v, i);
    case 0x06: /* clts */
        v->arch.cr0_ts = false;
        x86_fpu_set_ts(false);
        return true;
    case 0x08: /* invd */
    case 0x09: /* wbinvd: no guest has a device that needs it; dom0's MMIO is uncached */
        return true;
    case 0x20 ... 0x23:
        return move_control(v, i);
    case 0x30:
        return move_msr(v, r, true);
    case 0x32:
        return move_msr(v, r, false);
    case 0xa2:
        cpuid(v, r);
        return true;
    default:
        return false;
    }
}

static bool privileged(struct vcpu *v, struct insn *i)
{
    if (i->two_byte)
        return v->arch.kernel_mode && privileged_0f(v, i);
    switch (i->opcode) {
    case 0xe4 ... 0xe7:
    case 0xec ... 0xef:
        return port_io(v, i);
    case 0xfa: /* cli, sti: POPF cannot be trapped, so they do nothing either, as on Xen */
    case 0xfb:
        return v->arch.kernel_mode && v->arch.iopl >= 1;
    default:
        return false;
    }
}

bool x86_emulate_privileged(struct vcpu *v, struct regs *r)
{
    struct insn i;

    if (!insn_fetch(&i, r))
        return false;
    if (!i.two_byte && i.opcode == 0xcd) {
        /* int n: decoded here, since not every processor's error code can be trusted. */
        r->rip += i.length;
        x86_inject_software(v, (uint8_t)i.immediate);
        return true;
    }
    if (is_xsetbv(&i) && !(v->arch.cr4 & CR4_OSXSAVE)) {
        x86_inject(v, VEC_UD, false, 0);
        return true;
    }
    if (r->error || !privileged(v, &i))
        return false;
    r->rip += i.length;
    r->rflags &= ~RFLAGS_RF;
    return true;
}

/* ud2a; .ascii "xen"; then CPUID: seven bytes, in any mode. */
bool x86_emulate_forced(struct vcpu *v, struct regs *r)
{
    static const uint8_t forced_cpuid[7] = {0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2};
    uint8_t bytes[sizeof forced_cpuid];

    if (arch_copy_from_guest(bytes, r->rip, sizeof bytes))
        return false;
    for (unsigned i = 0; i < sizeof bytes; i++)
        if (bytes[i] != forced_cpuid[i])
            return false;
    r->rip += sizeof bytes;
    cpuid(v, r);
    return true;
}
