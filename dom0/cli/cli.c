/* SPDX-License-Identifier: MIT */
/* The loop of the command line, and what all commands share. */
#include "dom0/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include <rt/console.h>

#include "dom0/builder/cpupool.h"
#include "dom0/builder/domain.h"
#include "dom0/builder/sysctl.h"
#include "dom0/cli/lineedit.h"
#include "dom0/cli/term.h"
#include "dom0/cli/words.h"
#include "dom0/fs/vfs.h"

static char disk_problem[256];

void cli_set_disk_problem(const char *problem)
{
    snprintf(disk_problem, sizeof disk_problem, "%s", problem);
}

const char *cli_disk_problem(void)
{
    return disk_problem;
}

int cli_refuse(const char *command, int rc, const char *format, ...)
{
    char text[700];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("%s: ", command);
    /* It may quote what was typed, or read from a disk. */
    term_write_safe(text, strlen(text));
    printf("\n");
    return rc;
}

int cli_domain(const char *command, const char *word, domid_t *domid)
{
    int rc = domain_find(word, domid);

    if (rc < 0)
        return cli_refuse(command, rc, "there is no domain '%.63s': `list` shows all", word);
    return 0;
}

int cli_each_domain(const char *command,
                    void (*row)(void *ctx, const struct xen_domctl_getdomaininfo *info), void *ctx)
{
    int rc = sysctl_each_domain(row, ctx);

    if (rc < 0)
        return cli_refuse(command, rc, "the hypervisor does not tell the domains: %s",
                          vfs_strerror(rc));
    return 0;
}

int cli_pool(const char *command, const char *word, struct cpupool *pool)
{
    int rc = cpupool_find(word, pool);

    if (rc < 0)
        return cli_refuse(command, rc, "there is no pool '%.40s': `cpupool-list` shows all", word);
    return 0;
}

char *cli_seconds(uint64_t ns, int width, char *buf, size_t size)
{
    uint64_t tenths = (ns + 50000000) / 100000000;

    snprintf(buf, size, "%*llu.%llu", width - 2, (unsigned long long)(tenths / 10),
             (unsigned long long)(tenths % 10));
    return buf;
}

/* --- completion's sources --- */

static void name_commands(complete_fn fn, void *arg)
{
    for (size_t i = 0; i < command_count; i++)
        fn(arg, commands[i].name, false);
}

static enum complete_kind kind_of(const char *word)
{
    const struct command *c = command_find(word, true);

    return c ? c->kind : COMPLETE_NONE;
}

static void name_domains(complete_fn fn, void *arg)
{
    fn(arg, "Domain-0", false);
    domain_for_each_name(fn, arg);
}

static void name_pools(complete_fn fn, void *arg)
{
    struct cpupool pool;
    char name[CPUPOOL_NAME_MAX];

    for (uint32_t id = 0; cpupool_next(id, &pool) == 0; id = pool.id + 1)
        fn(arg, cpupool_name(pool.id, name), false);
}

static void name_files(const char *directory, complete_fn fn, void *arg)
{
    struct vfs_dirent *entries;
    char path[300];
    unsigned count;

    /* Paths without a leading slash begin at the root, there being no other place. */
    snprintf(path, sizeof path, "%s%s", directory[0] == '/' ? "" : "/", directory);
    if (disk_problem[0] || vfs_list(path, &entries, &count) < 0)
        return;
    for (unsigned i = 0; i < count; i++)
        fn(arg, entries[i].name, entries[i].stat.type == VFS_DIR);
    free(entries);
}

static void complete(void *ctx, const char *line, size_t cursor, struct lineedit_matches *matches)
{
    static const struct complete_source source = {name_commands, kind_of,    name_domains,
                                                  name_pools,    name_files, CLI_CONFIG};

    (void)ctx;
    complete_line(&source, line, cursor, matches);
}

static void write_terminal(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    console_write(text, len);
}

/* --- the loop --- */

static void run_line(char *line)
{
    char *words[WORDS_MAX + 1];
    const struct command *command;
    const char *why;
    int count = words_split(line, words, &why);

    if (count < 0) {
        printf("%s\n", why);
        return;
    }
    if (!count)
        return;
    command = command_find(words[0], false);
    if (!command)
        return;
    words[0] = (char *)command->name; /* nobody writes to it */
    command->run(count, words);
}

/* What happened meanwhile comes before a prompt, never into a line being typed. */
static void show_notices(void)
{
    char line[DOMAIN_NOTICE_MAX];

    while (domain_next_notice(line, sizeof line)) {
        term_write_safe(line, strlen(line));
        printf("\n");
    }
}

static enum lineedit_result read_line(struct lineedit *le)
{
    enum lineedit_result result = LINEEDIT_MORE;

    show_notices();
    lineedit_start(le);
    while (result == LINEEDIT_MORE) {
        int byte = term_poll();

        if (byte < 0) {
            lineedit_flush(le);
            byte = console_getc();
        }
        if (byte >= 0)
            result = lineedit_feed(le, (unsigned char)byte);
    }
    return result;
}

void cli_run(void)
{
    static const struct lineedit_ops ops = {write_terminal, complete};
    static struct lineedit le;
    static char line[LINEEDIT_MAX];

    lineedit_init(&le, &ops, NULL, CLI_PROMPT);
    for (;;) {
        switch (read_line(&le)) {
        case LINEEDIT_DONE:
            memcpy(line, le.line, le.len + 1);
            run_line(line);
            break;
        case LINEEDIT_TOO_LONG:
            printf("the line is too long and was not run: %d bytes at most\n", LINEEDIT_MAX - 1);
            break;
        default:
            break;
        }
    }
}
