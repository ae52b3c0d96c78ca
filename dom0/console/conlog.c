/* SPDX-License-Identifier: MIT */
/* Retained logs: a list of slots, each free, of a living domain, or of a past one. */

#include "dom0/console/conlog.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

static_assert(sizeof(struct conlog) + 64 <= 65536, "a slot is 16 pages, not 32");

static struct conlog *slots;
static unsigned slot_count;
static uint64_t order;

static struct conlog *add_slot(void)
{
    struct conlog *log = calloc(1, sizeof(*log));

    if (log) {
        log->next = slots;
        slots = log;
        slot_count++;
    }
    return log;
}

static void remove_slot(struct conlog *log)
{
    struct conlog **link = &slots;

    while (*link != log) {
        link = &(*link)->next;
    }
    *link = log->next;
    slot_count--;
    free(log);
}

int conlog_start(void)
{
    while (slot_count < CONLOG_SLOTS) {
        if (!add_slot()) {
            return -XEN_ENOMEM;
        }
    }
    return 0;
}

void conlog_stop(void)
{
    while (slots) {
        remove_slot(slots);
    }
}

/* The log that died first, and how many there are. */
static struct conlog *oldest_past(unsigned *count)
{
    struct conlog *oldest = NULL;

    *count = 0;
    for (struct conlog *log = slots; log; log = log->next) {
        if (log->state == CONLOG_PAST) {
            ++*count;
            if (!oldest || log->order < oldest->order) {
                oldest = log;
            }
        }
    }
    return oldest;
}

static struct conlog *find_room(void)
{
    unsigned past;
    struct conlog *oldest = oldest_past(&past);

    for (struct conlog *log = slots; log; log = log->next) {
        if (log->state == CONLOG_FREE) {
            return log;
        }
    }
    if (past > CONLOG_DEAD) {
        return oldest;
    }
    struct conlog *more = add_slot();
    return more ? more : oldest;
}

struct conlog *conlog_open(unsigned domid, const char *name)
{
    struct conlog *log = find_room();

    if (!log) {
        return NULL;
    }
    log->state = CONLOG_LIVE;
    log->domid = domid;
    snprintf(log->name, sizeof(log->name), "%s", name);
    log->order = ++order;
    log->total = 0;
    return log;
}

void conlog_close(struct conlog *log)
{
    unsigned past;
    struct conlog *oldest;

    log->state = CONLOG_PAST;
    log->order = ++order;
    /* Give back what was taken above the usual number. */
    while ((oldest = oldest_past(&past)) && past > CONLOG_DEAD && slot_count > CONLOG_SLOTS) {
        remove_slot(oldest);
    }
}

void conlog_write(struct conlog *log, const void *data, size_t n)
{
    const char *p = data;

    if (n > CONLOG_SIZE) {
        log->total += n - CONLOG_SIZE;
        p += n - CONLOG_SIZE;
        n = CONLOG_SIZE;
    }
    while (n > 0) {
        size_t at = (size_t)(log->total % CONLOG_SIZE);
        size_t part = CONLOG_SIZE - at < n ? CONLOG_SIZE - at : n;

        memcpy(log->data + at, p, part);
        log->total += part;
        p += part;
        n -= part;
    }
}

size_t conlog_read(const struct conlog *log, uint64_t *pos, void *buf, size_t n, uint64_t *skipped)
{
    uint64_t first = log->total > CONLOG_SIZE ? log->total - CONLOG_SIZE : 0;

    *skipped = *pos < first ? first - *pos : 0;
    *pos += *skipped;
    if (*pos >= log->total) {
        return 0;
    }
    size_t at = (size_t)(*pos % CONLOG_SIZE);
    if (n > log->total - *pos) {
        n = (size_t)(log->total - *pos);
    }
    if (n > CONLOG_SIZE - at) {
        n = CONLOG_SIZE - at;
    }
    memcpy(buf, log->data + at, n);
    *pos += n;
    return n;
}

static bool matches(const struct conlog *log, const char *text)
{
    char number[16];

    snprintf(number, sizeof(number), "%u", log->domid);
    return strcmp(log->name, text) == 0 || strcmp(number, text) == 0;
}

static bool better(const struct conlog *a, const struct conlog *b)
{
    if (!b || a->state != b->state) {
        return !b || a->state == CONLOG_LIVE;
    }
    return a->order > b->order;
}

struct conlog *conlog_find(const char *name_or_number)
{
    struct conlog *best = NULL;

    for (struct conlog *log = slots; log; log = log->next) {
        if (log->state != CONLOG_FREE && matches(log, name_or_number) && better(log, best)) {
            best = log;
        }
    }
    return best;
}

struct conlog *conlog_next(const struct conlog *log)
{
    struct conlog *next = log ? log->next : slots;

    while (next && next->state == CONLOG_FREE) {
        next = next->next;
    }
    return next;
}
