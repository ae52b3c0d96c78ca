/* SPDX-License-Identifier: MIT */
/* The console command: a session on a guest's console, or its log. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

#include <rt/console.h>

#include "dom0/builder/domain.h"
#include "dom0/builder/domctl.h"
#include "dom0/cli/term.h"
#include "dom0/console/console.h"
#include "dom0/fs/vfs.h"

#define LEAVE_KEY 0x1d /* Ctrl-], as in xl */
#define POLL_NS   50000000ull

/* Set by the console service when the guest's console ends. */
struct session {
    bool closed;
    char why[64];
};

/* A guest ends lines for a terminal, with CR and LF, and so does the hypervisor with LF alone. */
static void on_output(void *arg, const char *text, size_t n)
{
    size_t from = 0;

    (void)arg;
    for (size_t i = 0; i + 1 < n; i++)
        if (text[i] == '\r' && text[i + 1] == '\n') {
            console_write(text + from, i - from);
            from = i + 1;
        }
    console_write(text + from, n - from);
}

static void on_closed(void *arg, const char *why)
{
    struct session *s = arg;

    snprintf(s->why, sizeof s->why, "%s", why);
    s->closed = true;
}

/* Pass on what is typed until the key to leave. A guest that reads nothing loses what does not fit.
 */
static void pass_input(const struct session *s, domid_t domid)
{
    while (!s->closed) {
        int byte = term_wait(POLL_NS);
        char c = (char)byte;

        if (byte == LEAVE_KEY)
            return;
        if (byte >= 0)
            console_input(domid, &c, 1);
    }
}

int cli_console(const char *command, domid_t domid, bool start)
{
    struct session s = {0};
    const struct console_sink sink = {on_output, on_closed, &s};
    char name[XLCFG_NAME_MAX];
    int rc;

    domain_name(domid, name, sizeof name);
    if (domid == 0)
        return cli_refuse(command, -XEN_EINVAL, "Domain-0's console is this terminal");
    rc = console_attach(domid, &sink);
    if (rc < 0)
        return cli_refuse(command, rc, "%s has no console to attach to: %s", name,
                          vfs_strerror(rc));
    if (start) {
        rc = domctl_unpause(domid);
        if (rc < 0)
            cli_refuse(command, rc, "%s could not be started: %s", name, vfs_strerror(rc));
    }
    if (rc == 0)
        pass_input(&s, domid);
    if (!s.closed)
        console_detach(domid);
    printf("\n");
    if (s.closed)
        printf("(the console of %s has ended: %s)\n", name, s.why);
    return rc;
}

static void write_log(void *arg, const char *text, size_t n)
{
    bool *stopped = arg;

    *stopped |= term_interrupted();
    if (!*stopped)
        console_write(text, n);
}

static int show_log(const char *command, const char *word)
{
    bool stopped = false;
    int rc = console_log(word, NULL, write_log, &stopped);

    if (rc < 0)
        return cli_refuse(command, rc, "there is no console log of a domain '%.63s'", word);
    return 0;
}

int cmd_console(int argc, char **argv)
{
    domid_t domid;
    int rc;

    if (argc == 3 && !strcmp(argv[1], "--log"))
        return show_log(argv[0], argv[2]);
    if (argc != 2)
        return cli_usage(argv[0]);
    if (argv[1][0] == '-')
        return cli_refuse(argv[0], -XEN_EINVAL, "unknown option %.40s: known is --log", argv[1]);
    rc = cli_domain(argv[0], argv[1], &domid);
    return rc < 0 ? rc : cli_console(argv[0], domid, false);
}
