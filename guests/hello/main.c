/* SPDX-License-Identifier: MIT */
/*
 * hello: the smallest guest that is worth the name. It says who and where it is, prints a line each
 * second, and answers what is typed on its console; "quit" powers it off. It is a good one to copy:
 * main() runs on a thread, threads are cooperative (rt/thread.h), printf goes to the console.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rt/clock.h>
#include <rt/console.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/thread.h>
#include <rt/xenbus.h>

static void say_where(void)
{
    xen_extraversion_t extra = "";
    xen_capabilities_info_t interface = "";
    struct xen_compile_info build = {0};
    long version = hypercall_xen_version(XENVER_version, NULL);

    hypercall_xen_version(XENVER_extraversion, extra);
    hypercall_xen_version(XENVER_capabilities, interface);
    hypercall_xen_version(XENVER_compile_info, &build);
    printf("hello: on hypervisor %ld.%ld%s (%s), interface %s\n", version >> 16, version & 0xffff,
           extra, build.compile_by[0] ? build.compile_by : "unknown maker", interface);
}

/* Name and number are in the store; the control domain has none, but knows that it is number 0. */
static void say_who(void)
{
    char *name = xs_read("name");
    char *domid = xs_read("domid");

    printf("hello: I am %s, domain %s\n",
           name              ? name
           : start_is_dom0() ? "Domain-0"
                             : "nameless",
           domid             ? domid
           : start_is_dom0() ? "0"
                             : "unknown");
    free(name);
    free(domid);
    printf("hello: %lu KiB of memory, %lu KiB free, %u vCPU(s), console by %s\n",
           start_info->nr_pages * PAGE_SIZE / 1024, mm_free_pages() * PAGE_SIZE / 1024, smp_vcpus(),
           console_kind());
    if (*start_cmdline()) {
        printf("hello: command line: %s\n", start_cmdline());
    }
}

static void tick(void *arg)
{
    (void)arg;
    for (unsigned n = 1;; n++) {
        thread_sleep_ns(1000000000);
        printf("hello: tick %u\n", n);
    }
}

int main(void)
{
    char line[128];

    say_where();
    say_who();
    thread_create("tick", tick, NULL);
    for (;;) {
        console_readline(line, sizeof(line));
        if (strcmp(line, "quit") == 0) {
            printf("hello: goodbye\n");
            return 0;
        }
        printf("hello: you said: %s\n", line);
    }
}
