/* SPDX-License-Identifier: MIT */
/*
 * What the guests have printed: one bounded log per domain, the last CONLOG_SIZE bytes, which
 * outlives the domain. The logs of the latest CONLOG_DEAD dead domains, at least, are kept; the
 * memory for CONLOG_SLOTS logs is taken at the start, so that domains that come and go do not
 * change what is free. Pure.
 */
#ifndef DOM0_CONSOLE_CONLOG_H
#define DOM0_CONSOLE_CONLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONLOG_SIZE  (65536u - 256) /* a slot with its head, and malloc's, fills 16 pages */
#define CONLOG_SLOTS 16
#define CONLOG_DEAD  8
#define CONLOG_NAME  64

struct conlog {
    struct conlog *next;
    enum { CONLOG_FREE, CONLOG_LIVE, CONLOG_PAST } state;
    unsigned domid;
    char name[CONLOG_NAME]; /* cut if longer */
    uint64_t order;         /* of its opening; then of its closing */
    uint64_t total;         /* bytes ever written */
    char data[CONLOG_SIZE];
};

/* Takes the memory; -XEN_ENOMEM or 0. */
int conlog_start(void);
/* Gives everything back (tests). */
void conlog_stop(void);

/* An empty log for a new domain; NULL without memory. */
struct conlog *conlog_open(unsigned domid, const char *name);
/* Its domain is gone; the log may be reused from the next conlog_open on. */
void conlog_close(struct conlog *log);
void conlog_write(struct conlog *log, const void *data, size_t n);

/*
 * Copies up to n bytes from *pos (a count of bytes since the start) on, and moves *pos behind them.
 * What is no longer there is skipped, and *skipped says how much that was.
 */
size_t conlog_read(const struct conlog *log, uint64_t *pos, void *buf, size_t n, uint64_t *skipped);

/*
 * The log of the domain of that name or, if it is a number, with that number: a living one's first,
 * then the one that died last. NULL if there is none.
 */
struct conlog *conlog_find(const char *name_or_number);
/* The next log after `log` (NULL: the first), in no particular order; NULL at the end. */
struct conlog *conlog_next(const struct conlog *log);

#endif
