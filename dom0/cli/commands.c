/* SPDX-License-Identifier: MIT */
/* The table of commands, and help from it. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/config/nearest.h"

const struct command commands[] = {
    {"block-attach", "DOMAIN DISK...", "give a running domain one more virtual disk",
     "  DISK is as in a configuration: /disks/data.img,raw,xvdb,w or vdev=xvdb target=data.img\n",
     cmd_block_attach, COMPLETE_DOMAIN},
    {"block-detach", "[-f] DOMAIN VDEV", "take a virtual disk away from a running domain",
     "  VDEV is the guest's name for it (xvdb), or its number in `block-list`.\n"
     "  -f  at once, without asking the guest\n",
     cmd_block_detach, COMPLETE_DOMAIN},
    {"block-list", "DOMAIN...", "show the virtual disks of domains", NULL, cmd_block_list,
     COMPLETE_DOMAIN},
    {"block-sched", "[-d DOMAIN [-w WEIGHT] [-i IOPS] [-b BYTES]]",
     "show or set shares of the real disk",
     "  -d DOMAIN  of one domain; else of all\n"
     "  -w WEIGHT  its weight against others, 1 to 65535; 256 at first\n"
     "  -i IOPS    the most requests a second that it gets; 0: no limit\n"
     "  -b BYTES   the most bytes a second: 512K, 10M; 0: no limit\n",
     cmd_block_sched, COMPLETE_SHARE},
    {"cat", "FILE...", "show a file's text", NULL, cmd_cat, COMPLETE_FILE},
    {"cd-eject", "DOMAIN VDEV", "take the medium out of a CD-like drive", NULL, cmd_cd_eject,
     COMPLETE_DOMAIN},
    {"cd-insert", "DOMAIN VDEV IMAGE", "put a medium into a CD-like drive",
     "  VDEV is a disk with devtype=cdrom. What was in it comes out.\n", cmd_cd_insert,
     COMPLETE_DOMAIN},
    {"check", "FILE", "explain a kernel: what it is, and whether it can be started", NULL,
     cmd_check, COMPLETE_FILE},
    {"console", "[--log] DOMAIN", "talk to a domain's console; Ctrl-] leaves",
     "  --log  show what the console has printed so far, of a domain that is gone too\n",
     cmd_console, COMPLETE_DOMAIN},
    {"counters", "[DOMAIN [KEY]]", "show what a domain's page tables cost, or all domains'",
     "  With KEY, the value of that line alone.\n", cmd_counters, COMPLETE_DOMAIN},
    {"cpupool-cpu-add", "POOL CPUS", "give free CPUs to a pool",
     "  CPUS is a list like 1,3-4, or all: those that are free.\n", cmd_cpupool_cpu_add,
     COMPLETE_POOL},
    {"cpupool-cpu-remove", "POOL CPUS", "take CPUs out of a pool: they are free then",
     "  CPUS is a list like 1,3-4, or all.\n", cmd_cpupool_cpu_remove, COMPLETE_POOL},
    {"cpupool-create", "NAME [cpus=LIST] [sched=NAME]", "make a pool of free CPUs",
     "  cpus   the CPUs, like cpus=1,3-4 or cpus=all; else one that is free\n"
     "  sched  its scheduler; else that of the first pool\n",
     cmd_cpupool_create, COMPLETE_NONE},
    {"cpupool-destroy", "POOL", "end a pool without domains: its CPUs are free then", NULL,
     cmd_cpupool_destroy, COMPLETE_POOL},
    {"cpupool-list", "[-c] [POOL]", "show the pools of CPUs", "  -c  the numbers of their CPUs\n",
     cmd_cpupool_list, COMPLETE_POOL},
    {"cpupool-migrate", "DOMAIN POOL", "move a domain to another pool", NULL, cmd_cpupool_migrate,
     COMPLETE_DOMAIN_POOL},
    {"cpupool-rename", "POOL NAME", "give a pool another name", NULL, cmd_cpupool_rename,
     COMPLETE_POOL},
    {"create", "[-c] [-p] FILE [key=value...]", "make a domain from a configuration",
     "  FILE is a path, or NAME for " CLI_CONFIG "/NAME.cfg. key=value words override it.\n"
     "  -c  go to its console at once\n"
     "  -p  leave it paused\n",
     cmd_create, COMPLETE_CONFIG},
    {"destroy", "DOMAIN...", "end domains at once, whatever they do", NULL, cmd_destroy,
     COMPLETE_DOMAIN},
    {"df", "", "show the space on dom0's disk", NULL, cmd_df, COMPLETE_NONE},
    {"disk-check", "[-r] IMAGE [--format F]", "check an image of a virtual disk",
     "  -r  repair: free what nothing uses, make counts and copies of tables right\n",
     cmd_disk_check, COMPLETE_FILE},
    {"disk-commit", "NAME", "write what a child holds into its base",
     "  The child is empty afterwards. The base must have no other child.\n", cmd_disk_commit,
     COMPLETE_FILE},
    {"disk-convert", "IMAGE NAME [--format F]", "copy a virtual disk into a new image",
     "  The new one's format is by its name's end; --format is that of IMAGE.\n", cmd_disk_convert,
     COMPLETE_FILE},
    {"disk-create", "NAME [SIZE] [--base IMAGE]", "make a virtual disk " CLI_DISKS "/NAME",
     "  SIZE is in bytes, or has K, M, G or T behind it: 64M. It takes space as it is written to.\n"
     "  The format is by the name's end: .qcow2, .vmdk, others are raw.\n"
     "  -b, --base IMAGE     a child of it: holds what differs from it\n"
     "  -F, --base-format F  the format of IMAGE, if its name does not say it\n"
     "  -f, --format F       the format, again: it must be what the name says\n",
     cmd_disk_create, COMPLETE_FILE},
    {"disk-flatten", "NAME", "copy into a child what it has from its bases",
     "  It stands alone afterwards.\n", cmd_disk_flatten, COMPLETE_FILE},
    {"disk-info", "IMAGE [--format F]", "show an image, its bases and the space that they take",
     NULL, cmd_disk_info, COMPLETE_FILE},
    {"disk-resize", "NAME SIZE", "make a virtual disk larger",
     "  SIZE is what it will have. A guest that uses it is told.\n", cmd_disk_resize,
     COMPLETE_FILE},
    {"disk-snapshot", "NAME SNAPSHOT", "keep a disk as it is now",
     "  SNAPSHOT is what NAME was, and its base from now on; NAME goes on as a child.\n",
     cmd_disk_snapshot, COMPLETE_FILE},
    {"dmesg", "[-c]", "show the hypervisor's log", "  -c  empty it afterwards\n", cmd_dmesg,
     COMPLETE_NONE},
    {"export", "[--raw] FILE [HOSTFILE]", "copy a file to the host's drive",
     "  FILE is a path, or the name of a virtual disk; no guest may be using it.\n"
     "  HOSTFILE is its path there, by itself the same name.\n"
     "  -r, --raw  onto the drive itself, which has no file system\n",
     cmd_export, COMPLETE_FILE},
    {"help", "[COMMAND]", "show the commands, or one in detail", NULL, cmd_help, COMPLETE_COMMAND},
    {"import", "[--raw] [HOSTFILE] [NAME]", "copy a file from the host's drive",
     "  HOSTFILE is a path on that drive. It becomes " CLI_DISKS
     "/NAME, by itself of the same name;\n"
     "  NAME may also be a path.\n"
     "  -r, --raw  the drive itself, which has no file system, as " CLI_DISKS "/NAME\n",
     cmd_import, COMPLETE_FILE},
    {"info", "[KEY]", "show facts on the machine and the hypervisor",
     "  With KEY, the value of that line alone.\n", cmd_info, COMPLETE_NONE},
    {"list", "[DOMAIN...]", "show the domains", NULL, cmd_list, COMPLETE_DOMAIN},
    {"log-dirty", "DOMAIN on|off|show|clean", "tell which frames a domain writes",
     "  on     begin: nothing is written so far\n"
     "  show   the frames written since it is on, or since the last clean\n"
     "  clean  the same, and begin anew\n"
     "  off    end it\n",
     cmd_log_dirty, COMPLETE_DOMAIN},
    {"ls", "[-l] [PATH]", "show a directory", "  -l  with size and space taken\n", cmd_ls,
     COMPLETE_FILE},
    {"mem-max", "DOMAIN SIZE", "change the most memory that a domain may have",
     "  SIZE is in MiB, or has K, M, G or T behind it.\n", cmd_mem_max, COMPLETE_DOMAIN},
    {"mem-set", "DOMAIN SIZE", "make a domain give memory back, or take some",
     "  SIZE is in MiB, or has K, M, G or T behind it. The domain's balloon driver does the "
     "work.\n",
     cmd_mem_set, COMPLETE_DOMAIN},
    {"pause", "DOMAIN...", "stop domains' vCPUs", NULL, cmd_pause, COMPLETE_DOMAIN},
    {"poweroff", "", "end all domains and switch the machine off", NULL, cmd_poweroff,
     COMPLETE_NONE},
    {"pt", "DOMAIN ADDRESS [--vcpu N] [--user]", "follow an address through a domain's page tables",
     "  ADDRESS is hexadecimal.\n"
     "  --vcpu N  in the tables of that vCPU, not of number 0\n"
     "  --user    in those of its user mode, not of its kernel\n",
     cmd_pt, COMPLETE_DOMAIN},
    {"pt-mode", "DOMAIN [emulate|drop|refuse]", "show or set how stores to page tables are caught",
     "  emulate  known instructions are emulated\n"
     "  drop     the table's shadow is dropped and made again when it is used\n"
     "  refuse   as drop; a store through a read-only entry is the guest's own page fault\n",
     cmd_pt_mode, COMPLETE_DOMAIN},
    {"reboot", "[-w] DOMAIN...", "ask domains to restart", "  -w  wait until they have ended\n",
     cmd_reboot, COMPLETE_DOMAIN},
    {"rm", "FILE...", "remove files", NULL, cmd_rm, COMPLETE_FILE},
    {"sched-credit", "[OPTIONS]", "the same as sched-wfq, by xl's name", NULL, cmd_sched_credit,
     COMPLETE_SHARE},
    {"sched-credit2", "[OPTIONS]", "the same as sched-wfq, by xl's name", NULL, cmd_sched_credit,
     COMPLETE_SHARE},
    {"sched-wfq", "[-d DOMAIN [-w WEIGHT] [-c CAP]] [-s [-r US]] [-p POOL]",
     "show or set shares of CPU time",
     "  -d DOMAIN  of one domain; else of all\n"
     "  -w WEIGHT  its weight against others, 1 to 65535; 256 at first\n"
     "  -c CAP     the most that it gets, in percent of one CPU; 0: no limit\n"
     "  -s         the parameters of the pool alone\n"
     "  -r US      with -s: set the smallest time that a vCPU runs, in microseconds\n"
     "  -p POOL    of one pool of CPUs\n",
     cmd_sched_wfq, COMPLETE_SHARE},
    {"shutdown", "[-a] [-w] DOMAIN...", "ask domains to end by themselves",
     "  -a  all of them\n"
     "  -w  wait until they have ended\n",
     cmd_shutdown, COMPLETE_DOMAIN},
    {"top", "[-b] [-i N] [-d SECONDS] [-v] [-x] [-f]", "show what the domains use, live",
     "  -b          as text, for scripts\n"
     "  -i N        end after N looks\n"
     "  -d SECONDS  between two looks; 3 at first\n"
     "  -v          each vCPU's time, too\n"
     "  -x          each disk's requests, too\n"
     "  -f          whole names\n"
     "  Keys: q quits, d changes the delay, s and S the column to sort by, v b f as -v -x -f,\n"
     "  arrows scroll.\n",
     cmd_top, COMPLETE_NONE},
    {"trace", "[start [SIZE]|stop|status|save FILE|show|clear]", "record what the scheduler does",
     "  start [SIZE]  begin anew; SIZE of each pCPU's ring: 64K, 4M (MiB without a letter; 1M)\n"
     "  stop          end it, and keep what was recorded\n"
     "  save FILE     write it to a file, in the form of Xen's xentrace\n"
     "  show [--from MS] [--ms N]\n"
     "                draw N ms of it, from MS ms after its begin; the last 60 by itself\n"
     "  clear         end it, and give the memory back\n",
     cmd_trace, COMPLETE_FILE},
    {"trace-io", "DOMAIN [COUNT]", "show where a domain's block requests go",
     "  COUNT of them, 32 by itself; Ctrl-C ends it.\n", cmd_trace_io, COMPLETE_DOMAIN},
    {"unpause", "DOMAIN...", "let paused domains run", NULL, cmd_unpause, COMPLETE_DOMAIN},
    {"vcpu-list", "[DOMAIN...]", "show the vCPUs of domains", NULL, cmd_vcpu_list, COMPLETE_DOMAIN},
    {"vcpu-pin", "DOMAIN VCPU|all HARD [SOFT]", "say which CPUs a vCPU may use",
     "  HARD and SOFT are lists of CPUs, like 0-1,3 or all or all,^2; - leaves one as it is.\n"
     "  It runs on CPUs of HARD alone, and on those that are in SOFT too if it can.\n",
     cmd_vcpu_pin, COMPLETE_DOMAIN},
    {"vcpu-set", "DOMAIN COUNT", "let a domain use that many of its vCPUs",
     "  At most its maxvcpus. The domain itself takes them up and down; this waits for it.\n",
     cmd_vcpu_set, COMPLETE_DOMAIN},
};

const size_t command_count = sizeof commands / sizeof commands[0];

static void print_ambiguous(const char *word)
{
    const char *separator = "";

    printf("ambiguous command '%.40s': ", word);
    for (size_t i = 0; i < command_count; i++)
        if (!strncmp(commands[i].name, word, strlen(word))) {
            printf("%s%s", separator, commands[i].name);
            separator = ", ";
        }
    printf("\n");
}

const struct command *command_find(const char *word, bool quiet)
{
    const struct command *found = NULL;
    unsigned matches = 0;

    for (size_t i = 0; i < command_count; i++) {
        if (!strcmp(commands[i].name, word))
            return &commands[i];
        if (!strncmp(commands[i].name, word, strlen(word))) {
            found = &commands[i];
            matches++;
        }
    }
    if (matches == 1)
        return found;
    if (!quiet && matches)
        print_ambiguous(word);
    else if (!quiet) {
        const char *near = nearest_word(word, &commands[0].name, command_count, sizeof commands[0]);
        char shown[44];

        /* It may be anything that was pasted. */
        snprintf(shown, sizeof shown, "%.40s", word);
        for (char *s = shown; *s; s++)
            if (*s < ' ' || *s > '~')
                *s = '?';
        /* A word with no letter in common is no slip of the fingers. */
        if (nearest_distance(word, near) < strlen(near))
            printf("unknown command '%s': did you mean '%s'? `help` shows all\n", shown, near);
        else
            printf("unknown command '%s': `help` shows all\n", shown);
    }
    return NULL;
}

int cli_usage(const char *command)
{
    const struct command *c = command_find(command, true);

    printf("usage: %s%s%s\n", command, c && *c->usage ? " " : "", c ? c->usage : "");
    return -XEN_EINVAL;
}

int cmd_help(int argc, char **argv)
{
    const struct command *c;

    if (argc > 2)
        return cli_usage(argv[0]);
    if (argc == 2) {
        c = command_find(argv[1], false);
        if (!c)
            return -XEN_ENOENT;
        printf("usage: %s %s\n  %s\n%s", c->name, c->usage, c->brief, c->text ? c->text : "");
        return 0;
    }
    for (c = commands; c < commands + command_count; c++) {
        char synopsis[64];

        snprintf(synopsis, sizeof synopsis, "%s %s", c->name, c->usage);
        printf("  %-38s %s\n", synopsis, c->brief);
    }
    printf(
        "DOMAIN is a name or a number. Command names may be shortened. Ctrl-C stops a command.\n");
    return 0;
}
