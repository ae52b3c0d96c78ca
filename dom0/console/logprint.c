/* SPDX-License-Identifier: MIT */
/* console_log(): a retained log through the filter. Pure. */

#include "dom0/console/console.h"

#include <stdio.h>
#include <string.h>
#include <xen/errno.h>
#include "dom0/console/conlog.h"
#include "dom0/console/filter.h"

static void print_skipped(const char *prefix, uint64_t skipped,
                          void (*out)(void *arg, const char *text, size_t n), void *arg)
{
    char note[48];
    int len =
        snprintf(note, sizeof(note), "[... %llu bytes dropped]\n", (unsigned long long)skipped);

    if (prefix) {
        out(arg, prefix, strlen(prefix));
    }
    out(arg, note, (size_t)len);
}

int console_log(const char *name_or_number, const char *prefix,
                void (*out)(void *arg, const char *text, size_t n), void *arg)
{
    const struct conlog *log = conlog_find(name_or_number);
    struct filter f;
    char buf[256];
    uint64_t pos = 0, skipped, order = log ? log->order : 0;
    size_t n;

    if (!log) {
        return -XEN_ENOENT;
    }
    /* Up to its end of now: a guest that prints on shall not keep us here. */
    uint64_t end = log->total;
    filter_init(&f, FILTER_LOG, prefix, out, arg);
    while (pos < end && (n = conlog_read(log, &pos, buf, sizeof(buf), &skipped)) > 0) {
        if (skipped > 0) {
            filter_end(&f);
            print_skipped(prefix, skipped, out, arg);
            filter_init(&f, FILTER_LOG, prefix, out, arg);
        }
        filter_feed(&f, buf, n);
        /* `out` may wait; the log may be another domain's, or gone, by then. */
        if (conlog_find(name_or_number) != log || log->order != order) {
            break;
        }
    }
    filter_end(&f);
    return 0;
}
