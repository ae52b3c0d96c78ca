/* SPDX-License-Identifier: MIT */
/* Commands that make, end and change domains. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include <rt/clock.h>

#include "dom0/builder/domain.h"
#include "dom0/builder/domctl.h"
#include "dom0/cli/term.h"
#include "dom0/fs/vfs.h"

#define CONFIG_MAX (256u << 10) /* bytes of a configuration file */
#define PATH_BYTES 300
#define POLL_NS    100000000ull

/* The path of a configuration: as given, or NAME.cfg in the usual place. */
static int find_config(const char *word, char path[PATH_BYTES])
{
    struct vfs_stat st;
    size_t len = strlen(word);

    if (strchr(word, '/')) {
        snprintf(path, PATH_BYTES, "%s%s", word[0] == '/' ? "" : "/", word);
        return vfs_stat(path, &st);
    }
    snprintf(path, PATH_BYTES, CLI_CONFIG "/%.200s", word);
    if (len > 4 && !strcmp(word + len - 4, ".cfg") && vfs_stat(path, &st) == 0)
        return 0;
    snprintf(path, PATH_BYTES, CLI_CONFIG "/%.200s.cfg", word);
    return vfs_stat(path, &st);
}

/* Read, override and check. `words` are the key=value ones. */
static int read_config(const char *command, const char *file, char **words, struct xlcfg *cfg,
                       struct cfg_error *err)
{
    char path[PATH_BYTES];
    void *text;
    size_t len;
    int rc;

    if (cli_disk_problem()[0])
        return cli_refuse(command, -XEN_ENODEV, "there are no files: %s", cli_disk_problem());
    rc = find_config(file, path);
    if (rc < 0)
        return cli_refuse(
            command, rc, "%s: %s: give a path, or a name from " CLI_CONFIG " (`ls " CLI_CONFIG "`)",
            path, vfs_strerror(rc));
    rc = vfs_read_all(path, CONFIG_MAX, &text, &len);
    if (rc < 0)
        return cli_refuse(command, rc, "%s: %s", path, vfs_strerror(rc));
    printf("Parsing config from %s\n", path);
    xlcfg_init(cfg);
    rc = xlcfg_parse(cfg, path, text, len, err);
    free(text);
    for (; rc == 0 && *words; words++)
        rc = xlcfg_override(cfg, *words, err);
    if (rc == 0)
        rc = xlcfg_finish(cfg, path, err);
    return rc < 0 ? cli_refuse(command, rc, "%s", err->text) : 0;
}

struct create_args {
    bool console, paused;
    const char *file;
    char **words;
};

/* Options may stand anywhere, as with xl. The words that are none move to the front. */
static int create_args(int argc, char **argv, struct create_args *args)
{
    int words = 1;

    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-')
            argv[words++] = argv[i];
        else if (!strcmp(argv[i], "-c"))
            args->console = true;
        else if (!strcmp(argv[i], "-p"))
            args->paused = true;
        else if (!strcmp(argv[i], "-cp") || !strcmp(argv[i], "-pc"))
            args->console = args->paused = true;
        else {
            cli_refuse(argv[0], -XEN_EINVAL, "unknown option %.40s: known are -c and -p", argv[i]);
            return -XEN_EINVAL;
        }
    }
    if (words == 1) {
        cli_usage(argv[0]);
        return -XEN_EINVAL;
    }
    args->file = argv[1];
    argv[words] = NULL; /* argv[argc] is NULL too, so there is room */
    args->words = argv + 2;
    return 0;
}

int cmd_create(int argc, char **argv)
{
    struct create_args args = {0};
    struct xlcfg *cfg;
    struct cfg_error *err;
    domid_t domid = 0;
    int rc = create_args(argc, argv, &args);

    if (rc < 0)
        return rc;
    cfg = malloc(sizeof *cfg);
    err = calloc(1, sizeof *err);
    if (!cfg || !err) {
        rc = cli_refuse(argv[0], -XEN_ENOMEM, "dom0 is out of memory");
    } else {
        rc = read_config(argv[0], args.file, args.words, cfg, err);
        if (rc == 0) {
            rc = domain_create(cfg, args.paused || args.console, &domid, err);
            if (rc < 0)
                cli_refuse(argv[0], rc, "%s", err->text);
        }
    }
    free(cfg);
    free(err);
    /* The console first, so that nothing that the guest prints is missed. */
    return rc == 0 && args.console ? cli_console(argv[0], domid, !args.paused) : rc;
}

/* Do something to each domain named; goes on after a refusal. `what` is for the refusal. */
static int each_domain(int argc, char **argv, int (*act)(domid_t domid), const char *what)
{
    int result = 0;

    if (argc < 2)
        return cli_usage(argv[0]);
    for (int i = 1; i < argc; i++) {
        domid_t domid;
        int rc = cli_domain(argv[0], argv[i], &domid);

        if (rc == 0 && domid == 0)
            rc = cli_refuse(argv[0], -XEN_EINVAL,
                            "Domain-0 is this control domain: it cannot be %s", what);
        else if (rc == 0) {
            rc = act(domid);
            if (rc < 0)
                cli_refuse(argv[0], rc, "domain %.63s could not be %s: %s (error %d)", argv[i],
                           what, vfs_strerror(rc), -rc);
        }
        result = result ? result : rc;
    }
    return result;
}

int cmd_destroy(int argc, char **argv)
{
    return each_domain(argc, argv, domain_destroy, "destroyed (`poweroff` ends everything)");
}

int cmd_pause(int argc, char **argv)
{
    return each_domain(argc, argv, domctl_pause, "paused");
}

int cmd_unpause(int argc, char **argv)
{
    return each_domain(argc, argv, domctl_unpause, "unpaused");
}

/* --- asking domains to end --- */

static int ask_to(domid_t domid, const char *how)
{
    struct xen_domctl_getdomaininfo info;
    char name[XLCFG_NAME_MAX];
    int rc = domain_shutdown(domid, how);

    if (rc < 0)
        return rc;
    printf("%s domain %u (%s)\n", !strcmp(how, "reboot") ? "Rebooting" : "Shutting down", domid,
           domain_name(domid, name, sizeof name));
    if (domctl_info(domid, &info) == 0 && info.flags & XEN_DOMINF_paused)
        printf("(it is paused: it can only end once it is unpaused)\n");
    return 0;
}

static int ask_poweroff(domid_t domid)
{
    return ask_to(domid, "poweroff");
}

static int ask_reboot(domid_t domid)
{
    return ask_to(domid, "reboot");
}

static int wait_for_ends(const char *command, const domid_t *domids, int count)
{
    for (int i = 0; i < count; i++)
        while (!domain_has_ended(domids[i]))
            if (term_sleep(POLL_NS))
                return cli_refuse(command, -XEN_EAGAIN, "not waiting any longer: domain %u goes on",
                                  domids[i]);
    return 0;
}

#define ASK_MAX 64

static int ask_domains(int argc, char **argv, int (*ask)(domid_t), bool all_allowed)
{
    char *words[ASK_MAX + 2] = {argv[0]}, numbers[ASK_MAX][8];
    domid_t domids[ASK_MAX];
    bool wait = false, all = false;
    int count = 1, found = 0, rc;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-w"))
            wait = true;
        else if (!strcmp(argv[i], "-a") && all_allowed)
            all = true;
        else if (argv[i][0] == '-')
            return cli_usage(argv[0]);
        else if (count <= ASK_MAX)
            words[count++] = argv[i];
    }
    if (all && count > 1)
        return cli_refuse(argv[0], -XEN_EINVAL, "-a means all domains: name none");
    if (all)
        found = (int)domain_list(domids, ASK_MAX);
    for (int i = 0; i < found; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%u", domids[i]);
        words[count++] = numbers[i];
    }
    if (all && !found)
        return 0;
    /* Their numbers now: a name may mean another domain after a restart. */
    for (int i = 1; !all && i < count; i++)
        found += domain_find(words[i], &domids[found]) == 0;
    rc = each_domain(count, words, ask, "shut down (`poweroff` ends everything)");
    return wait && rc == 0 ? wait_for_ends(argv[0], domids, found) : rc;
}

int cmd_shutdown(int argc, char **argv)
{
    return ask_domains(argc, argv, ask_poweroff, true);
}

int cmd_reboot(int argc, char **argv)
{
    return ask_domains(argc, argv, ask_reboot, false);
}
