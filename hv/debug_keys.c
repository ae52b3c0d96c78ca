/* SPDX-License-Identifier: MIT */
#include "hv/debug_keys.h"

#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/evtchn.h"
#include "hv/grant.h"
#include "hv/lib/ctype.h"
#include "hv/log.h"
#include "mm/heap.h"

static void dump_vcpu(const struct vcpu *v)
{
    const char *state = !v->initialised        ? "not initialised"
                        : !v->sched.up         ? "down"
                        : v->sched.on_pcpu     ? "running"
                        : v->sched.pause_count ? "paused"
                        : v->sched.blocked     ? "blocked"
                                               : "runnable";

    log_info("  vCPU %u: %s, pCPU %u of %lx, upcall pending %u mask %u\n", v->id, state,
             v->sched.pcpu, v->sched.hard_affinity, v->info->evtchn_upcall_pending,
             v->info->evtchn_upcall_mask);
}

static void dump_domain(struct domain *d, int registers)
{
    unsigned weight, cap;

    sched_get_params(d, &weight, &cap);
    log_info(
        "domain %u:%s%s%s refs %d, %lu of %lu pages, weight %u cap %u, %u ports, %u grant maps\n",
        d->id, d->controller_paused ? " paused" : "", d->is_shut_down ? " shut down" : "",
        d->dying ? " dying" : "", d->refs, p2m_ram_count(d->paging), d->max_pages, weight, cap,
        evtchn_count(d), grant_map_count(d));
    for (unsigned i = 0; i < d->vcpu_max; i++) {
        dump_vcpu(d->vcpu[i]);
        if (registers && d->vcpu[i]->initialised)
            arch_vcpu_dump(d->vcpu[i]);
    }
}

static void dump_domains(int registers)
{
    struct domain *d;
    unsigned id = 0;

    while (id < DOMID_FIRST_RESERVED && (d = domain_next((domid_t)id))) {
        id = d->id + 1u;
        dump_domain(d, registers);
        domain_put(d);
    }
}

void debug_key(char key)
{
    switch (key) {
    case 'h':
        log_info("keys: h this help, m memory, q domains, Q domains with registers, t time\n");
        break;
    case 'm':
        log_info("memory: %lu of %lu frames free, %lu bytes of heap in use\n", frame_free_count(),
                 frame_total_count(), heap_used_bytes());
        break;
    case 'q':
    case 'Q':
        dump_domains(key == 'Q');
        break;
    case 't':
        log_info("time: %lu ns, %u kHz\n", arch_time_ns(), arch_cpu_khz());
        for (unsigned i = 0; i < arch_pcpu_count(); i++)
            log_info("  pCPU %u idle for %lu ns\n", i, sched_idle_time(i));
        break;
    default:
        log_info("debug key '%c' is not known: h lists them\n", is_print(key) ? key : '?');
    }
}
