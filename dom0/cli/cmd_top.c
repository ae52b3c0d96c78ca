/* SPDX-License-Identifier: MIT */
/*
 * top: what the domains use, live on a terminal or as text. The screen is drawn line by line over
 * the one before, so that nothing flickers; how large it is the terminal is asked before each
 * drawing, and its answer comes among the keys.
 */
#include "dom0/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include <rt/clock.h>
#include <rt/console.h>

#include "dom0/blk/blkback.h"
#include "dom0/builder/domctl.h"
#include "dom0/cli/options.h"
#include "dom0/cli/term.h"
#include "dom0/cli/termkeys.h"
#include "dom0/cli/topsample.h"
#include "dom0/cli/topview.h"
#include "dom0/config/xlcfg.h"
#include "dom0/fs/vfs.h"

#define SECOND_NS     1000000000ull
#define DELAY_DEFAULT (3 * SECOND_NS)
#define DELAY_MAX     3600            /* seconds */
#define ANSWER_NS     (SECOND_NS / 4) /* for a terminal to tell its size, at first */

#define ROWS_DEFAULT    24 /* of a terminal that does not answer */
#define COLUMNS_DEFAULT 80
#define FRAME_BYTES     4096

#define CTRL_C 3
#define ESC    0x1b

#define SCREEN_BEGIN "\x1b[?1049h\x1b[?7l\x1b[?25l"   /* the other screen; no wrapping; no cursor */
#define SCREEN_END   "\x1b[?25h\x1b[?7h\x1b[?1049l\n" /* LF for those that have one screen only */
#define REVERSE      "\x1b[7m"
#define BOLD         "\x1b[0;1m"
#define PLAIN        "\x1b[m"
#define LINE_END     "\x1b[K\n"

struct top {
    const char *command;
    bool batch, vcpus, disks, whole_names;
    enum top_field sort;
    uint64_t delay_ns, left; /* left: drawings to do, UINT64_MAX: for ever */

    struct topsample samples[2]; /* the present one and the one before, in turn */
    unsigned now;
    bool sampled;

    /* The screen. */
    struct termkeys keys;
    unsigned rows, columns;
    unsigned first;     /* line of the table that is on top */
    unsigned body_line; /* of the table, while it is drawn; then how many it has */
    bool asking;        /* for a delay */
    char answer[12];
    char frame[FRAME_BYTES]; /* written at once */
    size_t frame_used;
};

static struct topsample *sample(struct top *t)
{
    return &t->samples[t->now];
}

/* ---- output ---- */

static void flush(struct top *t)
{
    console_write(t->frame, t->frame_used);
    t->frame_used = 0;
}

static void put(struct top *t, const char *text, size_t len)
{
    if (t->frame_used + len > sizeof t->frame)
        flush(t);
    memcpy(t->frame + t->frame_used, text, len);
    t->frame_used += len;
}

static void put_text(struct top *t, const char *text)
{
    put(t, text, strlen(text));
}

/* A part of a line, as far as the screen is wide. */
static void put_part(struct top *t, const char *line, size_t from, size_t to)
{
    if (!t->batch && to > t->columns)
        to = t->columns;
    if (from < to)
        put(t, line + from, to - from);
}

static void put_line(struct top *t, const char *line)
{
    put_part(t, line, 0, strlen(line));
    put_text(t, t->batch ? "\n" : LINE_END);
}

/* Lines between the heading and the one at the bottom. */
static unsigned body_rows(const struct top *t)
{
    return t->rows - TOPVIEW_SUMMARY - 2;
}

/* A line of the table, if it is on the screen. */
static void put_body(struct top *t, const char *line)
{
    unsigned n = t->body_line++;

    if (t->batch || (n >= t->first && n < t->first + body_rows(t)))
        put_line(t, line);
}

/* ---- the table ---- */

static void put_vcpus(struct top *t, const struct top_domain *d)
{
    char line[TOPVIEW_LINE_MAX];
    unsigned used = 0;

    for (unsigned i = 0; i < d->vcpu_count; i++) {
        struct xen_domctl_getvcpuinfo v;

        if (domctl_vcpu_info(d->id, i, &v) < 0)
            v.cpu_time = 0;
        if (i % 5 == 0)
            used = (unsigned)snprintf(line, sizeof line, i ? "            " : "VCPUs(sec): ");
        used += (unsigned)snprintf(line + used, sizeof line - used, " %2u:%11llus", i,
                                   (unsigned long long)(v.cpu_time / SECOND_NS));
        if (i % 5 == 4 || i + 1 == d->vcpu_count)
            put_body(t, line);
    }
}

static void put_disks(struct top *t, const struct top_domain *d)
{
    struct blkback_info *disks = calloc(XLCFG_DISKS_MAX, sizeof *disks);
    unsigned count = disks ? blkback_list(d->id, disks, XLCFG_DISKS_MAX) : 0;

    for (unsigned i = 0; i < count; i++) {
        char line[TOPVIEW_LINE_MAX];
        unsigned dev = disks[i].vdev_number;

        snprintf(line, sizeof line,
                 "VBD BlkBack %4u [%2x:%2x]  OO: %8u   RD: %8llu   WR: %8llu  RSECT: %10llu  "
                 "WSECT: %10llu",
                 dev, dev >> 8, dev & 0xff, 0, (unsigned long long)disks[i].reads,
                 (unsigned long long)disks[i].writes,
                 (unsigned long long)(disks[i].read_bytes / 512),
                 (unsigned long long)(disks[i].written_bytes / 512));
        put_body(t, line);
    }
    free(disks);
}

/* The column that is sorted by stands out. */
static void put_heading(struct top *t, unsigned name_width)
{
    char line[TOPVIEW_LINE_MAX];
    unsigned from, to;

    topview_heading(name_width, t->sort, line, &from, &to);
    if (t->batch) {
        put_line(t, line);
        return;
    }
    put_text(t, REVERSE);
    put_part(t, line, 0, from);
    put_text(t, BOLD);
    put_part(t, line, from, to);
    put_text(t, PLAIN REVERSE);
    put_part(t, line, to, strlen(line));
    put_text(t, PLAIN LINE_END);
}

static void put_bottom(struct top *t)
{
    char line[TOPVIEW_LINE_MAX];

    if (t->asking) {
        snprintf(line, sizeof line, "Seconds between two looks, now %llu.%llu: %s_",
                 (unsigned long long)(t->delay_ns / SECOND_NS),
                 (unsigned long long)(t->delay_ns / (SECOND_NS / 10) % 10), t->answer);
        put_part(t, line, 0, strlen(line));
        put_text(t, "\x1b[K");
        return;
    }
    snprintf(line, sizeof line,
             "q Quit  d Delay %llu.%llu s  s S Sort by %s  v VCPUs  b VBDs  f Full names",
             (unsigned long long)(t->delay_ns / SECOND_NS),
             (unsigned long long)(t->delay_ns / (SECOND_NS / 10) % 10),
             topview_field_name(t->sort));
    put_text(t, REVERSE);
    put_part(t, line, 0, strlen(line));
    put_text(t, PLAIN "\x1b[K");
}

static void draw(struct top *t)
{
    struct topsample *s = sample(t);
    unsigned name_width = topview_name_width(s->order, s->count, t->whole_names);
    char line[TOPVIEW_LINE_MAX];

    topview_sort(s->order, s->count, t->sort);
    t->body_line = 0;
    if (!t->batch)
        put_text(t, "\x1b[H");
    for (unsigned n = 0; n < TOPVIEW_SUMMARY; n++) {
        topview_summary(&s->machine, s->order, s->count, n, line);
        put_line(t, line);
    }
    put_heading(t, name_width);
    for (unsigned i = 0; i < s->count; i++) {
        topview_row(&s->machine, s->order[i], name_width, line);
        put_body(t, line);
        if (t->vcpus)
            put_vcpus(t, s->order[i]);
        if (t->disks)
            put_disks(t, s->order[i]);
    }
    if (!t->batch) {
        for (unsigned n = t->body_line; n < t->first + body_rows(t); n++)
            put_text(t, LINE_END);
        put_bottom(t);
    }
    flush(t);
}

static int take_sample(struct top *t)
{
    struct topsample *before = t->sampled ? sample(t) : NULL;
    int rc;

    t->now ^= 1;
    rc = topsample_take(sample(t), before);
    t->sampled = rc == 0;
    return rc;
}

/* ---- keys ---- */

/* Seconds with at most one digit behind the point: "3", "0.5". False: it is none, or out of range.
 */
static bool parse_delay(const char *text, uint64_t *ns)
{
    char whole[8];
    const char *point = strchr(text, '.');
    size_t len = point ? (size_t)(point - text) : strlen(text);
    uint64_t seconds, tenths = 0;

    if (!len || len >= sizeof whole)
        return false;
    memcpy(whole, text, len);
    whole[len] = 0;
    if (!options_number(whole, DELAY_MAX, &seconds) ||
        (point && (strlen(point + 1) > 1 || !options_number(point + 1, 9, &tenths))))
        return false;
    tenths += seconds * 10;
    if (!tenths || tenths > DELAY_MAX * 10)
        return false;
    *ns = tenths * (SECOND_NS / 10);
    return true;
}

/* A key while a delay is typed. */
static void answer_key(struct top *t, int key)
{
    size_t len = strlen(t->answer);

    if (((key >= '0' && key <= '9') || key == '.') && len + 1 < sizeof t->answer) {
        t->answer[len] = (char)key;
        t->answer[len + 1] = 0;
    } else if ((key == 0x7f || key == '\b') && len) {
        t->answer[len - 1] = 0;
    } else if (key == '\r' || key == '\n') {
        parse_delay(t->answer, &t->delay_ns); /* nonsense leaves it as it is */
        t->asking = false;
    } else if (key == CTRL_C || key == ESC || key == 'q') {
        t->asking = false;
    }
}

/* No further down than to the last line. */
static void scroll(struct top *t, int lines)
{
    unsigned last = t->body_line > body_rows(t) ? t->body_line - body_rows(t) : 0;

    if (lines < 0)
        t->first -= t->first < (unsigned)-lines ? t->first : (unsigned)-lines;
    else
        t->first += (unsigned)lines;
    if (t->first > last)
        t->first = last;
}

/* A report of the size: drawn again if it is another one. */
static bool resized(struct top *t)
{
    unsigned rows = t->keys.rows, columns = t->keys.columns;

    if (rows < TOPVIEW_SUMMARY + 3 || (rows == t->rows && columns == t->columns))
        return false;
    t->rows = rows;
    t->columns = columns;
    t->first = 0;
    return true;
}

/* Does it change what is on the screen? */
static bool handle_key(struct top *t, int key)
{
    if (key == TERMKEYS_REPORT)
        return resized(t);
    if (t->asking) {
        answer_key(t, key);
        return true;
    }
    switch (key) {
    case 'd':
    case 'D':
        t->asking = true;
        t->answer[0] = 0;
        return true;
    case 's':
        t->sort = t->sort + 1 == TOP_FIELDS ? TOP_ID : t->sort + 1;
        return true;
    case 'S':
        t->sort = t->sort == TOP_ID ? TOP_FIELDS - 1 : t->sort - 1;
        return true;
    case 'v':
    case 'V':
        t->vcpus = !t->vcpus;
        return true;
    case 'b':
    case 'B':
        t->disks = !t->disks;
        return true;
    case 'f':
    case 'F':
        t->whole_names = !t->whole_names;
        return true;
    case TERMKEYS_UP:
        scroll(t, -1);
        return true;
    case TERMKEYS_DOWN:
        scroll(t, 1);
        return true;
    case TERMKEYS_PAGE_UP:
        scroll(t, -10);
        return true;
    case TERMKEYS_PAGE_DOWN:
        scroll(t, 10);
        return true;
    case TERMKEYS_HOME:
        t->first = 0;
        return true;
    default:
        return key == ' ' || key == '\r';
    }
}

static bool ends(int key)
{
    return key == 'q' || key == 'Q' || key == CTRL_C;
}

/* Keys until it is time for the next sample. True: the person has seen enough. */
static bool wait_and_obey(struct top *t, uint64_t until)
{
    for (uint64_t now; (now = clock_ns()) < until;) {
        uint64_t delay = t->delay_ns;
        int byte = term_wait(until - now), key;

        if (byte < 0)
            break;
        key = termkeys_feed(&t->keys, (unsigned char)byte);
        if (key == TERMKEYS_NONE)
            continue;
        if (!t->asking && ends(key))
            return true;
        if (handle_key(t, key))
            draw(t);
        until += t->delay_ns - delay;
    }
    return false;
}

/* How large is the screen? Waits a little, so that the first drawing fits. True: as above. */
static bool wait_for_size(struct top *t)
{
    uint64_t until = clock_ns() + ANSWER_NS;

    put_text(t, TERMKEYS_ASK_SIZE);
    flush(t);
    for (uint64_t now; (now = clock_ns()) < until;) {
        int byte = term_wait(until - now), key;

        key = byte < 0 ? TERMKEYS_NONE : termkeys_feed(&t->keys, (unsigned char)byte);
        if (ends(key))
            return true;
        if (key == TERMKEYS_REPORT) {
            resized(t);
            break;
        }
    }
    return false;
}

/* ---- the loops ---- */

static int run_live(struct top *t)
{
    int rc = 0;
    bool end;

    put_text(t, SCREEN_BEGIN);
    end = wait_for_size(t);
    while (!end && (rc = take_sample(t)) == 0) {
        draw(t);
        if (t->left != UINT64_MAX && !--t->left)
            break;
        end = wait_and_obey(t, sample(t)->ns + t->delay_ns);
        put_text(t, TERMKEYS_ASK_SIZE);
    }
    put_text(t, SCREEN_END);
    flush(t);
    return rc;
}

/* What is typed meanwhile is the next command's. */
static int run_batch(struct top *t)
{
    int rc;

    while ((rc = take_sample(t)) == 0) {
        draw(t);
        if (t->left != UINT64_MAX && !--t->left)
            break;
        if (term_sleep(t->delay_ns))
            break;
    }
    return rc;
}

static int parse_numbers(struct top *t, const char *delay, const char *iterations)
{
    if (delay && !parse_delay(delay, &t->delay_ns))
        return cli_refuse(t->command, -XEN_EINVAL,
                          "bad delay '%.20s': write seconds, from 0.1 to %u", delay, DELAY_MAX);
    if (iterations && (!options_number(iterations, UINT32_MAX, &t->left) || !t->left))
        return cli_refuse(t->command, -XEN_EINVAL,
                          "bad number of iterations '%.20s': write 1 or more", iterations);
    return 0;
}

int cmd_top(int argc, char **argv)
{
    struct top *t = calloc(1, sizeof *t);
    const char *delay = NULL, *iterations = NULL;
    char why[CLI_WHY_MAX];
    int rc;

    if (!t)
        return cli_refuse(argv[0], -XEN_ENOMEM, "dom0 is out of memory");
    const struct option options[] = {{'b', "batch", &t->batch, NULL},
                                     {'i', "iterations", NULL, &iterations},
                                     {'d', "delay", NULL, &delay},
                                     {'v', "vcpus", &t->vcpus, NULL},
                                     {'x', "vbds", &t->disks, NULL},
                                     {'f', "full-name", &t->whole_names, NULL},
                                     OPTIONS_END};

    t->command = argv[0];
    t->delay_ns = DELAY_DEFAULT;
    t->left = UINT64_MAX;
    t->rows = ROWS_DEFAULT;
    t->columns = COLUMNS_DEFAULT;
    rc = options_take(argc, argv, options, why, sizeof why);
    if (rc < 0)
        cli_refuse(argv[0], rc, "%s: `help %s` shows them", why, argv[0]);
    else if (rc > 1)
        rc = cli_usage(argv[0]);
    else
        rc = parse_numbers(t, delay, iterations);
    if (rc == 0) {
        rc = t->batch ? run_batch(t) : run_live(t);
        if (rc < 0)
            cli_refuse(argv[0], rc, "no figures: %s", vfs_strerror(rc));
    }
    topsample_free(&t->samples[0]);
    topsample_free(&t->samples[1]);
    free(t);
    return rc;
}
