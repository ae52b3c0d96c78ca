/* SPDX-License-Identifier: MIT */
/* info and dmesg: what the hypervisor says of itself. */
#include "dom0/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/version.h>

#include <rt/event.h>
#include <rt/grant.h>
#include <rt/hypercall.h>
#include <rt/mm.h>

#include "dom0/builder/cpupool.h"
#include "dom0/builder/domain.h"
#include "dom0/builder/domctl.h"
#include "dom0/builder/sysctl.h"
#include "dom0/cli/term.h"
#include "dom0/config/nearest.h"
#include "dom0/fs/vfs.h"
#include "dom0/store/store.h"

#define LOG_BYTES 4096
#define LOG_MAX   (256u << 10) /* a log that grows while it is shown is left at some point */

/* info's output: all lines, or the value of one key. */
struct report {
    const char *wanted; /* NULL: all */
    bool found;
    char nearest[48]; /* the key most like the wanted one, so far */
    unsigned distance;
};

static void line(struct report *r, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void line(struct report *r, const char *key, const char *format, ...)
{
    char value[512];
    va_list args;

    if (r->wanted && strcmp(r->wanted, key)) {
        unsigned distance = nearest_distance(r->wanted, key);

        if (!r->nearest[0] || distance < r->distance) {
            r->distance = distance;
            snprintf(r->nearest, sizeof r->nearest, "%s", key);
        }
        return;
    }
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (!r->wanted)
        printf("%-22s : ", key);
    term_write_safe(value, strlen(value));
    printf("\n");
    r->found = true;
}

static unsigned count_bits(uint64_t bits)
{
    unsigned n = 0;

    for (; bits; bits &= bits - 1)
        n++;
    return n;
}

static void report_machine(struct report *r, const struct xen_sysctl_physinfo *p)
{
    uint64_t free_cpus;

    line(r, "host", "dom0");
    line(r, "release", "penumbra");
    line(r, "version", "PV control kernel");
    line(r, "machine", "x86_64");
    line(r, "nr_cpus", "%u", p->nr_cpus);
    line(r, "max_cpu_id", "%u", p->max_cpu_id);
    line(r, "nr_nodes", "%u", p->nr_nodes);
    line(r, "cores_per_socket", "%u", p->cores_per_socket);
    line(r, "threads_per_core", "%u", p->threads_per_core);
    line(r, "cpu_mhz", "%u.%03u", p->cpu_khz / 1000, p->cpu_khz % 1000);
    line(r, "hw_caps", "%08x:%08x:%08x:%08x:%08x:%08x:%08x:%08x", p->hw_cap[0], p->hw_cap[1],
         p->hw_cap[2], p->hw_cap[3], p->hw_cap[4], p->hw_cap[5], p->hw_cap[6], p->hw_cap[7]);
    line(r, "virt_caps", "%s", p->capabilities & XEN_SYSCTL_PHYSCAP_pv ? "pv" : "");
    line(r, "total_memory", "%llu", (unsigned long long)p->total_pages >> 8);
    line(r, "free_memory", "%llu", (unsigned long long)p->free_pages >> 8);
    line(r, "sharing_freed_memory", "0");
    line(r, "sharing_used_memory", "0");
    line(r, "outstanding_claims", "%llu", (unsigned long long)p->outstanding_pages >> 8);
    line(r, "free_cpus", "%u", cpupool_free_cpus(&free_cpus) == 0 ? count_bits(free_cpus) : 0);
}

/* A text of XENVER_*; "" if the hypervisor does not give it. buf has room for the largest. */
static char *version_text(unsigned cmd, char buf[1024])
{
    memset(buf, 0, 1024);
    if (hypercall_xen_version(cmd, buf) < 0)
        buf[0] = 0;
    buf[1023] = 0;
    return buf;
}

/* The one of the first pool. */
static const char *scheduler_name(struct penumbra_scheduler *s)
{
    uint32_t id;

    return sysctl_sched_id(&id) < 0 || cpupool_scheduler(id, s) < 0 ? "unknown" : s->name;
}

static void report_compiler(struct report *r)
{
    struct xen_compile_info info = {0};

    if (hypercall_xen_version(XENVER_compile_info, &info) < 0)
        return;
    line(r, "cc_compiler", "%.63s", info.compiler);
    line(r, "cc_compile_by", "%.15s", info.compile_by);
    line(r, "cc_compile_domain", "%.31s", info.compile_domain);
    line(r, "cc_compile_date", "%.31s", info.compile_date);
}

static void report_xen(struct report *r, char buf[1024])
{
    long version = hypercall_xen_version(XENVER_version, NULL);
    struct xen_platform_parameters platform = {0};
    struct penumbra_scheduler sched;
    unsigned major = version > 0 ? (unsigned)version >> 16 : 0;
    unsigned minor = version > 0 ? (unsigned)version & 0xffff : 0;

    hypercall_xen_version(XENVER_platform_parameters, &platform);
    line(r, "xen_major", "%u", major);
    line(r, "xen_minor", "%u", minor);
    version_text(XENVER_extraversion, buf);
    line(r, "xen_extra", "%.15s", buf);
    line(r, "xen_version", "%u.%u%.15s", major, minor, buf);
    line(r, "xen_caps", "%.480s", version_text(XENVER_capabilities, buf));
    line(r, "xen_scheduler", "%s", scheduler_name(&sched));
    line(r, "xen_pagesize", "%lu", PAGE_SIZE);
    line(r, "platform_params", "virt_start=%#lx", (unsigned long)platform.virt_start);
    line(r, "xen_changeset", "%.63s", version_text(XENVER_changeset, buf));
    line(r, "xen_commandline", "%.480s", version_text(XENVER_commandline, buf));
    report_compiler(r);
}

/* The hypervisor's counters become keys: lower case, no blanks. */
static void report_counter(void *ctx, const char *name, uint64_t value)
{
    char key[100];
    size_t used = (size_t)snprintf(key, sizeof key, "penumbra_");

    for (; *name && used + 1 < sizeof key; name++) {
        bool plain = (*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9');

        key[used++] = plain ? *name : *name >= 'A' && *name <= 'Z' ? (char)(*name + 32) : '_';
    }
    key[used] = 0;
    line(ctx, key, "%llu", (unsigned long long)value);
}

/* Event channels of dom0 that are in use. The hypervisor has no call that counts them. */
static unsigned count_event_ports(void)
{
    unsigned count = 0;

    for (evtchn_port_t port = 1; port < EVENT_PORTS; port++) {
        struct evtchn_status status = {.dom = DOMID_SELF, .port = port};

        if (hypercall_event_channel_op(EVTCHNOP_status, &status) < 0)
            break;
        count += status.status != EVTCHNSTAT_closed;
    }
    return count;
}

/* Figures by which one sees that nothing leaks: each must be the same before and after a guest. */
static void report_own(struct report *r, const struct xen_sysctl_physinfo *p)
{
    struct xen_domctl_getdomaininfo own;
    struct vfs_df df;
    domid_t domids[64];

    line(r, "free_pages", "%llu", (unsigned long long)p->free_pages);
    line(r, "penumbra_domains", "%u", domain_list(domids, 64));
    line(r, "penumbra_store_nodes", "%u", store_node_count());
    line(r, "penumbra_dom0_heap", "%zu", malloc_bytes_used());
    line(r, "penumbra_dom0_free_pages", "%lu", mm_free_pages());
    line(r, "penumbra_dom0_event_ports", "%u", count_event_ports());
    line(r, "penumbra_dom0_grants", "%u", grant_count());
    if (domctl_info(0, &own) == 0)
        line(r, "penumbra_dom0_cpu_ns", "%llu", (unsigned long long)own.cpu_time);
    if (!cli_disk_problem()[0] && vfs_df(&df) == 0)
        line(r, "penumbra_disk_free_blocks", "%llu", (unsigned long long)df.free_blocks);
    sysctl_counters(report_counter, r);
}

int cmd_info(int argc, char **argv)
{
    struct report r = {.wanted = argc > 1 ? argv[1] : NULL};
    struct xen_sysctl_physinfo phys;
    char *buf;
    int rc;

    if (argc > 2 || (argc == 2 && argv[1][0] == '-'))
        return cli_usage(argv[0]);
    rc = sysctl_physinfo(&phys);
    if (rc < 0)
        return cli_refuse(argv[0], rc, "the hypervisor does not answer: %s", vfs_strerror(rc));
    buf = malloc(1024);
    if (!buf)
        return cli_refuse(argv[0], -XEN_ENOMEM, "dom0 is out of memory");
    report_machine(&r, &phys);
    report_xen(&r, buf);
    report_own(&r, &phys);
    free(buf);
    if (r.wanted && !r.found)
        return cli_refuse(argv[0], -XEN_ENOENT, "there is no key '%.40s': did you mean '%s'?",
                          r.wanted, r.nearest);
    return 0;
}

int cmd_dmesg(int argc, char **argv)
{
    bool clear = argc == 2 && !strcmp(argv[1], "-c");
    unsigned total = 0;
    uint32_t index = 0;
    char *buf;
    int n;

    if (argc > 1 && !clear)
        return cli_usage(argv[0]);
    buf = malloc(LOG_BYTES);
    if (!buf)
        return cli_refuse(argv[0], -XEN_ENOMEM, "dom0 is out of memory");
    do {
        n = sysctl_read_log(buf, LOG_BYTES, &index);
        if (n > 0)
            term_write_safe(buf, (size_t)n);
        total += n > 0 ? (unsigned)n : 0;
    } while (n == LOG_BYTES && total < LOG_MAX && !term_interrupted());
    free(buf);
    if (n >= 0 && clear)
        n = sysctl_clear_log();
    return n < 0 ? cli_refuse(argv[0], n, "the hypervisor does not give its log: error %d", -n) : 0;
}
