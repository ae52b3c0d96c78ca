/* SPDX-License-Identifier: MIT */
/* Which physical CPUs a vCPU may run on (hard affinity) and likes to run on (soft). */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/builder/domain.h"
#include "dom0/builder/domctl.h"
#include "dom0/builder/sysctl.h"
#include "dom0/cli/options.h"
#include "dom0/config/cpulist.h"
#include "dom0/fs/vfs.h"

/* What was asked for. */
struct pin {
    const char *command;
    domid_t domid;
    char name[XLCFG_NAME_MAX];
    unsigned first, last; /* vCPUs */
    bool set_hard, set_soft;
    uint64_t hard, soft;
};

/* "-" leaves it as it is. */
static int parse_cpus(const struct pin *p, const char *word, bool *set, uint64_t *mask)
{
    struct cfg_error err = {0};
    struct xen_sysctl_physinfo phys;
    int rc;

    *set = strcmp(word, "-") != 0;
    if (!*set)
        return 0;
    if (cpulist_parse(word, mask, &err) < 0)
        return cli_refuse(p->command, -XEN_EINVAL, "%s", err.text);
    rc = sysctl_physinfo(&phys);
    if (rc < 0)
        return cli_refuse(p->command, rc, "the hypervisor does not answer: %s", vfs_strerror(rc));
    if (phys.max_cpu_id < 63 && !(*mask & ((2ull << phys.max_cpu_id) - 1)))
        return cli_refuse(p->command, -XEN_EINVAL,
                          "this machine has no CPU of \"%.40s\": it has 0 to %u", word,
                          phys.max_cpu_id);
    return 0;
}

static int parse_vcpus(struct pin *p, const char *word)
{
    struct xen_domctl_getdomaininfo info;
    int rc = domctl_info(p->domid, &info);
    uint64_t vcpu;

    if (rc < 0 || info.max_vcpu_id == XEN_INVALID_MAX_VCPU_ID)
        return cli_refuse(p->command, rc < 0 ? rc : -XEN_ENOENT, "%s has no vCPU", p->name);
    p->last = info.max_vcpu_id;
    if (!strcmp(word, "all"))
        return 0;
    if (!options_number(word, info.max_vcpu_id, &vcpu))
        return cli_refuse(p->command, -XEN_EINVAL,
                          "%s has no vCPU '%.20s': write a number from 0 to %u, or all", p->name,
                          word, info.max_vcpu_id);
    p->first = p->last = (unsigned)vcpu;
    return 0;
}

static int pin_vcpu(const struct pin *p, unsigned vcpu)
{
    uint64_t hard = p->hard, soft = p->soft, now_hard;
    int rc =
        domctl_set_affinity(p->domid, vcpu, p->set_hard ? &hard : NULL, p->set_soft ? &soft : NULL);

    if (rc == -XEN_EINVAL)
        return cli_refuse(
            p->command, rc,
            "%s: none of these CPUs is in its pool: `cpupool-list -c` shows which are", p->name);
    if (rc < 0)
        return cli_refuse(p->command, rc, "%s, vCPU %u: %s", p->name, vcpu, vfs_strerror(rc));
    if (domctl_get_affinity(p->domid, vcpu, &now_hard, &soft) == 0 && !(now_hard & soft))
        printf("%s: %s, vCPU %u: its soft affinity has no CPU of its hard one: it counts for "
               "nothing\n",
               p->command, p->name, vcpu);
    return 0;
}

int cmd_vcpu_pin(int argc, char **argv)
{
    struct pin p = {.command = argv[0]};
    int rc;

    if (argc < 4 || argc > 5)
        return cli_usage(argv[0]);
    rc = cli_domain(argv[0], argv[1], &p.domid);
    if (rc < 0)
        return rc;
    domain_name(p.domid, p.name, sizeof p.name);
    rc = parse_vcpus(&p, argv[2]);
    if (rc == 0)
        rc = parse_cpus(&p, argv[3], &p.set_hard, &p.hard);
    if (rc == 0 && argc == 5)
        rc = parse_cpus(&p, argv[4], &p.set_soft, &p.soft);
    if (rc == 0 && !p.set_hard && !p.set_soft)
        rc = cli_refuse(argv[0], -XEN_EINVAL,
                        "nothing to change: write a CPU list for HARD or SOFT, like 0-1 or all");
    for (unsigned vcpu = p.first; rc == 0 && vcpu <= p.last; vcpu++)
        rc = pin_vcpu(&p, vcpu);
    return rc;
}
