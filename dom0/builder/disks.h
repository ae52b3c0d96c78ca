/* SPDX-License-Identifier: MIT */
/*
 * A domain's virtual disks, from its configuration to the block back end. For domain.c.
 */
#ifndef DOM0_BUILDER_DISKS_H
#define DOM0_BUILDER_DISKS_H

#include <stdint.h>

#include <xen/xen.h>

struct cfg_error;
struct xlcfg;

/* Connect all disks of cfg; a negative error with one line in err. Those connected so far stay:
 * disks_detach takes them. */
int disks_attach(domid_t domid, const struct xlcfg *cfg, struct cfg_error *err);

/* Disconnect all disks of a domain, whose front end may be in any state. */
void disks_detach(domid_t domid);

#endif
