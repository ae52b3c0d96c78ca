/* SPDX-License-Identifier: MIT */
/*
 * The seam: everything that an architecture must supply to hv/, mm/, sched/ and io/. The host's
 * unit tests supply a fake one (tests/unit/fake_arch.c). Interrupts are off in all of them unless
 * said.
 */
#ifndef HV_ARCH_H
#define HV_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mm/types.h"

struct vcpu;
struct domain;

/* ---- pCPUs ---- */
unsigned arch_pcpu_id(void);    /* this pCPU, 0 .. arch_pcpu_count() - 1 */
unsigned arch_pcpu_count(void); /* online */
uint64_t arch_pcpu_mask(void);  /* online, a bit each */
void arch_cpu_relax(void);      /* in every spin loop: pause, and tlb_serve_requests() */
void arch_halt_forever(void) __attribute__((noreturn)); /* all pCPUs stop */

/* Reasons for an inter-processor interrupt; the handler sees only that something came, the cause is
 * in memory. */
enum ipi { IPI_RESCHED, IPI_TLB };
void arch_send_ipi(unsigned pcpu, enum ipi ipi);

/* Set on a pCPU: before it returns to a guest or idles again, it calls sched_run(). Sends
 * IPI_RESCHED if it is another one. */
void arch_request_resched(unsigned pcpu);
/* Wait for an interrupt with interrupts on, unless a resched request is pending; returns with
 * interrupts off. */
void arch_idle_wait(void);

/* ---- time ---- */
uint64_t arch_time_ns(void); /* ns since boot; monotonic, the same on all pCPUs */
/* A counter that is cheap to read, and how far it goes in a microsecond: for short differences. */
uint64_t arch_ticks(void);
extern uint64_t arch_ticks_per_us;
/* This pCPU's local timer: interrupt at deadline (ns of arch_time_ns(), may be past: soon),
 * UINT64_MAX: off. */
void arch_timer_program(uint64_t deadline_ns);

/* ---- translations of this pCPU ---- */
void arch_tlb_flush_all(
    void); /* drops every guest translation of this pCPU (then calls tlb_note_flushed) */
void arch_tlb_flush_va(uint64_t va);
/* The hypervisor's part of a new shadow root (L4 slots 257..271; 256 is the domain's
 * machine-to-phys table). */
void arch_root_init(uint64_t *root_l4);

/* ---- where all RAM is mapped, frame 0 first: for frame_map() in mm/frame.h alone ---- */
extern char *arch_ram;

/* ---- access to the running guest, with fault fixup; 0 or the number of bytes not copied: all of
 * them if one is not a guest's address (the hypervisor's entries are in the same root) ---- */
bool arch_guest_range(uint64_t va, size_t bytes); /* can they be a guest's? */
size_t arch_copy_from_guest(void *dst, uint64_t va, size_t bytes);
size_t arch_copy_to_guest(uint64_t va, const void *src, size_t bytes);
/* The same for whole words, quickly; false: fault. */
bool arch_read_words(uint64_t *dst, uint64_t va, size_t words);

/* ---- vCPUs (arch/x86/vcpu.c) ---- */
struct vcpu_guest_context;
long arch_vcpu_init(struct vcpu *v); /* at creation, all zero: -ENOMEM */
void arch_vcpu_free(struct vcpu *v);
/* From XEN_DOMCTL_setvcpucontext and VCPUOP_initialise: checks everything, then acts. */
long arch_vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx);
void arch_vcpu_get_context(struct vcpu *v, struct vcpu_guest_context *ctx);
/*
 * Called by the scheduler on the pCPU concerned. Everything of prev is saved; then its tables are
 * left, too, so that they may be freed: either for another vCPU's, or for none.
 */
void arch_vcpu_save(struct vcpu *prev);
void arch_vcpu_leave(struct vcpu *prev);
void arch_vcpu_load(struct vcpu *next, struct vcpu *from); /* from: to be left, NULL: none */
/* The current vCPU's kernel root was replaced: load the new one. Its paging lock is held, so that
 * the one loaded until now is not used again before. False: there is none; the domain is to be
 * crashed.
 */
bool arch_root_load(struct vcpu *v);
void arch_root_switch(struct vcpu *v, maddr_t root); /* the same for the root that is known */
/* May a root that is loaded find translations from before (PCIDs)? If so arch_user_root_set() is to
 * be told that the user root was replaced, under the paging lock. */
extern bool arch_keeps_translations;
void arch_user_root_set(struct vcpu *v);
void arch_root_changed(struct vcpu *v); /* after that, without the lock: what hung on addresses */
/* MMUEXT_SET_LDT: descriptors at a guest's address, read when they are used; 0 entries: none.
 * -EINVAL. */
long arch_ldt_set(struct vcpu *v, uint64_t base, unsigned entries);
/* Registers, top of stack and roots of a vCPU on the log; of the current one, in a hypercall, when
 * that ends. */
void arch_vcpu_dump(struct vcpu *v);
/* Refresh vcpu_time_info (version protocol) in v's vcpu_info. */
void arch_vcpu_update_time(struct vcpu *v);

/* ---- interrupts of devices (arch/x86/apic.c) ---- */
/* A vector that calls fn(arg) on pCPU 0, with EOI done afterwards; -ENOSPC. */
int arch_irq_vector_alloc(void (*fn)(void *), void *arg);
void arch_irq_vector_free(int vector);
/* Message address and data that make a device raise `vector` on `pcpu`. */
void arch_msi_message(int vector, unsigned pcpu, uint64_t *address, uint32_t *data);
void *arch_map_mmio(maddr_t maddr, size_t bytes); /* uncached, hypervisor's own; never unmapped */

/* ---- machine ---- */
struct wallclock_date;
bool arch_read_rtc(struct wallclock_date *date);     /* the machine's clock, UTC; false: none */
uint32_t arch_cpu_khz(void);                         /* of the time stamp counter */
void arch_cpu_capabilities(uint32_t words[8]);       /* as in xen_sysctl_physinfo.hw_cap */
void arch_power_off(void) __attribute__((noreturn)); /* ACPI S5 */
void arch_reboot(void) __attribute__((noreturn));
uint8_t arch_in8(uint16_t port);
uint16_t arch_in16(uint16_t port);
uint32_t arch_in32(uint16_t port);
void arch_out8(uint16_t port, uint8_t v);
void arch_out16(uint16_t port, uint16_t v);
void arch_out32(uint16_t port, uint32_t v);

#endif
