/* SPDX-License-Identifier: MIT */
/* Tables of domains and vCPUs. Headers and rows are xl's, to the blank: scripts read them.
 */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <xen/sched.h>

#include "dom0/builder/domain.h"
#include "dom0/builder/domctl.h"
#include "dom0/builder/sysctl.h"
#include "dom0/config/cpulist.h"

/* A table of domains: prints the row or rows of one. */
typedef void (*row_fn)(void *ctx, const struct xen_domctl_getdomaininfo *info);

static int rows(int argc, char **argv, row_fn row)
{
    int result = 0;

    if (argc == 1)
        return cli_each_domain(argv[0], row, NULL);
    for (int i = 1; i < argc; i++) {
        struct xen_domctl_getdomaininfo info;
        domid_t domid;
        int rc = cli_domain(argv[0], argv[i], &domid);

        if (rc == 0)
            rc = domctl_info(domid, &info);
        if (rc == 0)
            row(NULL, &info);
        result = result ? result : rc;
    }
    return result;
}

/* The first domain named must be there before a header is printed. */
static int check_names(int argc, char **argv)
{
    domid_t domid;

    if (argc > 1 && argv[1][0] == '-')
        return cli_usage(argv[0]);
    return argc > 1 ? cli_domain(argv[0], argv[1], &domid) : 0;
}

static void list_row(void *ctx, const struct xen_domctl_getdomaininfo *info)
{
    unsigned reason = info->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
    bool ended = info->flags & XEN_DOMINF_shutdown;
    char name[XLCFG_NAME_MAX], time[24];

    (void)ctx;
    printf(
        "%-40s %5d %5lu %5u     %c%c%c%c%c%c  %s\n", domain_name(info->domain, name, sizeof name),
        info->domain, (unsigned long)(info->tot_pages >> 8), info->nr_online_vcpus,
        info->flags & XEN_DOMINF_running ? 'r' : '-', info->flags & XEN_DOMINF_blocked ? 'b' : '-',
        info->flags & XEN_DOMINF_paused ? 'p' : '-', ended ? 's' : '-',
        ended && reason == SHUTDOWN_crash ? 'c' : '-', info->flags & XEN_DOMINF_dying ? 'd' : '-',
        cli_seconds(info->cpu_time, 8, time, sizeof time));
}

int cmd_list(int argc, char **argv)
{
    int rc = check_names(argc, argv);

    if (rc < 0)
        return rc;
    printf("Name                                        ID   Mem VCPUs\tState\tTime(s)\n");
    return rows(argc, argv, list_row);
}

static void vcpu_row(const struct xen_domctl_getdomaininfo *info, unsigned vcpu, unsigned cpus)
{
    struct xen_domctl_getvcpuinfo v;
    uint64_t hard, soft;
    char name[XLCFG_NAME_MAX], time[24], hard_text[96], soft_text[96];

    if (domctl_vcpu_info(info->domain, vcpu, &v) < 0 ||
        domctl_get_affinity(info->domain, vcpu, &hard, &soft) < 0)
        return;
    printf("%-32s %5u %5u", domain_name(info->domain, name, sizeof name), info->domain, vcpu);
    if (v.online)
        printf("%5u %3c%c- ", v.cpu, v.running ? 'r' : '-', v.blocked ? 'b' : '-');
    else
        printf("%5c %3c%cp ", '-', '-', '-');
    printf("%s  %s / %s\n", cli_seconds(v.cpu_time, 9, time, sizeof time),
           cpulist_format(hard, cpus, hard_text, sizeof hard_text),
           cpulist_format(soft, cpus, soft_text, sizeof soft_text));
}

static void vcpu_rows(void *ctx, const struct xen_domctl_getdomaininfo *info)
{
    struct xen_sysctl_physinfo phys;
    unsigned cpus = sysctl_physinfo(&phys) == 0 ? phys.nr_cpus : CPULIST_MAX;

    (void)ctx;
    if (info->max_vcpu_id == XEN_INVALID_MAX_VCPU_ID)
        return;
    for (unsigned vcpu = 0; vcpu <= info->max_vcpu_id; vcpu++)
        vcpu_row(info, vcpu, cpus);
}

int cmd_vcpu_list(int argc, char **argv)
{
    int rc = check_names(argc, argv);

    if (rc < 0)
        return rc;
    printf("%-32s %5s %5s %5s %5s %9s %s\n", "Name", "ID", "VCPU", "CPU", "State", "Time(s)",
           "Affinity (Hard / Soft)");
    return rows(argc, argv, vcpu_rows);
}
