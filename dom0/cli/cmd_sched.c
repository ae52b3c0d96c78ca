/* SPDX-License-Identifier: MIT */
/* Shares of CPU time: weights, caps, and what holds for a whole pool. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/builder/cpupool.h"
#include "dom0/builder/domain.h"
#include "dom0/builder/domctl.h"
#include "dom0/builder/sysctl.h"
#include "dom0/cli/options.h"
#include "dom0/fs/vfs.h"

#define WEIGHT_MAX 65535
#define CAP_MAX    (100 * XLCFG_VCPUS_MAX)

/* The words as typed; NULL: not given. */
struct request {
    const char *command;
    const char *domain, *weight, *cap, *pool, *min_run;
    bool parameters; /* -s */
};

/* ---- what is there ---- */

/* A pool with what its scheduler is. */
struct pool {
    struct cpupool cpus;
    struct penumbra_scheduler sched;
};

static int describe(const struct request *r, struct pool *p)
{
    int rc = cpupool_scheduler(p->cpus.sched_id, &p->sched);

    return rc < 0 ? cli_refuse(r->command, rc, "scheduler %u is not known", p->cpus.sched_id) : 0;
}

static void print_pool(const struct pool *p)
{
    char name[CPUPOOL_NAME_MAX];
    uint32_t min_run_us;

    printf("Cpupool %s: sched=%s", cpupool_name(p->cpus.id, name), p->sched.name);
    if (p->sched.quantum_us)
        printf(" quantum=%uus", p->sched.quantum_us);
    if (sysctl_get_ratelimit(p->cpus.id, p->cpus.sched_id, &min_run_us) == 0)
        printf(" ratelimit=%uus", min_run_us);
    if (p->sched.cap_period_us)
        printf(" cap-period=%uus", p->sched.cap_period_us);
    printf("\n");
}

static void print_head(void)
{
    printf("%-33s %4s %6s %4s\n", "Name", "ID", "Weight", "Cap");
}

/* One row, if the domain is in this pool. "-" is what its scheduler does not heed. */
static void print_share(void *ctx, const struct xen_domctl_getdomaininfo *info)
{
    const struct pool *p = ctx;
    char name[XLCFG_NAME_MAX], weight_text[16] = "-", cap_text[16] = "-";
    bool any = p->sched.weights || p->sched.caps;
    unsigned weight, cap;

    if (info->cpupool != p->cpus.id ||
        (any && domctl_get_share(info->domain, p->cpus.sched_id, &weight, &cap) < 0))
        return;
    if (p->sched.weights)
        snprintf(weight_text, sizeof weight_text, "%u", weight);
    if (p->sched.caps)
        snprintf(cap_text, sizeof cap_text, "%u", cap);
    printf("%-33s %4u %6s %4s\n", domain_name(info->domain, name, sizeof name), info->domain,
           weight_text, cap_text);
}

/* Every pool, or the one named by -p. */
static int each_pool(const struct request *r, int (*fn)(const struct request *, struct pool *))
{
    struct pool p = {0};
    uint32_t id = 0;
    int rc;

    if (r->pool) {
        rc = cli_pool(r->command, r->pool, &p.cpus);
        if (rc == 0)
            rc = describe(r, &p);
        return rc < 0 ? rc : fn(r, &p);
    }
    while ((rc = cpupool_next(id, &p.cpus)) == 0) {
        rc = describe(r, &p);
        if (rc == 0)
            rc = fn(r, &p);
        if (rc < 0)
            return rc;
        id = p.cpus.id + 1;
    }
    return rc == -XEN_ENOENT ? 0 : rc;
}

static int list_pool(const struct request *r, struct pool *p)
{
    print_pool(p);
    if (r->parameters)
        return 0;
    print_head();
    return cli_each_domain(r->command, print_share, p);
}

/* ---- changes ---- */

static int set_min_run(const struct request *r, struct pool *p)
{
    char name[CPUPOOL_NAME_MAX];
    uint64_t us;
    int rc;

    if (!options_number(r->min_run, UINT32_MAX, &us))
        return cli_refuse(r->command, -XEN_EINVAL,
                          "bad time '%.20s': write a number of microseconds", r->min_run);
    rc = sysctl_set_ratelimit(p->cpus.id, p->cpus.sched_id, (uint32_t)us);
    if (rc < 0 && p->sched.quantum_us)
        cli_refuse(r->command, rc, "%s: %llu us are more than its quantum: write %u or less",
                   cpupool_name(p->cpus.id, name), (unsigned long long)us, p->sched.quantum_us);
    else if (rc < 0)
        cli_refuse(r->command, rc, "%s: its scheduler, %s, has no such parameter",
                   cpupool_name(p->cpus.id, name), p->sched.name);
    return rc;
}

static int parse_share(const struct request *r, unsigned *weight, unsigned *cap)
{
    uint64_t number;

    if (r->weight) {
        if (!options_number(r->weight, WEIGHT_MAX, &number) || !number)
            return cli_refuse(r->command, -XEN_EINVAL,
                              "bad weight '%.20s': write a number from 1 to %u, 256 is the usual "
                              "one",
                              r->weight, WEIGHT_MAX);
        *weight = (unsigned)number;
    }
    if (r->cap) {
        if (!options_number(r->cap, CAP_MAX, &number))
            return cli_refuse(r->command, -XEN_EINVAL,
                              "bad cap '%.20s': write percent of one CPU, from 1 to %u, or 0 for "
                              "none",
                              r->cap, CAP_MAX);
        *cap = (unsigned)number;
    }
    return 0;
}

/* Of the domain `info`, in the pool p. */
static int set_share(const struct request *r, const struct xen_domctl_getdomaininfo *info,
                     const struct pool *p)
{
    bool no_weight = r->weight && !p->sched.weights;
    char name[XLCFG_NAME_MAX];
    unsigned weight, cap;
    int rc;

    if (no_weight || (r->cap && !p->sched.caps))
        return cli_refuse(r->command, -XEN_EOPNOTSUPP,
                          "%s: the scheduler of its pool, %s, has no %s",
                          domain_name(info->domain, name, sizeof name), p->sched.name,
                          no_weight ? "weights" : "caps");
    rc = domctl_get_share(info->domain, p->cpus.sched_id, &weight, &cap);
    if (rc == 0) {
        rc = parse_share(r, &weight, &cap);
        if (rc < 0)
            return rc;
        rc = domctl_set_share(info->domain, p->cpus.sched_id, weight, cap);
    }
    if (rc < 0)
        return cli_refuse(r->command, rc, "%s: %s", domain_name(info->domain, name, sizeof name),
                          vfs_strerror(rc));
    return 0;
}

static int one_domain(const struct request *r)
{
    struct xen_domctl_getdomaininfo info;
    struct pool p = {0};
    domid_t domid;
    int rc = cli_domain(r->command, r->domain, &domid);

    if (rc < 0)
        return rc;
    rc = domctl_info(domid, &info);
    if (rc == 0)
        rc = cpupool_info(info.cpupool, &p.cpus);
    if (rc < 0)
        return cli_refuse(r->command, rc, "%s: %s", r->domain, vfs_strerror(rc));
    rc = describe(r, &p);
    if (rc < 0)
        return rc;
    if (r->weight || r->cap)
        return set_share(r, &info, &p);
    print_head();
    print_share(&p, &info);
    return 0;
}

/* ---- the command ---- */

static int check(const struct request *r, int argc)
{
    if (argc > 1)
        return cli_usage(r->command);
    if ((r->weight || r->cap) && !r->domain)
        return cli_refuse(r->command, -XEN_EINVAL, "whose weight or cap? name it with -d DOMAIN");
    if (r->domain && (r->parameters || r->pool || r->min_run))
        return cli_refuse(r->command, -XEN_EINVAL,
                          "-d is about one domain; -s, -r and -p are about a pool: leave one out");
    if (r->min_run && !r->parameters)
        return cli_refuse(r->command, -XEN_EINVAL, "-r sets a parameter of the pool: add -s");
    return 0;
}

int cmd_sched_wfq(int argc, char **argv)
{
    struct request r = {.command = argv[0]};
    const struct option options[] = {{'d', "domain", NULL, &r.domain},
                                     {'w', "weight", NULL, &r.weight},
                                     {'c', "cap", NULL, &r.cap},
                                     {'s', "schedparam", &r.parameters, NULL},
                                     {'p', "cpupool", NULL, &r.pool},
                                     {'r', "ratelimit_us", NULL, &r.min_run},
                                     OPTIONS_END};
    char why[CLI_WHY_MAX];
    int rc = options_take(argc, argv, options, why, sizeof why);

    if (rc < 0)
        return cli_refuse(argv[0], rc, "%s: `help %s` shows them", why, argv[0]);
    rc = check(&r, rc);
    if (rc < 0)
        return rc;
    if (r.domain)
        return one_domain(&r);
    return each_pool(&r, r.min_run ? set_min_run : list_pool);
}

/* For hands and scripts that know xl: the scheduler's name is in the command's there. */
int cmd_sched_credit(int argc, char **argv)
{
    printf("(%s: here it is sched-wfq, with the same options)\n", argv[0]);
    return cmd_sched_wfq(argc, argv);
}
