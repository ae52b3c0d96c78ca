/* SPDX-License-Identifier: MIT */
#include "event.h"

#include <xen/sched.h>

#include "cpu.h"
#include "mmu.h"
#include "text.h"

uint8_t event_shared_page[PAGE_BYTES] PAGE_ALIGNED;
volatile uint64_t event_count[EVENT_PORTS];
volatile uint64_t event_tsc[VCPU_MAX];
uint64_t event_ports_of[VCPU_MAX] = {~0UL};
volatile evtchn_port_t event_answer_port;
volatile uint64_t *event_min_word;

extern char event_entry_0[], event_entry_1[], event_entry_2[], event_entry_3[];
void *const event_entries[VCPU_MAX] = {event_entry_0, event_entry_1, event_entry_2, event_entry_3};

void event_init(const start_info_t *info)
{
    long rc = mmu_map(HYPER_ARG(event_shared_page), info->shared_info | PTE_KERNEL_RW, UVMF_INVLPG);

    if (rc) {
        text_panic("shared_info", rc);
    }
    event_off();
    for (unsigned i = 0; i < 64; i++) {
        event_shared()->evtchn_mask[i] = ~0UL;
    }
}

/* From upcall.S: every pending port of this vCPU. */
void event_upcall(int vcpu)
{
    volatile struct shared_info *shared = event_shared();
    volatile struct vcpu_info *vi = &shared->vcpu_info[vcpu];
    uint64_t words;

    vi->evtchn_upcall_pending = 0; /* before the words are taken: what comes later sets it again */
    words = cpu_exchange((volatile uint64_t *)&vi->evtchn_pending_sel, 0);
    while (words) {
        int w = __builtin_ctzl(words);
        uint64_t pending;

        words &= words - 1;
        while ((pending =
                    shared->evtchn_pending[w] & ~shared->evtchn_mask[w] & event_ports_of[vcpu])) {
            int bit = __builtin_ctzl(pending);

            cpu_clear_bit((volatile uint64_t *)&shared->evtchn_pending[w], (uint64_t)bit);
            event_count[(w * 64 + bit) % EVENT_PORTS]++;
            if (vcpu == 1 && event_answer_port) {
                event_send(event_answer_port);
            }
        }
    }
}

void event_off(void)
{
    event_shared()->vcpu_info[0].evtchn_upcall_mask = 1;
    cpu_barrier();
}

/* Any hypercall delivers what has become pending while the mask was set. */
void event_on(void)
{
    volatile struct vcpu_info *vi = &event_shared()->vcpu_info[0];

    vi->evtchn_upcall_mask = 0;
    cpu_barrier();
    if (vi->evtchn_upcall_pending) {
        hyper2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
        hyper2(__HYPERVISOR_xen_version, 0, 0);
    }
}

void event_block(evtchn_port_t port, uint64_t seen)
{
    while (event_count[port] == seen) {
        event_off(); /* an upcall between the look and the block would be missed; block unmasks */
        if (event_count[port] == seen) {
            hyper2(__HYPERVISOR_sched_op, SCHEDOP_block, 0);
        }
        event_on();
    }
}

void event_mask(evtchn_port_t port)
{
    cpu_set_bit((volatile uint64_t *)&event_shared()->evtchn_mask[0], port);
}

void event_unmask(evtchn_port_t port)
{
    cpu_clear_bit((volatile uint64_t *)&event_shared()->evtchn_mask[0], port);
}

void event_clear(evtchn_port_t port)
{
    cpu_clear_bit((volatile uint64_t *)&event_shared()->evtchn_pending[0], port);
}

long event_bind_ipi(unsigned vcpu)
{
    struct evtchn_bind_ipi bind = {.vcpu = vcpu};
    long rc = hyper2(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, HYPER_ARG(&bind));

    if (rc) {
        return rc;
    }
    if (vcpu) {
        event_ports_of[vcpu] = 1UL << bind.port;
        event_ports_of[0] &= ~event_ports_of[vcpu];
    }
    event_unmask(bind.port);
    return (long)bind.port;
}

void event_close(evtchn_port_t port)
{
    struct evtchn_close close = {.port = port};

    hyper2(__HYPERVISOR_event_channel_op, EVTCHNOP_close, HYPER_ARG(&close));
}
