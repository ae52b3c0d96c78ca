/* SPDX-License-Identifier: MIT */
/*
 * The boot device tree: the first module that the boot loader passes. It says what domain 0 is made
 * of, in the manner of Xen's Hyperlaunch: a node with compatible = "xen,domain" below
 * /chosen/hypervisor or below /chosen. Boot only (libfdt reads a stack canary at %fs:0x28: see
 * arch_boot_canary()); pure otherwise.
 */
#ifndef HV_DEVTREE_H
#define HV_DEVTREE_H

#include <stddef.h>
#include <stdint.h>
#include "hv/boot_info.h"

#define DEVTREE_NO_MODULE (~0U)

struct devtree_domain {
    uint64_t memory_kib; /* 0: not given */
    unsigned cpus;       /* 1 .. VCPU_MAX */
    unsigned kernel;     /* index into boot_info.modules */
    unsigned ramdisk;    /* the same, or DEVTREE_NO_MODULE */
    char bootargs[BOOT_CMDLINE];
    char ignored[256]; /* names of nodes and properties that mean nothing here, for a warning; "" if
                          none */
};

struct devtree_error {
    char text[200]; /* one sentence for the user: what is wrong and what to do */
};

/* Reads the tree of `size` bytes at `blob`, which describes exactly one domain, number 0. `modules`
 * are the loader's, the tree's own first. 0, or -XEN_EINVAL with err->text set. */
long devtree_parse(struct devtree_domain *domain, const void *blob, size_t size,
                   const struct boot_module *modules, unsigned module_count,
                   struct devtree_error *err);

#endif
