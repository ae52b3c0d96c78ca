/* SPDX-License-Identifier: MIT */
#include "dom0/builder/disks.h"

#include <stdio.h>

#include "dom0/blk/blkback.h"
#include "dom0/config/xlcfg.h"

int disks_attach(domid_t domid, const struct xlcfg *cfg, struct cfg_error *err)
{
    char who[XLCFG_NAME_MAX + 8], why[256] = "";

    snprintf(who, sizeof who, "domain %s", cfg->name);
    for (unsigned i = 0; i < cfg->disk_count; i++) {
        int rc = blkback_attach(domid, &cfg->disks[i], who, why, sizeof why);

        if (rc < 0) {
            cfg_error_set(err, "%s: disk %s: %s", cfg->name, cfg->disks[i].vdev, why);
            return rc;
        }
    }
    return 0;
}

void disks_detach(domid_t domid)
{
    blkback_detach_all(domid);
}
