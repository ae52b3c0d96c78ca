/* SPDX-License-Identifier: MIT */
/* How many of its vCPUs a domain uses. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <xen/errno.h>

#include <rt/clock.h>

#include "dom0/builder/domain.h"
#include "dom0/builder/domctl.h"
#include "dom0/builder/nodes.h"
#include "dom0/cli/term.h"
#include "dom0/fs/vfs.h"

#define POLL_NS     50000000ull
#define PATIENCE_NS 4000000000ull /* without a change, before the prompt comes back */

/* Decimal, up to what a domain can have; 0 for anything else. */
static unsigned parse_count(const char *word)
{
    unsigned n = 0;

    for (; *word >= '0' && *word <= '9' && n <= XLCFG_VCPUS_MAX; word++)
        n = n * 10 + (unsigned)(*word - '0');
    return *word ? 0 : n;
}

static int check_count(const char *command, const char *name, unsigned count, unsigned max)
{
    if (!count)
        return cli_refuse(command, -XEN_EINVAL,
                          "a number of vCPUs from 1 to %u is wanted: as many as %s has", max, name);
    if (count > max)
        return cli_refuse(command, -XEN_EINVAL,
                          "%s has %u vCPU(s), %u are wanted: create it with maxvcpus=%u", name, max,
                          count, count);
    return 0;
}

static int online_now(domid_t domid, unsigned *online)
{
    struct xen_domctl_getdomaininfo info;
    int rc = domctl_info(domid, &info);

    *online = rc == 0 ? info.nr_online_vcpus : 0;
    return rc;
}

/* While the domain takes vCPUs up or down. Says so if it does not get there. */
static void watch_progress(const char *command, domid_t domid, unsigned wanted)
{
    uint64_t since = clock_ns();
    unsigned online, last;
    char name[XLCFG_NAME_MAX];

    if (online_now(domid, &last) < 0)
        return;
    for (online = last; online != wanted && clock_ns() - since < PATIENCE_NS; last = online) {
        if (term_sleep(POLL_NS) || online_now(domid, &online) < 0)
            return;
        if (online != last)
            since = clock_ns();
    }
    if (online == wanted)
        return;
    printf("%s: %s has %u vCPU(s) up, %u are wanted (%s)\n", command,
           domain_name(domid, name, sizeof name), online, wanted,
           online > wanted ? "a kernel that cannot plug CPUs never answers"
                           : "Linux leaves it to its udev rules to bring a new one up");
}

static int set_vcpus(const char *command, domid_t domid, const char *word)
{
    struct xlcfg *cfg = malloc(sizeof *cfg);
    unsigned count = parse_count(word);
    int rc = cfg ? domain_config(domid, cfg) : -XEN_ENOMEM;

    if (rc < 0) {
        free(cfg);
        return domid == 0 ? cli_refuse(command, -XEN_EINVAL,
                                       "Domain-0 is this control domain: it has one vCPU")
                          : cli_refuse(command, rc, "domain %u: %s", domid, vfs_strerror(rc));
    }
    rc = check_count(command, cfg->name, count, cfg->maxvcpus);
    if (rc == 0) {
        rc = nodes_set_vcpus(domid, count, cfg->maxvcpus);
        if (rc < 0)
            cli_refuse(command, rc, "%s: telling it failed: %s", cfg->name, vfs_strerror(rc));
    }
    free(cfg);
    if (rc == 0)
        watch_progress(command, domid, count);
    return rc;
}

int cmd_vcpu_set(int argc, char **argv)
{
    domid_t domid;
    int rc;

    if (argc != 3)
        return cli_usage(argv[0]);
    rc = cli_domain(argv[0], argv[1], &domid);
    return rc == 0 ? set_vcpus(argv[0], domid, argv[2]) : rc;
}
