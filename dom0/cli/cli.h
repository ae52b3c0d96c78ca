/* SPDX-License-Identifier: MIT */
/*
 * dom0's command line on the serial terminal, with xl's commands and columns. main.c starts it;
 * the other declarations are for the command files of this folder.
 */
#ifndef DOM0_CLI_CLI_H
#define DOM0_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>

#include "dom0/cli/complete.h"

#define CLI_PROMPT "dom0> "
#define CLI_CONFIG "/etc/xen" /* where NAME.cfg is the configuration NAME */
#define CLI_DISKS  "/disks"

/* Reads and runs commands for ever. */
void cli_run(void);

/* Why there are no files, as one line; empty if there are. Set by main.c, copied. */
void cli_set_disk_problem(const char *problem);
const char *cli_disk_problem(void);

/* One command. `run` gets argv[0], the full name, and argc - 1 further words. It prints what is
 * wrong itself; its result (0 or a negative errno) is the command's. */
struct command {
    const char *name;
    const char *usage; /* arguments */
    const char *brief; /* one line */
    const char *text;  /* more lines for `help COMMAND`, or NULL */
    int (*run)(int argc, char **argv);
    enum complete_kind kind;
};

extern const struct command commands[];
extern const size_t command_count;

/* The command of that name, or of the only name that begins so. NULL, with the reason printed
 * unless `quiet`. */
const struct command *command_find(const char *word, bool quiet);

/* A refusal, as one line: "COMMAND: ...". Returns rc, so that it can be returned. */
int cli_refuse(const char *command, int rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Refuse words beyond the first `wanted` arguments, or fewer than that; prints the usage. */
int cli_usage(const char *command);

/* The domain named by a word, refusing if there is none. */
int cli_domain(const char *command, const char *word, domid_t *domid);

/* Calls row(ctx, info) for each domain, refusing if the hypervisor does not tell them. */
struct xen_domctl_getdomaininfo;
int cli_each_domain(const char *command,
                    void (*row)(void *ctx, const struct xen_domctl_getdomaininfo *info), void *ctx);

/* The pool of CPUs named by a word, refusing if there is none. */
struct cpupool;
int cli_pool(const char *command, const char *word, struct cpupool *pool);

/* Room for the reason why options were refused (options.h). */
#define CLI_WHY_MAX 80

/* Absolute form of a path: there is no current directory but the root. Refuses one that is too
 * long, and any if there is no disk. */
#define CLI_PATH_MAX 512
int cli_path(const char *command, const char *word, char path[CLI_PATH_MAX]);

/* The same for a file that may be named alone: then it is one of the virtual disks. */
int cli_disk_file(const char *command, const char *word, char path[CLI_PATH_MAX]);

/* The refusal for what a file operation returned. */
int cli_refuse_file(const char *command, const char *path, int rc);

/* Seconds with one decimal, as xl's %.1f, right-aligned to `width`. Returns buf. */
char *cli_seconds(uint64_t ns, int width, char *buf, size_t size);

/* Show a domain's console until Ctrl-] or its end; `start`: unpause it once attached. */
int cli_console(const char *command, domid_t domid, bool start);

/* The commands, by file. */
int cmd_create(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_console(int argc, char **argv);
int cmd_destroy(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_unpause(int argc, char **argv);
int cmd_shutdown(int argc, char **argv);
int cmd_reboot(int argc, char **argv);
int cmd_mem_set(int argc, char **argv);
int cmd_mem_max(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_vcpu_list(int argc, char **argv);
int cmd_vcpu_set(int argc, char **argv);
int cmd_vcpu_pin(int argc, char **argv);
int cmd_sched_wfq(int argc, char **argv);
int cmd_sched_credit(int argc, char **argv);
int cmd_block_list(int argc, char **argv);
int cmd_block_sched(int argc, char **argv);
int cmd_trace_io(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_block_attach(int argc, char **argv);
int cmd_block_detach(int argc, char **argv);
int cmd_cd_insert(int argc, char **argv);
int cmd_cd_eject(int argc, char **argv);
int cmd_cpupool_list(int argc, char **argv);
int cmd_cpupool_create(int argc, char **argv);
int cmd_cpupool_destroy(int argc, char **argv);
int cmd_cpupool_rename(int argc, char **argv);
int cmd_cpupool_cpu_add(int argc, char **argv);
int cmd_cpupool_cpu_remove(int argc, char **argv);
int cmd_cpupool_migrate(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_dmesg(int argc, char **argv);
int cmd_counters(int argc, char **argv);
int cmd_pt(int argc, char **argv);
int cmd_pt_mode(int argc, char **argv);
int cmd_log_dirty(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_cat(int argc, char **argv);
int cmd_df(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_disk_check(int argc, char **argv);
int cmd_disk_commit(int argc, char **argv);
int cmd_disk_convert(int argc, char **argv);
int cmd_disk_create(int argc, char **argv);
int cmd_disk_flatten(int argc, char **argv);
int cmd_disk_info(int argc, char **argv);
int cmd_disk_resize(int argc, char **argv);
int cmd_disk_snapshot(int argc, char **argv);
int cmd_poweroff(int argc, char **argv);
int cmd_help(int argc, char **argv);

#endif
