/* SPDX-License-Identifier: MIT */
/* Commands that change how much memory a domain has. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <xen/errno.h>

#include <rt/clock.h>

#include "dom0/builder/domain.h"
#include "dom0/builder/memory.h"
#include "dom0/cli/size.h"
#include "dom0/cli/term.h"

#define POLL_NS     50000000ull
#define PATIENCE_NS 2000000000ull /* without a change, before the prompt comes back */

/* NAME SIZE: which domain, how many KiB. */
static int arguments(int argc, char **argv, domid_t *domid, uint64_t *kib)
{
    if (argc != 3)
        return cli_usage(argv[0]);
    if (size_parse_memory(argv[2], kib) < 0)
        return cli_refuse(argv[0], -XEN_EINVAL,
                          "bad size '%.40s': write MiB, or a number with K, M or G behind it, "
                          "like 64M",
                          argv[2]);
    return cli_domain(argv[0], argv[1], domid);
}

static int change(const char *command, domid_t domid, uint64_t kib,
                  int (*set)(domid_t, uint64_t, struct cfg_error *))
{
    struct cfg_error *err = calloc(1, sizeof *err);
    int rc;

    if (!err)
        return cli_refuse(command, -XEN_ENOMEM, "dom0 is out of memory");
    rc = set(domid, kib, err);
    if (rc < 0)
        cli_refuse(command, rc, "%s", err->text);
    free(err);
    return rc;
}

/* While the domain's memory goes where it is to go. Says so if it does not get there. */
static void watch_progress(const char *command, domid_t domid)
{
    uint64_t has, target, first, last;
    uint64_t since = clock_ns();
    char name[XLCFG_NAME_MAX];

    if (memory_now(domid, &has, &target) < 0)
        return;
    first = last = has;
    while (has != target && clock_ns() - since < PATIENCE_NS && !term_sleep(POLL_NS)) {
        if (memory_now(domid, &has, &target) < 0)
            return;
        if (has != last)
            since = clock_ns();
        last = has;
    }
    if (has == target)
        return;
    printf("%s: %s ", command, domain_name(domid, name, sizeof name));
    if (has == first)
        printf("has not answered yet: ");
    else
        printf("is not there yet: ");
    printf("it has %llu KiB, its target is %llu KiB (%s)\n", (unsigned long long)has,
           (unsigned long long)target,
           has == first ? "without a balloon driver it never answers" : "it goes on by itself");
}

int cmd_mem_set(int argc, char **argv)
{
    domid_t domid;
    uint64_t kib;
    int rc = arguments(argc, argv, &domid, &kib);

    if (rc == 0)
        rc = change(argv[0], domid, kib, memory_set_target);
    if (rc == 0)
        watch_progress(argv[0], domid);
    return rc;
}

int cmd_mem_max(int argc, char **argv)
{
    domid_t domid;
    uint64_t kib;
    int rc = arguments(argc, argv, &domid, &kib);

    return rc == 0 ? change(argv[0], domid, kib, memory_set_max) : rc;
}
