/* SPDX-License-Identifier: MIT */
#include "dom0/builder/disks.h"

#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/blk/blkback.h"
#include "dom0/builder/domain.h"
#include "dom0/config/xlcfg.h"

static int attach(domid_t domid, const struct xlcfg *cfg, const struct diskspec *disk,
                  struct cfg_error *err)
{
    char who[XLCFG_NAME_MAX + 8], why[256] = "";
    int rc;

    snprintf(who, sizeof who, "domain %s", cfg->name);
    rc = blkback_attach(domid, disk, who, why, sizeof why);
    if (rc < 0)
        cfg_error_set(err, "%s: disk %s: %s", cfg->name, disk->vdev, why);
    return rc;
}

int disks_attach(domid_t domid, const struct xlcfg *cfg, struct cfg_error *err)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < cfg->disk_count; i++)
        rc = attach(domid, cfg, &cfg->disks[i], err);
    return rc;
}

void disks_detach(domid_t domid)
{
    blkback_detach_all(domid);
}

static int no_domain(domid_t domid, struct cfg_error *err)
{
    char name[XLCFG_NAME_MAX];

    cfg_error_set(err, "%s is no running guest: it has no virtual disks to change",
                  domain_name(domid, name, sizeof name));
    return -XEN_ESRCH;
}

int disks_plug(domid_t domid, const struct diskspec *disk, struct cfg_error *err)
{
    struct xlcfg *cfg = domain_hold_config(domid);
    int rc;

    if (!cfg)
        return no_domain(domid, err);
    if (cfg->disk_count == XLCFG_DISKS_MAX) {
        cfg_error_set(err, "%s has %d disks already: block-detach one first", cfg->name,
                      XLCFG_DISKS_MAX);
        rc = -XEN_ENOSPC;
    } else {
        rc = attach(domid, cfg, disk, err);
    }
    if (rc == 0)
        cfg->disks[cfg->disk_count++] = *disk;
    domain_release_config();
    return rc;
}

/* A disk's place in a configuration, or its number of disks. */
static unsigned place_of(const struct xlcfg *cfg, unsigned vdev_number)
{
    unsigned i = 0;

    while (i < cfg->disk_count && cfg->disks[i].vdev_number != vdev_number)
        i++;
    return i;
}

int disks_unplug(domid_t domid, unsigned vdev_number, bool force, struct cfg_error *err)
{
    /* Nothing is held while the guest takes its time. */
    int rc = blkback_detach(domid, vdev_number, force);
    struct xlcfg *cfg;

    if (rc == -XEN_ENOENT)
        cfg_error_set(err, "it has no such disk: `block-list` shows all");
    else if (rc < 0)
        cfg_error_set(err, "the guest did not let go of it within 10 s: try again, or take it away "
                           "with -f");
    cfg = rc == 0 ? domain_hold_config(domid) : NULL;
    if (cfg) {
        unsigned i = place_of(cfg, vdev_number);

        if (i < cfg->disk_count) {
            cfg->disk_count--;
            memmove(&cfg->disks[i], &cfg->disks[i + 1],
                    (cfg->disk_count - i) * sizeof cfg->disks[0]);
        }
        domain_release_config();
    }
    return rc;
}

int disks_insert(domid_t domid, unsigned vdev_number, const struct diskspec *disk,
                 struct cfg_error *err)
{
    struct xlcfg *cfg = domain_hold_config(domid);
    char why[256] = "";
    unsigned i;
    int rc;

    if (!cfg)
        return no_domain(domid, err);
    rc = blkback_insert(domid, vdev_number, disk, why, sizeof why);
    i = place_of(cfg, vdev_number);
    if (rc < 0) {
        cfg_error_set(err, "%s: %s", cfg->name, why);
    } else if (i < cfg->disk_count) {
        snprintf(cfg->disks[i].target, sizeof cfg->disks[i].target, "%s", disk ? disk->target : "");
        cfg->disks[i].format = disk ? disk->format : IMAGE_RAW;
    }
    domain_release_config();
    return rc;
}
