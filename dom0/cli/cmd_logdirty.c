/* SPDX-License-Identifier: MIT */
/* log-dirty: which frames of its memory a domain writes. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/builder/domctl.h"
#include "dom0/cli/term.h"
#include "dom0/fs/vfs.h"

/* An error of the hypervisor's, in words. */
static int refused(const char *command, int rc, const char *domain, uint32_t op)
{
    if (rc == -XEN_EINVAL && op == XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY)
        return cli_refuse(command, rc,
                          "%.63s is logged already, or cannot be: `%s %.63s off` ends that", domain,
                          command, domain);
    if (rc == -XEN_ENOMEM)
        return cli_refuse(command, rc, "there is no memory for the log of %.63s", domain);
    if (rc == -XEN_EBUSY)
        return cli_refuse(command, rc, "somebody reads the log of %.63s just now", domain);
    return cli_refuse(command, rc, "%.63s: %s (error %d)", domain, vfs_strerror(rc), -rc);
}

static bool is_dirty(const uint64_t *bits, uint64_t gfn)
{
    return bits[gfn / 64] >> gfn % 64 & 1;
}

static uint64_t count(const uint64_t *bits, uint64_t pages)
{
    uint64_t n = 0;

    for (uint64_t gfn = 0; gfn < pages; gfn++)
        n += is_dirty(bits, gfn);
    return n;
}

/* One line a range, "first-last" in hexadecimal. */
static void print_ranges(const uint64_t *bits, uint64_t pages)
{
    uint64_t first, last;

    for (uint64_t gfn = 0; gfn < pages && !term_interrupted(); gfn = last + 1) {
        for (first = gfn; first < pages && !is_dirty(bits, first); first++)
            ;
        for (last = first; last + 1 < pages && is_dirty(bits, last + 1); last++)
            ;
        if (first == pages)
            return;
        printf("%llx", (unsigned long long)first);
        if (last > first)
            printf("-%llx", (unsigned long long)last);
        printf("\n");
    }
}

/* CLEAN or PEEK. */
static int show(const char *command, const char *domain, domid_t domid, uint32_t op)
{
    struct xen_domctl_shadow_op s = {.op = op};
    uint64_t gfns = 0, *bits;
    int rc = domctl_gfns(domid, &gfns);

    if (rc < 0)
        return refused(command, rc, domain, op);
    bits = calloc(gfns / 64 + 1, sizeof *bits);
    if (!bits)
        return cli_refuse(command, -XEN_ENOMEM, "dom0 is out of memory");
    s.pages = gfns;
    set_xen_guest_handle(s.dirty_bitmap, (uint8_t *)bits);
    rc = domctl_shadow(domid, &s);
    if (rc < 0) {
        refused(command, rc, domain, op);
    } else {
        uint64_t n = count(bits, s.pages);
        printf("%llu frame%s written, %u page fault%s for it\n", (unsigned long long)n,
               n == 1 ? "" : "s", s.stats.fault_count, s.stats.fault_count == 1 ? "" : "s");
        print_ranges(bits, s.pages);
    }
    free(bits);
    return rc;
}

int cmd_log_dirty(int argc, char **argv)
{
    struct xen_domctl_shadow_op s = {0};
    domid_t domid;
    int rc;

    if (argc != 3 || argv[1][0] == '-')
        return cli_usage(argv[0]);
    rc = cli_domain(argv[0], argv[1], &domid);
    if (rc < 0)
        return rc;
    if (domid == 0)
        return cli_refuse(argv[0], -XEN_EINVAL, "Domain-0 cannot log its own memory");
    if (!strcmp(argv[2], "show"))
        return show(argv[0], argv[1], domid, XEN_DOMCTL_SHADOW_OP_PEEK);
    if (!strcmp(argv[2], "clean"))
        return show(argv[0], argv[1], domid, XEN_DOMCTL_SHADOW_OP_CLEAN);
    if (!strcmp(argv[2], "on"))
        s.op = XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY;
    else if (!strcmp(argv[2], "off"))
        s.op = XEN_DOMCTL_SHADOW_OP_OFF;
    else
        return cli_usage(argv[0]);
    rc = domctl_shadow(domid, &s);
    return rc < 0 ? refused(argv[0], rc, argv[1], s.op) : 0;
}
