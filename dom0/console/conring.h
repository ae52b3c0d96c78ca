/* SPDX-License-Identifier: MIT */
/*
 * The console page of a guest (<xen/io/console.h>), from the side of the back end. Pure. The guest
 * can write the page at any time: its indices are read once and checked, ours live here.
 */
#ifndef DOM0_CONSOLE_CONRING_H
#define DOM0_CONSOLE_CONRING_H

#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/console.h>

struct conring {
    struct xencons_interface *page;
    uint32_t out_cons, in_prod;
};

void conring_init(struct conring *r, struct xencons_interface *page);
/* Takes up to n bytes of output, returns how many; -XEN_EIO if the guest's index is absurd. */
long conring_take(struct conring *r, char *buf, size_t n);
/* Puts as much input as fits, returns how much; -XEN_EIO likewise. */
long conring_give(struct conring *r, const char *buf, size_t n);

#endif
