/* SPDX-License-Identifier: MIT */
/*
 * pvbench: what the operations of a PV kernel cost on a hypervisor with Xen's 64-bit PV interface,
 * seen from inside. Any such hypervisor can start it as domain 0's kernel.
 *
 * Prints `BENCH name value unit`, with .min and .med where repeated, `BENCH name unsupported rc`
 * where the hypervisor refuses, and `BENCH done` at the end, or `BENCH panic why` on anything
 * unexpected. Then it asks for a restart of the machine, which ends a QEMU that runs with
 * -no-reboot.
 *
 * Page tables are read-only before they are pinned and frames come from the list of frames, as
 * Xen's direct paging wants it.
 */
#include <stdint.h>
#include <xen/version.h>
#include <xen/features.h>
#include <xen/vcpu.h>

#include "bench.h"
#include "event.h"
#include "figure.h"
#include "hyper.h"
#include "pages.h"
#include "space.h"
#include "text.h"
#include "trap.h"

static void print_features(void)
{
    struct xen_feature_info features = {.submap_idx = 0};

    if (hyper2(__HYPERVISOR_xen_version, XENVER_get_features, HYPER_ARG(&features)) == 0) {
        text_string("INFO features ");
        text_hex(features.submap);
        text_char('\n');
    }
}

static void print_version(const start_info_t *info)
{
    char extra[16] = {0};
    long version = hyper2(__HYPERVISOR_xen_version, XENVER_version, 0);

    text_string("\nINFO pvbench 1 on ");
    text_string(info->magic);
    text_char('\n');
    text_info("version.major", version >> 16);
    text_info("version.minor", version & 0xffff);
    hyper2(__HYPERVISOR_xen_version, XENVER_extraversion, HYPER_ARG(extra));
    extra[sizeof(extra) - 1] = 0;
    text_string("INFO extraversion ");
    text_string(extra);
    text_char('\n');
    print_features();
    text_info("nr_pages", (long)info->nr_pages);
    text_info("dom0", !!(info->flags & SIF_INITDOMAIN));
    text_info("nr_pt_frames", (long)info->nr_pt_frames);
    text_info("mfn_identity", pages_frames[0] == 0 && pages_frames[100] == 100);
}

static void run_all(void)
{
    bench_hypercall();
    bench_trap();
    bench_emul();
    bench_user();
    bench_mmu();
    bench_demand();
    bench_switch();
    bench_fork();
    bench_event();
    bench_timer();
    bench_grant();
    bench_memory();
    bench_vcpu();
    bench_sched();
}

/* From entry.S, on vCPU 0: the TSC at the first instruction, and start_info. */
void bench_main(uint64_t entry_tsc, const start_info_t *info)
{
    uint64_t start;

    pages_frames = (uint64_t *)info->mfn_list;
    text_init(info);
    event_init(info);
    print_version(info);
    trap_init();
    hyper3(__HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
    figure_calibrate();
    figure_ticks("boot.reset_to_entry", entry_tsc, 1);
    space_init((const uint64_t *)info->pt_base);
    start = cpu_tsc();
    run_all();
    figure_value("total", "", (long)(cpu_tsc() - start) / 100, figure_icount() ? "kinsn" : "ktsc");
    text_string("BENCH done\n");
    text_end();
}
