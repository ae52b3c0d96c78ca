/* SPDX-License-Identifier: MIT */
/*
 * What Tab proposes: commands, and by command the names of domains, files, configurations or
 * other words. Pure: the names come from callbacks, so that it is tested on the host.
 */
#ifndef DOM0_CLI_COMPLETE_H
#define DOM0_CLI_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

#include "dom0/cli/lineedit.h"

/* What a command's arguments are. */
enum complete_kind {
    COMPLETE_NONE,
    COMPLETE_DOMAIN,
    COMPLETE_FILE,
    COMPLETE_CONFIG, /* a configuration's short name, or a path */
    COMPLETE_COMMAND,
    COMPLETE_SHARE,       /* a domain; behind -p a pool */
    COMPLETE_POOL,        /* a pool of CPUs */
    COMPLETE_DOMAIN_POOL, /* a domain, then a pool */
};

typedef void (*complete_fn)(void *arg, const char *name, bool directory);

/* Where names come from. Each calls fn(arg, ...) for every name there is. */
struct complete_source {
    void (*commands)(complete_fn fn, void *arg);
    enum complete_kind (*kind)(const char *command); /* by its full name or a prefix */
    void (*domains)(complete_fn fn, void *arg);
    void (*pools)(complete_fn fn, void *arg);
    void (*files)(const char *directory, complete_fn fn, void *arg);
    const char *config_directory; /* where NAME.cfg makes the configuration NAME */
};

/* Propose words for line[..cursor]; the callback of lineedit_ops. */
void complete_line(const struct complete_source *source, const char *line, size_t cursor,
                   struct lineedit_matches *matches);

#endif
