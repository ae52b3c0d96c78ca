/* SPDX-License-Identifier: MIT */
/*
 * Who we are: the interface version that guests see (Xen's, D1) and our own name and version. For
 * version.c, sysctl.c and the boot banner.
 */
#ifndef HV_VERSION_H
#define HV_VERSION_H

#define VERSION_MAJOR     4UL
#define VERSION_MINOR     17UL
#define VERSION_EXTRA     ".0-penumbra"
#define VERSION_CHANGESET "penumbra 0.1"
#define VERSION_COMPILER  "gcc " __VERSION__
#define VERSION_DATE      "unrecorded" /* a build is the same whenever it is made */

#include "hv/boot_info.h"

static inline const char *version_command_line(void)
{
    return boot_info.cmdline;
}

#endif
