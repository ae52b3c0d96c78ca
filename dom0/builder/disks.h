/* SPDX-License-Identifier: MIT */
/*
 * A domain's virtual disks, from its configuration to the block back end. The first two for
 * domain.c, the others for the command line: they change the configuration, too, so that a disk
 * stays or is gone when the domain is restarted. Errors are negative, with one line in err.
 */
#ifndef DOM0_BUILDER_DISKS_H
#define DOM0_BUILDER_DISKS_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>

struct cfg_error;
struct diskspec;
struct xlcfg;

/* Connect all disks of cfg; a negative error with one line in err. Those connected so far stay:
 * disks_detach takes them. */
int disks_attach(domid_t domid, const struct xlcfg *cfg, struct cfg_error *err);

/* Disconnect all disks of a domain, whose front end may be in any state. */
void disks_detach(domid_t domid);

/* One more disk for a running domain. */
int disks_plug(domid_t domid, const struct diskspec *disk, struct cfg_error *err);

/* Take one away, as blkback_detach(). */
int disks_unplug(domid_t domid, unsigned vdev_number, bool force, struct cfg_error *err);

/* Another medium for a drive: target and format of *disk; NULL: none. */
int disks_insert(domid_t domid, unsigned vdev_number, const struct diskspec *disk,
                 struct cfg_error *err);

#endif
