/* SPDX-License-Identifier: MIT */
/* trace: what the scheduler did, recorded by the hypervisor. */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/builder/domain.h"
#include "dom0/builder/penumbra.h"
#include "dom0/builder/sysctl.h"
#include "dom0/cli/size.h"
#include "dom0/cli/term.h"
#include "dom0/fs/vfs.h"
#include "dom0/trace/gantt.h"
#include "dom0/trace/reader.h"
#include "dom0/trace/tracefile.h"

#define KIB_DEFAULT 1024u
#define NS_PER_US   1000u
#define US_PER_MS   1000u
#define MS_MAX      1000000000u /* that may be typed: eleven days */
#define NAME_SIZE   64
#define DOMAINS_MAX 256 /* whose names are saved */
#define PIECE       4096u

static int refused(const char *command, int rc)
{
    if (rc == -XEN_ENOSYS)
        return cli_refuse(command, rc, "this hypervisor has no trace for Penumbra's domain 0");
    if (rc == -XEN_ENODATA)
        return cli_refuse(command, rc, "nothing was recorded: `trace start` first");
    if (rc == -XEN_ENOMEM)
        return cli_refuse(command, rc, "there is not enough memory for it");
    return cli_refuse(command, rc, "%s (error %d)", vfs_strerror(rc), -rc);
}

static int control(const char *command, uint32_t what)
{
    struct penumbra_trace op = {.cmd = what};
    int rc = penumbra_trace(&op);

    return rc < 0 ? refused(command, rc) : 0;
}

/* ns as milliseconds with three decimals. */
static void print_ms(uint64_t ns)
{
    uint64_t us = ns / NS_PER_US;

    printf("%llu.%03u", (unsigned long long)(us / US_PER_MS), (unsigned)(us % US_PER_MS));
}

/* ---- start, stop ---- */

static int trace_begin(const char *command, const char *word)
{
    uint64_t wanted = KIB_DEFAULT;
    struct penumbra_trace op = {.cmd = PENUMBRA_TRACE_start, .kib = PENUMBRA_TRACE_KIB_MIN};
    int rc;

    if (word && size_parse_memory(word, &wanted) < 0)
        return cli_refuse(command, -XEN_EINVAL,
                          "bad size '%.20s': write MiB, or a number with K or M behind it", word);
    if (wanted > PENUMBRA_TRACE_KIB_MAX)
        return cli_refuse(command, -XEN_EINVAL, "%llu KiB are too much: each pCPU may have %u KiB",
                          (unsigned long long)wanted, PENUMBRA_TRACE_KIB_MAX);
    while (op.kib < wanted)
        op.kib *= 2;
    rc = penumbra_trace(&op);
    if (rc == -XEN_ENOMEM)
        return cli_refuse(command, rc, "there are no %u KiB for each pCPU: take less", op.kib);
    if (rc == 0)
        rc = trace_mark();
    return rc < 0 ? refused(command, rc) : 0;
}

static int trace_end(const char *command)
{
    struct penumbra_trace op = {.cmd = PENUMBRA_TRACE_status};
    int rc = penumbra_trace(&op);

    if (rc < 0)
        return refused(command, rc);
    if (!op.on)
        return cli_refuse(command, -XEN_EINVAL, "it is off: `trace start` begins one");
    rc = trace_mark();
    return rc < 0 ? refused(command, rc) : control(command, PENUMBRA_TRACE_stop);
}

static void print_summary(const struct trace_reader *t)
{
    uint64_t records = 0;

    for (unsigned p = 0; p < t->pcpus; p++)
        records += t->source[p].end - t->source[p].next;
    printf("%s, %u pCPU%s, %u KiB each: %llu records of ", t->on ? "on" : "off", t->pcpus,
           t->pcpus == 1 ? "" : "s", t->kib, (unsigned long long)records);
    print_ms(t->end - t->begin);
    printf(" ms, %llu lost\n", (unsigned long long)t->lost);
}

static int trace_status(const char *command)
{
    struct trace_reader t;
    int rc = trace_reader_open(&t);

    if (rc < 0)
        return refused(command, rc);
    print_summary(&t);
    trace_reader_close(&t);
    return 0;
}

/* ---- save ---- */

struct saver {
    struct vfs_file *file;
    uint8_t piece[PIECE + TRACEFILE_RECORD_MAX];
    size_t used;
    uint64_t bytes;
};

/* Writes what was gathered, as a piece of that pCPU's. */
static int flush(struct saver *s, unsigned pcpu)
{
    uint8_t head[TRACEFILE_RECORD_MAX];
    size_t length = tracefile_piece(head, pcpu, (uint32_t)s->used);
    int64_t rc;

    if (!s->used)
        return 0;
    rc = vfs_write(s->file, head, length);
    if (rc == (int64_t)length)
        rc = vfs_write(s->file, s->piece, s->used);
    if (rc < 0)
        return (int)rc;
    if (rc != (int64_t)s->used)
        return -XEN_ENOSPC;
    s->bytes += length + s->used;
    s->used = 0;
    return 0;
}

static int save_names(struct saver *s)
{
    struct xen_domctl_getdomaininfo *infos = calloc(DOMAINS_MAX, sizeof *infos);
    int count = infos ? sysctl_domains(0, infos, DOMAINS_MAX) : -XEN_ENOMEM, rc = 0;

    for (int i = 0; i < count && rc == 0; i++) {
        char name[NAME_SIZE];

        s->used += tracefile_name(s->piece + s->used, infos[i].domain,
                                  domain_name(infos[i].domain, name, sizeof name));
        if (s->used > PIECE - 4 * TRACEFILE_RECORD_MAX)
            rc = flush(s, 0);
    }
    free(infos);
    return count < 0 ? count : rc < 0 ? rc : flush(s, 0);
}

static int save_ring(struct saver *s, struct trace_reader *t, unsigned pcpu)
{
    const struct trace_record *r;
    int rc = 0;

    while (rc == 0 && (r = trace_reader_next_of(t, pcpu))) {
        s->used += tracefile_record(s->piece + s->used, r);
        if (s->used >= PIECE)
            rc = flush(s, pcpu);
    }
    return rc < 0 ? rc : flush(s, pcpu);
}

static int save_all(struct saver *s, struct trace_reader *t)
{
    int rc;

    s->used = tracefile_head(s->piece, t->pcpus, t->lost);
    rc = save_names(s);
    for (unsigned p = 0; rc == 0 && p < t->pcpus; p++)
        rc = save_ring(s, t, p);
    return rc;
}

static int save_to(const char *command, struct saver *s, const char *path)
{
    struct trace_reader t;
    int rc = trace_reader_open(&t);

    if (rc < 0)
        return refused(command, rc);
    rc = vfs_open(path, VFS_WRITE | VFS_CREATE | VFS_TRUNC, NULL, &s->file);
    if (rc == 0) {
        rc = save_all(s, &t);
        vfs_close(s->file);
        if (rc < 0)
            vfs_unlink(path); /* half a trace is none */
    }
    trace_reader_close(&t);
    if (rc == -XEN_ENOSPC)
        return cli_refuse(command, rc, "%s: the disk is full: remove files, or record less", path);
    if (rc < 0)
        return cli_refuse(command, rc, "%s: %s", path, vfs_strerror(rc));
    printf("%s: %llu bytes\n", path, (unsigned long long)s->bytes);
    return 0;
}

static int trace_save(const char *command, const char *word)
{
    char path[CLI_PATH_MAX];
    struct saver *s;
    int rc = cli_path(command, word, path);

    if (rc < 0)
        return rc;
    s = calloc(1, sizeof *s);
    if (!s)
        return refused(command, -XEN_ENOMEM);
    rc = save_to(command, s, path);
    free(s);
    return rc;
}

/* ---- show ---- */

#define LABEL 13 /* columns in front of a row; with the row, its frame and the figure: 80 */
#define TICK  10 /* columns between two marks of the time axis */

static void print_axis(const struct gantt *g, uint64_t begin)
{
    uint64_t span = g->to - g->from;

    printf("%*s", LABEL + 1, "");
    for (unsigned c = 0; c < GANTT_COLUMNS; c += TICK) {
        uint64_t us = (g->from - begin + span / GANTT_COLUMNS * c) / NS_PER_US;
        char label[32];

        snprintf(label, sizeof label, "%llu.%u", (unsigned long long)(us / US_PER_MS),
                 (unsigned)(us % US_PER_MS / 100));
        printf("%-*s", TICK, label);
    }
    printf("ms\n");
}

/* Part of the window, in percent with one decimal. */
static void print_row(const char *label, const char *row, uint64_t ns, const struct gantt *g)
{
    uint64_t part = ns * 1000 / (g->to - g->from);

    printf("%-*.*s|%s|%3u.%u\n", LABEL, LABEL, label, row, (unsigned)(part / 10),
           (unsigned)(part % 10));
}

static void print_chart(const struct gantt *g, uint64_t begin)
{
    char row[GANTT_COLUMNS + 1], label[NAME_SIZE + 16], name[NAME_SIZE];

    print_axis(g, begin);
    for (unsigned p = 0; p < g->pcpus; p++) {
        snprintf(label, sizeof label, "pCPU %u", p);
        gantt_pcpu_row(g, p, row);
        print_row(label, row, g->busy[p], g);
    }
    printf("\n");
    for (size_t i = 0; i < g->lanes && !term_interrupted(); i++) {
        const struct gantt_lane *l = &g->lane[i];

        if (!l->ran && !l->waited)
            continue;
        snprintf(label, sizeof label, "%c %.8s.%u", gantt_letter(g, l->vcpu >> 16),
                 domain_name((domid_t)(l->vcpu >> 16), name, sizeof name), l->vcpu & 0xffff);
        gantt_vcpu_row(g, l, row);
        print_row(label, row, l->ran, g);
    }
    printf("pCPUs: the domain that ran longest, . idle. vCPUs: # ran, + ran in part,\n"
           "- waited for a pCPU, blank slept. Right: percent of the time, busy or run\n");
}

static int draw(struct trace_reader *t, uint64_t from, uint64_t to)
{
    const struct trace_record *r;
    unsigned pcpu = 0;
    struct gantt g;
    int rc = gantt_init(&g, from, to, t->pcpus);

    if (rc < 0)
        return rc;
    while (rc == 0 && (r = trace_reader_next(t, &pcpu)))
        rc = gantt_add(&g, pcpu, r);
    if (rc == 0) {
        gantt_end(&g, t->end);
        print_chart(&g, t->begin);
    }
    gantt_free(&g);
    return rc;
}

/* "12" or "12.5" ms into ns; false for anything else. */
static bool parse_ms(const char *word, uint64_t *ns)
{
    uint64_t us = 0, unit = US_PER_MS;

    if (*word < '0' || *word > '9')
        return false;
    for (; *word >= '0' && *word <= '9' && us <= (uint64_t)MS_MAX * US_PER_MS; word++)
        us = us * 10 + (unsigned)(*word - '0') * US_PER_MS;
    if (*word == '.')
        for (word++; *word >= '0' && *word <= '9' && unit > 1; word++) {
            unit /= 10;
            us += (unsigned)(*word - '0') * unit;
        }
    *ns = us * NS_PER_US;
    return !*word;
}

static int parse_window(int argc, char **argv, uint64_t *from, uint64_t *length)
{
    for (int i = 2; i < argc; i += 2) {
        uint64_t *to = !strcmp(argv[i], "--from") ? from : !strcmp(argv[i], "--ms") ? length : NULL;

        if (!to || i + 1 == argc)
            return cli_usage(argv[0]);
        if (!parse_ms(argv[i + 1], to) || (to == length && !*length))
            return cli_refuse(argv[0], -XEN_EINVAL, "%s: '%.20s' is no time: write ms, like 12.5",
                              argv[i], argv[i + 1]);
    }
    return 0;
}

static int trace_show(int argc, char **argv)
{
    uint64_t from = UINT64_MAX, length = (uint64_t)GANTT_COLUMNS * US_PER_MS * NS_PER_US, whole;
    struct trace_reader t;
    int rc = parse_window(argc, argv, &from, &length);

    if (rc < 0)
        return rc;
    rc = trace_reader_open(&t);
    if (rc < 0)
        return refused(argv[0], rc);
    whole = t.end - t.begin;
    if (from == UINT64_MAX)
        from = whole > length ? whole - length : 0;
    if (from >= whole) {
        rc = cli_refuse(argv[0], -XEN_EINVAL, "the trace ends at %llu ms: take an earlier --from",
                        (unsigned long long)(whole / NS_PER_US / US_PER_MS));
    } else {
        print_summary(&t);
        rc = draw(&t, t.begin + from, t.begin + from + length);
        if (rc < 0)
            refused(argv[0], rc);
    }
    trace_reader_close(&t);
    return rc;
}

int cmd_trace(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "status";

    if (!strcmp(what, "start") && argc <= 3)
        return trace_begin(argv[0], argc == 3 ? argv[2] : NULL);
    if (!strcmp(what, "stop") && argc == 2)
        return trace_end(argv[0]);
    if (!strcmp(what, "clear") && argc == 2)
        return control(argv[0], PENUMBRA_TRACE_clear);
    if (!strcmp(what, "status") && argc <= 2)
        return trace_status(argv[0]);
    if (!strcmp(what, "save") && argc == 3)
        return trace_save(argv[0], argv[2]);
    if (!strcmp(what, "show"))
        return trace_show(argc, argv);
    return cli_usage(argv[0]);
}
