/* SPDX-License-Identifier: MIT */
/*
 * shell: a guest with a user mode. The prompt runs in the guest's kernel; programs run in ring 3's
 * user side, each in an address space of its own, call the kernel by `syscall`, and get heap and
 * stack page by page as they touch them. A program that breaks a rule dies alone. The programs are
 * in user/, one file each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rt/clock.h>
#include <rt/hypercall.h>
#include <rt/mm.h>

#include "memory.h"
#include "process.h"
#include "tty.h"

#define LINE_MAX_ 256

static void command_help(const char *args)
{
    (void)args;
    printf("commands: help, ps, kill PID, mem, echo TEXT, exit; programs:");
    for (const struct program *p = program_table; p->name; p++) {
        printf(" %s", p->name);
    }
    printf(
        "\na program takes arguments behind its name; & behind them runs it in the background\n");
}

static void show_process(const struct process *p, void *arg)
{
    (void)arg;
    printf("%5d %6d  %-7s %6lu  %s %s\n", p->pid, p->parent,
           p->state == ZOMBIE ? "zombie" : "running", p->pages * (PAGE_SIZE / 1024), p->name,
           p->args);
}

static void command_ps(const char *args)
{
    (void)args;
    printf("  PID PARENT  STATE      KiB  COMMAND\n");
    process_each(show_process, NULL);
}

static void command_mem(const char *args)
{
    (void)args;
    printf("%lu of %lu pages free\n", mm_free_pages(), mm_total_pages());
}

static void command_echo(const char *args)
{
    printf("%s\n", args);
}

static void command_kill(const char *args)
{
    if (!process_kill(atoi(args))) {
        printf("kill: no running process \"%s\"; ps lists them\n", args);
    }
    tty_wake();
}

static const struct {
    const char *name;
    void (*run)(const char *args);
} commands[] = {{"help", command_help},
                {"ps", command_ps},
                {"mem", command_mem},
                {"kill", command_kill},
                {"echo", command_echo}};

/* Programs of the background that have ended meanwhile are reported as others are collected. */
static void wait_for(int pid)
{
    int status = 0;

    tty_set_foreground(pid);
    process_wait(0, pid, &status);
    tty_set_foreground(0);
    if (status >= WAIT_INTERRUPT) {
        printf("process %d was interrupted\n", pid);
    } else if (status >= WAIT_KILLED) {
        printf("process %d was killed by exception %d\n", pid, status - WAIT_KILLED);
    } else if (status) {
        printf("process %d ended with status %d\n", pid, status);
    }
}

static void run_program(const char *name, char *args)
{
    size_t length = strlen(args);
    bool background = length && args[length - 1] == '&';
    int pid;

    if (background) {
        args[--length] = '\0';
        while (length && args[length - 1] == ' ') {
            args[--length] = '\0';
        }
    }
    /* A background process is nobody's child, so that its end needs no wait. */
    pid = process_spawn(name, args, background ? -1 : 0);
    if (pid == -XEN_ENOENT) {
        printf("%s: no such command or program; try help\n", name);
    } else if (pid < 0) {
        printf("%s: cannot be started, error %d\n", name, pid);
    } else if (background) {
        printf("[%d]\n", pid);
    } else {
        wait_for(pid);
    }
}

static void run_line(char *line)
{
    char *name = line + strspn(line, " "), *args;

    if (!*name) {
        return;
    }
    args = name + strcspn(name, " ");
    if (*args) {
        *args++ = '\0';
        args += strspn(args, " ");
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            commands[i].run(args);
            return;
        }
    }
    run_program(name, args);
}

int main(void)
{
    char line[LINE_MAX_];

    process_init();
    tty_init();
    printf("shell: %lu KiB of memory; help lists the commands\n",
           mm_total_pages() * (PAGE_SIZE / 1024));
    for (;;) {
        long n;

        printf("shell$ ");
        n = tty_read(line, sizeof(line), NULL);
        if (n == 0) {
            printf("\n");
            continue;
        }
        line[n - 1] = '\0';
        if (strcmp(line, "exit") == 0) {
            return 0;
        }
        run_line(line);
    }
}
