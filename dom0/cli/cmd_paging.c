/* SPDX-License-Identifier: MIT */
/* counters, pt and pt-mode: what the hypervisor's shadow page tables do for a domain. */
#include "dom0/cli/cli.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/builder/domain.h"
#include "dom0/builder/penumbra.h"
#include "dom0/builder/sysctl.h"
#include "dom0/cli/ptwalk.h"
#include "dom0/config/nearest.h"
#include "dom0/fs/vfs.h"

#define DOMAINS_MAX 256 /* added up at most */

/* A refusal of the hypervisor's, in words. */
static int refused(const char *command, int rc, const char *domain)
{
    if (rc == -XEN_ENOSYS)
        return cli_refuse(command, rc, "this hypervisor has no shadow page tables to look into");
    if (rc == -XEN_ESRCH)
        return cli_refuse(command, rc, "domain %.63s is gone or ends just now", domain);
    return cli_refuse(command, rc, "%.63s: the hypervisor refuses: %s (error %d)", domain,
                      vfs_strerror(rc), -rc);
}

/* --- counters --- */

static const struct counter {
    const char *name;
    size_t offset;
    const char *meaning;
} counters[] = {
#define COUNTER(name, meaning)                                   \
    {                                                            \
#name, offsetof(struct penumbra_counters, name), meaning \
    }
    COUNTER(faults_guest, "page faults that are the guest's own"),
    COUNTER(faults_fill, "page faults for an entry that the shadow lacked"),
    COUNTER(faults_store, "page faults by stores to page tables"),
    COUNTER(faults_ad, "A or D set in a guest's entry"),
    COUNTER(stores_mov, "stores emulated: mov"),
    COUNTER(stores_xchg, "stores emulated: xchg"),
    COUNTER(stores_cmpxchg, "stores emulated: cmpxchg"),
    COUNTER(stores_logic, "stores emulated: and, or"),
    COUNTER(stores_bit, "stores emulated: bts, btr, btc"),
    COUNTER(stores_refused, "stores handed to the guest as a page fault"),
    COUNTER(tables_dropped, "shadows dropped to let a store through"),
    COUNTER(updates, "page-table entries written by hypercall"),
    COUNTER(hypercalls, "hypercalls"),
    COUNTER(shadows, "shadow tables now"),
    COUNTER(shadows_made, "shadow tables made"),
    COUNTER(shadows_reclaimed, "shadow tables taken for another use"),
    COUNTER(pool, "shadow tables that there may be"),
    COUNTER(flushes, "TLB flushes done"),
    COUNTER(flushes_avoided, "TLB flushes asked for and not needed"),
#undef COUNTER
};
_Static_assert(sizeof counters / sizeof counters[0] == PENUMBRA_COUNTERS,
               "every counter has a name");

static uint64_t value_of(const struct penumbra_counters *c, const struct counter *counter)
{
    uint64_t value;

    memcpy(&value, (const char *)c + counter->offset, sizeof value);
    return value;
}

/* Adds up those of all domains; one that ends meanwhile is left out. */
static int sum_counters(struct penumbra_counters *sum)
{
    struct xen_domctl_getdomaininfo *infos = calloc(DOMAINS_MAX, sizeof *infos);
    int count = infos ? sysctl_domains(0, infos, DOMAINS_MAX) : -XEN_ENOMEM, rc = 0;
    uint64_t *total = (uint64_t *)sum;

    memset(sum, 0, sizeof *sum);
    for (int i = 0; i < count && (rc == 0 || rc == -XEN_ESRCH); i++) {
        struct penumbra_counters one;

        rc = penumbra_counters(infos[i].domain, &one);
        for (unsigned k = 0; rc == 0 && k < PENUMBRA_COUNTERS; k++)
            total[k] += ((const uint64_t *)&one)[k];
    }
    free(infos);
    return count < 0 ? count : rc == -XEN_ESRCH ? 0 : rc;
}

static int show_counter(const char *command, const struct penumbra_counters *c, const char *key)
{
    for (size_t i = 0; i < PENUMBRA_COUNTERS; i++)
        if (!strcmp(counters[i].name, key)) {
            printf("%llu\n", (unsigned long long)value_of(c, &counters[i]));
            return 0;
        }
    return cli_refuse(command, -XEN_ENOENT, "there is no counter '%.40s': did you mean '%s'?", key,
                      nearest_word(key, &counters[0].name, PENUMBRA_COUNTERS, sizeof counters[0]));
}

int cmd_counters(int argc, char **argv)
{
    struct penumbra_counters c;
    domid_t domid;
    int rc = 0;

    if (argc > 3 || (argc > 1 && argv[1][0] == '-'))
        return cli_usage(argv[0]);
    if (argc > 1)
        rc = cli_domain(argv[0], argv[1], &domid);
    if (rc < 0)
        return rc;
    rc = argc > 1 ? penumbra_counters(domid, &c) : sum_counters(&c);
    if (rc < 0)
        return refused(argv[0], rc, argc > 1 ? argv[1] : "the sum");
    if (argc == 3)
        return show_counter(argv[0], &c, argv[2]);
    for (size_t i = 0; i < PENUMBRA_COUNTERS; i++)
        printf("%-18s %12llu  %s\n", counters[i].name,
               (unsigned long long)value_of(&c, &counters[i]), counters[i].meaning);
    return 0;
}

/* --- pt --- */

struct pt_args {
    const char *domain;
    struct penumbra_walk walk;
};

static int vcpu_number(const char *command, const char *word, uint16_t *vcpu)
{
    char *end;
    unsigned long number = word && *word >= '0' && *word <= '9' ? strtoul(word, &end, 10) : 0;

    if (!word || *word < '0' || *word > '9' || *end || number >= XLCFG_VCPUS_MAX)
        return cli_refuse(command, -XEN_EINVAL, "--vcpu: a number from 0 to %u is wanted",
                          XLCFG_VCPUS_MAX - 1);
    *vcpu = (uint16_t)number;
    return 0;
}

static int pt_args(int argc, char **argv, struct pt_args *args)
{
    const char *address = NULL, *wrong;
    int rc;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--user")) {
            args->walk.user = 1;
        } else if (!strcmp(argv[i], "--vcpu")) {
            rc = vcpu_number(argv[0], argv[++i], &args->walk.vcpu); /* argv[argc] is NULL */
            if (rc < 0)
                return rc;
        } else if (argv[i][0] == '-' || address) {
            return cli_usage(argv[0]);
        } else if (args->domain) {
            address = argv[i];
        } else {
            args->domain = argv[i];
        }
    }
    if (!address)
        return cli_usage(argv[0]);
    wrong = ptwalk_address(address, &args->walk.va);
    return wrong ? cli_refuse(argv[0], -XEN_EINVAL, "%.40s: %s", address, wrong) : 0;
}

static void show_step(const struct penumbra_walk *w, unsigned i)
{
    const struct penumbra_step *step = &w->step[i];
    unsigned level = 4 - i, slot = (unsigned)(w->va >> (12 + 9 * (level - 1)) & 511);
    char guest[PTWALK_TEXT], shadow[PTWALK_TEXT], note[PTWALK_TEXT], table[24] = "-";

    if (step->shadow)
        snprintf(table, sizeof table, "%llx", (unsigned long long)(step->shadow >> 12));
    ptwalk_entry(step->entry, guest);
    ptwalk_entry(step->shadow_entry, shadow);
    ptwalk_note(w, i, note);
    printf("%-5u %4u %10llx  %-24s %10s  ", level, slot, (unsigned long long)step->table.gfn, guest,
           table);
    if (note[0])
        printf("%-20s  %s\n", shadow, note);
    else
        printf("%s\n", shadow);
}

static void show_frame(const struct penumbra_frame *f)
{
    char what[PTWALK_TEXT], machine[24] = "-", mapped[16];

    if (f->type != PENUMBRA_GFN_hole)
        snprintf(machine, sizeof machine, "%llx", (unsigned long long)f->mfn);
    snprintf(mapped, sizeof mapped, "%u%s", f->mappings,
             f->mappings == PENUMBRA_MAPPINGS_MAX ? "+" : "");
    printf("%-10llx %10s %7s %9u  %s\n", (unsigned long long)f->gfn, machine, mapped, f->writable,
           ptwalk_frame(f, what));
}

static void show_walk(const char *name, domid_t domid, const struct penumbra_walk *w)
{
    printf("%s (domain %u), vCPU %u, %s tables, address 0x%016llx\n", name, domid, w->vcpu,
           w->user ? "user" : "kernel", (unsigned long long)w->va);
    printf("%-5s %4s %10s  %-24s %10s  %s\n", "Level", "Slot", "Table", "Guest's entry", "Shadow",
           "Shadow's entry");
    for (unsigned i = 0; i < w->steps && i < 4; i++)
        show_step(w, i);
    printf("%-10s %10s %7s %9s  %s\n", "Frame", "Machine", "Mapped", "Writable", "What it is");
    for (unsigned i = 0; i < w->steps && i < 4; i++)
        show_frame(&w->step[i].table);
    if (w->has_leaf)
        show_frame(&w->leaf);
}

int cmd_pt(int argc, char **argv)
{
    struct pt_args args = {0};
    char name[XLCFG_NAME_MAX];
    domid_t domid;
    int rc = pt_args(argc, argv, &args);

    if (rc == 0)
        rc = cli_domain(argv[0], args.domain, &domid);
    if (rc < 0)
        return rc;
    rc = penumbra_walk(domid, &args.walk);
    if (rc == -XEN_ENOENT)
        return cli_refuse(argv[0], rc, "%.63s has no vCPU %u: `vcpu-list` shows those that it has",
                          args.domain, args.walk.vcpu);
    if (rc < 0)
        return refused(argv[0], rc, args.domain);
    if (!args.walk.steps)
        return cli_refuse(argv[0], -XEN_ENOENT, "vCPU %u of %.63s has no %s page tables",
                          args.walk.vcpu, args.domain, args.walk.user ? "user" : "kernel");
    show_walk(domain_name(domid, name, sizeof name), domid, &args.walk);
    return 0;
}

/* --- pt-mode --- */

static int set_mode(const char *command, const char *domain, domid_t domid, const char *word)
{
    int mode = xlcfg_store_mode(word), rc;

    if (mode < 0)
        return cli_refuse(command, -XEN_EINVAL,
                          "unknown mode '%.40s': known are " XLCFG_STORE_MODES, word);
    rc = penumbra_set_store_mode(domid, (unsigned)mode);
    return rc < 0 ? refused(command, rc, domain) : 0;
}

int cmd_pt_mode(int argc, char **argv)
{
    struct penumbra_store_mode mode;
    domid_t domid;
    int rc;

    if (argc < 2 || argc > 3 || argv[1][0] == '-')
        return cli_usage(argv[0]);
    rc = cli_domain(argv[0], argv[1], &domid);
    if (rc < 0)
        return rc;
    if (argc == 3)
        return set_mode(argv[0], argv[1], domid, argv[2]);
    rc = penumbra_get_store_mode(domid, &mode);
    if (rc < 0)
        return refused(argv[0], rc, argv[1]);
    printf("%s (the guest's assist is %s)\n", xlcfg_store_mode_name(mode.mode),
           mode.assist ? "on" : "off");
    return 0;
}
