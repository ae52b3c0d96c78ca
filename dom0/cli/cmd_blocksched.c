/* SPDX-License-Identifier: MIT */
/* Shares of the real disk. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <xen/domctl.h>
#include <xen/errno.h>

#include "dom0/blk/blkshare.h"
#include "dom0/blk/ioshare.h"
#include "dom0/builder/domain.h"
#include "dom0/cli/options.h"
#include "dom0/cli/size.h"

struct request {
    const char *command;
    const char *domain, *weight, *iops, *bps;
};

/* A cap as it is shown: "-" for none. */
static const char *cap_text(uint64_t cap, char *buf, size_t size)
{
    snprintf(buf, size, cap ? "%llu" : "-", (unsigned long long)cap);
    return buf;
}

static void print_head(void)
{
    printf("Name                                ID Weight       IOPS    Bytes/s   Requests"
           "          Bytes\n");
}

/* One row, if the domain has virtual disks. */
static void print_share(void *ctx, const struct xen_domctl_getdomaininfo *info)
{
    char name[XLCFG_NAME_MAX], iops[24], bps[24];
    struct blkshare s;

    (void)ctx;
    if (blkshare_state(info->domain, &s) < 0)
        return;
    printf("%-33s %4u %6u %10s %10s %10llu %14llu\n", domain_name(info->domain, name, sizeof name),
           info->domain, s.weight, cap_text(s.iops, iops, sizeof iops),
           cap_text(s.bps, bps, sizeof bps), (unsigned long long)s.requests,
           (unsigned long long)s.bytes);
}

static int parse(const struct request *r, struct blkshare *change)
{
    uint64_t number;

    *change = (struct blkshare){0};
    if (r->weight) {
        if (!options_number(r->weight, IOSHARE_WEIGHT_MAX, &number) || !number)
            return cli_refuse(
                r->command, -XEN_EINVAL,
                "bad weight '%.20s': write a number from 1 to %u, %u is the usual one", r->weight,
                IOSHARE_WEIGHT_MAX, IOSHARE_WEIGHT);
        change->weight = (unsigned)number;
    }
    if (r->iops) {
        if (!options_number(r->iops, UINT32_MAX, &number))
            return cli_refuse(r->command, -XEN_EINVAL,
                              "bad cap '%.20s': write requests a second, or 0 for none", r->iops);
        change->iops = number ? number : BLKSHARE_NO_CAP;
    }
    if (r->bps) {
        number = 0;
        if (strcmp(r->bps, "0") != 0 && size_parse(r->bps, &number) < 0)
            return cli_refuse(r->command, -XEN_EINVAL,
                              "bad cap '%.20s': write bytes a second, like 512K or 10M, or 0 for "
                              "none",
                              r->bps);
        change->bps = number ? number : BLKSHARE_NO_CAP;
    }
    return 0;
}

static int one_domain(const struct request *r)
{
    struct xen_domctl_getdomaininfo info = {0};
    struct blkshare change;
    domid_t domid;
    int rc = cli_domain(r->command, r->domain, &domid);

    if (rc == 0)
        rc = parse(r, &change);
    if (rc < 0)
        return rc;
    rc = blkshare_set(domid, &change);
    if (rc < 0)
        return cli_refuse(r->command, rc, "%s has no virtual disk", r->domain);
    if (!r->weight && !r->iops && !r->bps) {
        info.domain = domid;
        print_head();
        print_share(NULL, &info);
    }
    return 0;
}

int cmd_block_sched(int argc, char **argv)
{
    struct request r = {.command = argv[0]};
    const struct option options[] = {{'d', "domain", NULL, &r.domain},
                                     {'w', "weight", NULL, &r.weight},
                                     {'i', "iops", NULL, &r.iops},
                                     {'b', "bps", NULL, &r.bps},
                                     OPTIONS_END};
    char why[CLI_WHY_MAX];
    int rc = options_take(argc, argv, options, why, sizeof why);

    if (rc < 0)
        return cli_refuse(argv[0], rc, "%s: `help %s` shows them", why, argv[0]);
    if (rc > 1)
        return cli_usage(argv[0]);
    if (r.domain)
        return one_domain(&r);
    if (r.weight || r.iops || r.bps)
        return cli_refuse(argv[0], -XEN_EINVAL, "whose share? name it with -d DOMAIN");
    print_head();
    return cli_each_domain(argv[0], print_share, NULL);
}
