/* SPDX-License-Identifier: MIT */
/*
 * `top` as text: xentop's columns, its summary, and the order of the rows. Pure; top's other files
 * fetch the figures (topsample.h) and draw the screen (cmd_top.c).
 */
#ifndef DOM0_CLI_TOPVIEW_H
#define DOM0_CLI_TOPVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>

#define TOPVIEW_NAME_MAX  64 /* a name with its NUL, see XLCFG_NAME_MAX */
#define TOPVIEW_LINE_MAX  288
#define TOPVIEW_NAME_CUT  10 /* characters of a name that are shown, unless all are asked for */
#define TOPVIEW_UNLIMITED UINT64_MAX

/* What rows can be sorted by: the columns in their order, and the domain's number before them. */
enum top_field {
    TOP_ID,
    TOP_NAME,
    TOP_STATE,
    TOP_CPU,
    TOP_CPU_PCT,
    TOP_MEM,
    TOP_MEM_PCT,
    TOP_MAXMEM,
    TOP_MAX_PCT,
    TOP_VCPUS,
    TOP_NETS,
    TOP_NET_TX,
    TOP_NET_RX,
    TOP_VBDS,
    TOP_VBD_OO,
    TOP_VBD_RD,
    TOP_VBD_WR,
    TOP_VBD_RSECT,
    TOP_VBD_WSECT,
    TOP_SSID,
    TOP_FIELDS,
};

struct top_domain {
    domid_t id;
    char name[TOPVIEW_NAME_MAX];
    uint8_t handle[16];        /* its UUID: a number is used again */
    uint32_t flags;            /* XEN_DOMINF_* of <xen/domctl.h> */
    uint64_t cpu_ns;           /* time that its vCPUs have run */
    unsigned cpu_tenths;       /* since the sample before, in tenths of a percent of one CPU */
    uint64_t mem_kib, max_kib; /* max: TOPVIEW_UNLIMITED is none */
    unsigned vcpus;            /* that are up */
    unsigned vcpu_count;       /* that exist */
    unsigned vbds;
    uint64_t reads, writes, sectors_read, sectors_written;
};

struct top_machine {
    const char *version; /* the hypervisor's */
    uint64_t seconds;    /* time of day, since 1970 */
    uint64_t total_kib, free_kib;
    unsigned cpus, mhz;
};

/* The share of `part` ns in a time of `whole` ns, in tenths of a percent, rounded. */
unsigned topview_tenths(uint64_t part, uint64_t whole);

/* Sorts pointers to domains: names and numbers upwards, figures with the largest first. */
void topview_sort(const struct top_domain **domains, unsigned count, enum top_field by);

/* The summary's three lines: n is 0 to 2. */
#define TOPVIEW_SUMMARY 3
void topview_summary(const struct top_machine *m, const struct top_domain *const *domains,
                     unsigned count, unsigned n, char line[TOPVIEW_LINE_MAX]);

/* How wide the column of names is: for the longest one, if whole names are wanted. */
unsigned topview_name_width(const struct top_domain *const *domains, unsigned count, bool whole);

/* The line above the rows. *from and *to say where the heading of column `by` stands in it. */
void topview_heading(unsigned name_width, enum top_field by, char line[TOPVIEW_LINE_MAX],
                     unsigned *from, unsigned *to);
void topview_row(const struct top_machine *m, const struct top_domain *d, unsigned name_width,
                 char line[TOPVIEW_LINE_MAX]);

/* The name of a column, and of TOP_ID. */
const char *topview_field_name(enum top_field field);

#endif
