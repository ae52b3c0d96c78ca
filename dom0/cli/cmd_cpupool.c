/* SPDX-License-Identifier: MIT */
/* Pools of CPUs: made, changed, shown; domains moved between them. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/builder/cpupool.h"
#include "dom0/builder/domain.h"
#include "dom0/builder/sysctl.h"
#include "dom0/cli/options.h"
#include "dom0/config/cpulist.h"
#include "dom0/fs/vfs.h"

#define ALL_CPUS  UINT64_MAX
#define LIST_TEXT 200 /* 64 numbers with commas */

/* ---- what is there ---- */

/* Every number by itself, as xl writes them. */
static const char *cpu_numbers(uint64_t cpus, char text[LIST_TEXT])
{
    size_t used = 0;

    text[0] = 0;
    for (unsigned cpu = 0; cpu < CPULIST_MAX; cpu++)
        if (cpus >> cpu & 1)
            used += (size_t)snprintf(text + used, LIST_TEXT - used, "%s%u", used ? "," : "", cpu);
    return text;
}

static unsigned cpu_count(uint64_t cpus)
{
    unsigned n = 0;

    for (; cpus; cpus &= cpus - 1)
        n++;
    return n;
}

static void print_pool(const struct cpupool *pool, bool cpus)
{
    char name[CPUPOOL_NAME_MAX], text[LIST_TEXT];
    struct penumbra_scheduler sched;

    printf("%-19s", cpupool_name(pool->id, name));
    if (cpus) {
        printf("%s\n", cpu_numbers(pool->cpus, text));
        return;
    }
    if (cpupool_scheduler(pool->sched_id, &sched) < 0)
        snprintf(sched.name, sizeof sched.name, "?");
    printf("%3u %9s       y       %4u\n", cpu_count(pool->cpus), sched.name, pool->domains);
}

int cmd_cpupool_list(int argc, char **argv)
{
    bool cpus = false;
    const struct option options[] = {{'c', "cpus", &cpus, NULL}, OPTIONS_END};
    struct cpupool pool;
    char why[CLI_WHY_MAX];
    int rc;

    argc = options_take(argc, argv, options, why, sizeof why);
    if (argc < 0)
        return cli_refuse(argv[0], argc, "%s: `help %s` shows them", why, argv[0]);
    if (argc > 2)
        return cli_usage(argv[0]);
    rc = argc == 2 ? cli_pool(argv[0], argv[1], &pool) : 0;
    if (rc < 0)
        return rc;
    printf("%-19s%s\n", "Name", cpus ? "CPU list" : "CPUs   Sched     Active   Domain count");
    if (argc == 2) {
        print_pool(&pool, cpus);
        return 0;
    }
    for (uint32_t id = 0; cpupool_next(id, &pool) == 0; id = pool.id + 1)
        print_pool(&pool, cpus);
    return 0;
}

/* ---- words ---- */

static int check_new_name(const char *command, const char *name)
{
    struct cpupool other;
    char known[CPUPOOL_NAME_MAX];

    if (!cpupool_name_valid(name))
        return cli_refuse(command, -XEN_EINVAL,
                          "'%.40s' cannot be a pool's name: use up to 31 letters, digits and "
                          "_.-+:, not digits alone",
                          name);
    if (cpupool_find(name, &other) == 0)
        return cli_refuse(command, -XEN_EEXIST, "there is a pool %s already: take another name",
                          cpupool_name(other.id, known));
    return 0;
}

static int parse_scheduler(const char *command, const char *word, struct penumbra_scheduler *s)
{
    char known[120] = "";
    size_t used = 0;

    if (cpupool_find_scheduler(word, s) == 0)
        return 0;
    for (uint32_t i = 0; cpupool_scheduler_at(i, s) == 0 && used < sizeof known; i++)
        used +=
            (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", s->name);
    return cli_refuse(command, -XEN_EINVAL, "there is no scheduler '%.20s': known are %s", word,
                      known);
}

static int parse_cpus(const char *command, const char *word, uint64_t *cpus)
{
    struct cfg_error err = {0};

    if (cpulist_parse(word, cpus, &err) < 0)
        return cli_refuse(command, -XEN_EINVAL, "%s", err.text);
    return 0;
}

/* ---- CPUs in and out ---- */

/* The pool that has the CPU, for a message. */
static bool find_owner(unsigned cpu, char name[CPUPOOL_NAME_MAX])
{
    struct cpupool pool;

    for (uint32_t id = 0; cpupool_next(id, &pool) == 0; id = pool.id + 1)
        if (pool.cpus >> cpu & 1) {
            cpupool_name(pool.id, name);
            return true;
        }
    return false;
}

static int refuse_cpu(const char *command, unsigned cpu, int rc)
{
    struct xen_sysctl_physinfo phys;
    char owner[CPUPOOL_NAME_MAX];

    if (find_owner(cpu, owner))
        return cli_refuse(command, rc,
                          "CPU %u is in %s: take it out first, with cpupool-cpu-remove %s %u", cpu,
                          owner, owner, cpu);
    if (sysctl_physinfo(&phys) == 0 && cpu > phys.max_cpu_id)
        return cli_refuse(command, rc, "this machine has no CPU %u: it has 0 to %u", cpu,
                          phys.max_cpu_id);
    return cli_refuse(command, rc, "CPU %u: %s (error %d)", cpu, vfs_strerror(rc), -rc);
}

/* all, or all but some. Nobody names the last two CPUs that there can be by hand. */
static bool is_open(uint64_t cpus)
{
    return cpus >> 62 == 3;
}

/* CPUs that shall join must be free, each of them, before anything is changed; of "all" and what
 * is written with a ^ those are meant that are. */
static int choose_free(const char *command, uint64_t wanted, uint64_t *cpus)
{
    uint64_t ready;
    int rc = cpupool_free_cpus(&ready);

    if (rc < 0)
        return cli_refuse(command, rc, "the hypervisor does not answer: %s", vfs_strerror(rc));
    if (is_open(wanted))
        wanted &= ready;
    if (!wanted)
        return cli_refuse(command, -XEN_ENODEV,
                          "no CPU is free: take one out of its pool, with cpupool-cpu-remove");
    if (wanted & ~ready)
        return refuse_cpu(command, (unsigned)__builtin_ctzll(wanted & ~ready), -XEN_ENODEV);
    *cpus = wanted;
    return 0;
}

static int add_cpus(const char *command, uint32_t pool, uint64_t cpus)
{
    int rc = 0;

    for (unsigned cpu = 0; rc == 0 && cpu < CPULIST_MAX; cpu++)
        if (cpus >> cpu & 1) {
            rc = cpupool_add_cpu(pool, cpu);
            if (rc < 0)
                refuse_cpu(command, cpu, rc);
        }
    return rc;
}

static int remove_cpu(const char *command, const struct cpupool *pool, unsigned cpu)
{
    char name[CPUPOOL_NAME_MAX];
    int rc = cpupool_remove_cpu(pool->id, cpu);

    cpupool_name(pool->id, name);
    if (rc == -XEN_EBUSY && pool->id == 0)
        return cli_refuse(command, rc, "CPU %u is the last of %s, where Domain-0 runs: it stays",
                          cpu, name);
    if (rc == -XEN_EBUSY)
        return cli_refuse(command, rc,
                          "CPU %u is the last of %s, and there are domains in it: move them first, "
                          "with cpupool-migrate",
                          cpu, name);
    if (rc == -XEN_ENODEV || rc == -XEN_EINVAL)
        return cli_refuse(command, rc, "CPU %u is not in %s: `cpupool-list -c` shows which are",
                          cpu, name);
    return rc < 0 ? cli_refuse(command, rc, "CPU %u: %s (error %d)", cpu, vfs_strerror(rc), -rc)
                  : 0;
}

/* The two words that both commands take: a pool, and CPUs. */
static int take_pool_and_cpus(int argc, char **argv, struct cpupool *pool, uint64_t *cpus)
{
    int rc;

    if (argc != 3)
        return cli_usage(argv[0]);
    rc = cli_pool(argv[0], argv[1], pool);
    return rc == 0 ? parse_cpus(argv[0], argv[2], cpus) : rc;
}

int cmd_cpupool_cpu_add(int argc, char **argv)
{
    struct cpupool pool;
    uint64_t cpus;
    int rc = take_pool_and_cpus(argc, argv, &pool, &cpus);

    if (rc == 0)
        rc = choose_free(argv[0], cpus, &cpus);
    return rc == 0 ? add_cpus(argv[0], pool.id, cpus) : rc;
}

int cmd_cpupool_cpu_remove(int argc, char **argv)
{
    struct cpupool pool;
    uint64_t cpus;
    int rc = take_pool_and_cpus(argc, argv, &pool, &cpus);

    if (rc == 0 && is_open(cpus))
        cpus &= pool.cpus;
    for (unsigned cpu = 0; rc == 0 && cpu < CPULIST_MAX; cpu++)
        if (cpus >> cpu & 1)
            rc = remove_cpu(argv[0], &pool, cpu);
    return rc;
}

/* ---- pools ---- */

/* NAME and key=value words, as typed; NULL: not given. */
struct creation {
    const char *name, *cpus, *sched;
};

static int parse_creation(int argc, char **argv, struct creation *c)
{
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "name=", 5))
            c->name = argv[i] + 5;
        else if (!strncmp(argv[i], "cpus=", 5))
            c->cpus = argv[i] + 5;
        else if (!strncmp(argv[i], "sched=", 6))
            c->sched = argv[i] + 6;
        else if (strchr(argv[i], '='))
            return cli_refuse(argv[0], -XEN_EINVAL,
                              "unknown word '%.40s': known are name, cpus, "
                              "sched",
                              argv[i]);
        else if (c->name)
            return cli_usage(argv[0]);
        else
            c->name = argv[i];
    }
    return c->name ? check_new_name(argv[0], c->name) : cli_usage(argv[0]);
}

/* Strings of configuration syntax lose their quotes. */
static char *unquote(char *word)
{
    char *equals = strchr(word, '='), *value = equals ? equals + 1 : word;
    size_t len = strlen(value);

    if (len >= 2 && (*value == '"' || *value == '\'') && value[len - 1] == *value) {
        memmove(value, value + 1, len - 2);
        value[len - 2] = 0;
    }
    return word;
}

int cmd_cpupool_create(int argc, char **argv)
{
    struct creation c = {0};
    struct penumbra_scheduler sched;
    struct cpupool first;
    uint64_t cpus = 0;
    uint32_t id;
    int rc;

    for (int i = 1; i < argc; i++)
        unquote(argv[i]);
    rc = parse_creation(argc, argv, &c);
    if (rc == 0)
        rc = cpupool_info(0, &first); /* without sched= the first pool's */
    if (rc == 0 && c.sched)
        rc = parse_scheduler(argv[0], c.sched, &sched);
    if (rc == 0 && c.cpus)
        rc = parse_cpus(argv[0], c.cpus, &cpus);
    if (rc == 0)
        rc = choose_free(argv[0], c.cpus ? cpus : ALL_CPUS, &cpus);
    if (rc < 0)
        return rc;
    if (!c.cpus)
        cpus &= -cpus; /* as xl: one */
    rc = cpupool_create(c.name, c.sched ? sched.id : first.sched_id, &id);
    if (rc == -XEN_ENOSPC)
        return cli_refuse(argv[0], rc, "there are as many pools as there can be: destroy one");
    if (rc < 0)
        return cli_refuse(argv[0], rc, "%s: %s (error %d)", c.name, vfs_strerror(rc), -rc);
    rc = add_cpus(argv[0], id, cpus);
    if (rc < 0)
        cpupool_destroy(id);
    return rc;
}

/* With its CPUs, which are free then; not if there are domains. */
int cmd_cpupool_destroy(int argc, char **argv)
{
    struct cpupool pool;
    char name[CPUPOOL_NAME_MAX];
    int rc;

    if (argc != 2)
        return cli_usage(argv[0]);
    rc = cli_pool(argv[0], argv[1], &pool);
    if (rc < 0)
        return rc;
    cpupool_name(pool.id, name);
    if (pool.id == 0)
        return cli_refuse(argv[0], -XEN_EBUSY, "%s is Domain-0's: it stays", name);
    if (pool.domains)
        return cli_refuse(argv[0], -XEN_EBUSY,
                          "%u domain%s in %s: move what is there first, with cpupool-migrate",
                          pool.domains, pool.domains == 1 ? " is" : "s are", name);
    for (unsigned cpu = 0; rc == 0 && cpu < CPULIST_MAX; cpu++)
        if (pool.cpus >> cpu & 1)
            rc = remove_cpu(argv[0], &pool, cpu);
    if (rc < 0)
        return rc;
    rc = cpupool_destroy(pool.id);
    return rc < 0 ? cli_refuse(argv[0], rc, "%s: %s (error %d)", name, vfs_strerror(rc), -rc) : 0;
}

int cmd_cpupool_rename(int argc, char **argv)
{
    struct cpupool pool;
    int rc;

    if (argc != 3)
        return cli_usage(argv[0]);
    rc = cli_pool(argv[0], argv[1], &pool);
    if (rc == 0)
        rc = check_new_name(argv[0], argv[2]);
    if (rc < 0)
        return rc;
    rc = cpupool_rename(pool.id, argv[2]);
    return rc < 0 ? cli_refuse(argv[0], rc, "%s: %s", argv[2], vfs_strerror(rc)) : 0;
}

int cmd_cpupool_migrate(int argc, char **argv)
{
    struct cpupool pool;
    char name[CPUPOOL_NAME_MAX];
    domid_t domid;
    int rc;

    if (argc != 3)
        return cli_usage(argv[0]);
    rc = cli_domain(argv[0], argv[1], &domid);
    if (rc == 0)
        rc = cli_pool(argv[0], argv[2], &pool);
    if (rc < 0)
        return rc;
    cpupool_name(pool.id, name);
    if (domid == 0)
        return cli_refuse(argv[0], -XEN_EPERM,
                          "Domain-0 is this control domain: it stays in its pool");
    if (!pool.cpus)
        return cli_refuse(argv[0], -XEN_ENODEV,
                          "%s has no CPU to run on: give it one, with cpupool-cpu-add", name);
    rc = cpupool_move_domain(pool.id, domid);
    return rc < 0 ? cli_refuse(argv[0], rc, "%s to %s: %s (error %d)", argv[1], name,
                               vfs_strerror(rc), -rc)
                  : 0;
}
