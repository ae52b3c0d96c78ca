/* SPDX-License-Identifier: MIT */
/*
 * The domain builder: makes a paused domain from a configuration and a kernel file, with memory,
 * page tables, start_info, event channels and registers as Xen's PV ABI wants them. It knows
 * nothing of names, store and disks; domain.c does. For threads of dom0.
 */
#ifndef DOM0_BUILDER_BUILD_H
#define DOM0_BUILDER_BUILD_H

#include <stdint.h>

#include <xen/xen.h>
#include <xen/event_channel.h>

struct cfg_error;
struct xlcfg;

/* What the hypervisor lets a domain have above what it is to have, as with xl: for pages that are
 * not its kernel's idea. */
#define BUILD_SLACK_KIB 1024

/* What the services need to know of a new domain. */
struct build_result {
    domid_t domid;
    xen_pfn_t store_mfn, console_mfn;
    evtchn_port_t store_port, console_port; /* the domain's own */
};

/*
 * Build the domain that cfg (finished, with a UUID) describes. Returns 0, or a negative error with
 * one line in err, and then nothing is left of it.
 */
int build_domain(const struct xlcfg *cfg, struct build_result *result, struct cfg_error *err);

#endif
