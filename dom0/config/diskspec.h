/* SPDX-License-Identifier: MIT */
/*
 * One member of xl.cfg's `disk` list: `target,format,vdev,access` by position, or key=value words,
 * or both mixed; `target=` takes the rest of the text; the words cdrom (devtype=cdrom), discard and
 * no-discard stand alone. Pure.
 */
#ifndef DOM0_CONFIG_DISKSPEC_H
#define DOM0_CONFIG_DISKSPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "dom0/config/cfgtext.h"
#include "dom0/image/format.h"

#define DISKSPEC_PATH_MAX 256

struct diskspec {
    char target[DISKSPEC_PATH_MAX]; /* file on dom0's disk; "": a drive without a medium */
    char vdev[12];                  /* the guest's name for it: xvda, xvdb1 */
    unsigned vdev_number;           /* the same as xenstore's number: 51712 for xvda */
    bool readonly;
    bool cdrom;      /* a drive whose medium can be changed; read-only */
    bool no_discard; /* the guest is not offered to give space back */
    /* The domain's share of the real disk (dom0/blk/ioshare.h); 0: nothing is said. */
    unsigned weight;
    uint64_t iops, bps;
    enum image_format format; /* as given, else by the target's name; never by its content */
};

/* Parse `text`. Returns 0 or -XEN_EINVAL with err set; *disk is undefined then. */
int diskspec_parse(const char *text, struct diskspec *disk, struct cfg_error *err);

/* The xenstore number of `vdev` (xvda to xvdp, with or without a partition 1 to 15), or -1. */
int diskspec_vdev_number(const char *vdev);

#endif
