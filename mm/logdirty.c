/* SPDX-License-Identifier: MIT */
/*
 * See logdirty.h. Bits are in pages of LOG_PAGE_GFNS gfns, made when the log is switched on where
 * the domain has memory, and later when it gets memory in a range that had none: so marking, which
 * happens in the middle of faults, never needs memory.
 *
 * Bits and GFN_LOGGED change together. Cleaning a frame takes its writable leaves away, but a
 * processor may have them cached still (S3): so the bits of a step are handed out only after the
 * flush at its end. A frame that was lent for writing until a moment ago may be cached anywhere:
 * for those the stamp of paging_alias_put() is waited for, as shadow_protect() does.
 */
#include "mm/logdirty.h"

#include <string.h>
#include <xen/errno.h>

#include "mm/heap.h"
#include "mm/rmap.h"
#include "mm/tlb.h"

#define LOG_PAGE_BITS 15
#define LOG_PAGE_GFNS (1UL << LOG_PAGE_BITS)

_Static_assert(LOG_PAGE_GFNS == PAGE_SIZE * 8, "a page of bits");
_Static_assert(LOG_PAGE_GFNS % LOG_STEP == 0, "a step lies in one page");

static uint64_t pages_for(uint64_t gfns)
{
    return (gfns + LOG_PAGE_GFNS - 1) >> LOG_PAGE_BITS;
}

/* The word with the gfn's bit; NULL where the domain never had memory. */
static uint64_t *word_of(const struct paging *p, uint64_t gfn)
{
    uint64_t *page = p->log.pages[gfn >> LOG_PAGE_BITS];

    return page ? &page[gfn % LOG_PAGE_GFNS / 64] : NULL;
}

static uint64_t bit_of(uint64_t gfn)
{
    return 1UL << gfn % 64;
}

/* ---- for the rest of mm/, the lock held ---- */

void log_mark_gfn(struct paging *p, gfn_t gfn)
{
    uint64_t *word = p->log.state == LOG_OFF ? NULL : word_of(p, gfn.n);

    if (!word || (*word & bit_of(gfn.n)))
        return;
    *word |= bit_of(gfn.n);
    p->log.stats.dirty++;
}

void log_mark(struct paging *p, struct gfn_record *r, gfn_t gfn)
{
    r->word &= ~GFN_LOGGED;
    log_mark_gfn(p, gfn);
}

uint64_t log_flag(const struct paging *p, gfn_t gfn)
{
    if (p->log.state != LOG_ON && p->log.state != LOG_STARTING)
        return 0;
    const uint64_t *word = word_of(p, gfn.n);
    return word && !(*word & bit_of(gfn.n)) ? GFN_LOGGED : 0;
}

long log_reserve(struct paging *p, gfn_t gfn)
{
    if (p->log.state != LOG_STARTING && p->log.state != LOG_ON)
        return 0;
    uint64_t **page = &p->log.pages[gfn.n >> LOG_PAGE_BITS];
    if (!*page)
        *page = heap_alloc(PAGE_SIZE);
    return *page ? 0 : -XEN_ENOMEM;
}

long log_grow(struct paging *p, uint64_t gfns)
{
    uint64_t have = pages_for(p->ram_limit), **bigger;

    if (p->log.state == LOG_OFF || pages_for(gfns) <= have)
        return 0;
    bigger = heap_calloc(pages_for(gfns), sizeof *bigger);
    if (!bigger)
        return -XEN_ENOMEM;
    memcpy(bigger, p->log.pages, have * sizeof *bigger);
    heap_free(p->log.pages);
    p->log.pages = bigger;
    return 0;
}

void log_free(struct paging *p)
{
    for (uint64_t i = 0; p->log.pages && i < pages_for(p->ram_limit); i++)
        heap_free(p->log.pages[i]);
    heap_free(p->log.pages);
    p->log = (struct paging_log){.state = LOG_OFF};
}

/* ---- cleaning ---- */

/* No shadow writes the frame from the flush on. False: somebody else may; it stays dirty. *stamp:
 * the latest moment since which it must have been flushed everywhere. */
static bool protect(struct paging *p, struct gfn_record *r, uint64_t *stamp)
{
    const struct frame *f = frame_of(record_mfn(r));

    if (__atomic_load_n(&f->writers, __ATOMIC_ACQUIRE))
        return false;
    uint64_t put = __atomic_load_n(&f->stamp, __ATOMIC_ACQUIRE);
    if (put > *stamp)
        *stamp = put;
    rmap_write_protect(p, r);
    r->word |= GFN_LOGGED;
    tables_changed(p);
    return true;
}

static void flush(struct paging *p, uint64_t stamp)
{
    tlb_wait_safe(stamp);
    shadow_flush_removed(p);
}

/* Cleans the dirty ones of these bits of 64 gfns. */
static void clean_word(struct paging *p, uint64_t gfn, uint64_t bits, uint64_t *stamp)
{
    uint64_t *word = word_of(p, gfn);

    for (uint64_t left = bits; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        struct gfn_record *r = p2m_record(p, gfn + i);
        if (!record_is_ram(r) || protect(p, r, stamp))
            *word &= ~(1UL << i);
    }
}

/* Of the 64 bits from number `from` on, those below `count`. */
static uint64_t bits_below(uint64_t count, uint64_t from)
{
    if (count >= from + 64)
        return ~0UL;
    return count > from ? (1UL << (count - from)) - 1 : 0;
}

void log_collect(struct paging *p, uint64_t first, uint64_t count, bool clean,
                 uint64_t bits[LOG_WORDS])
{
    uint64_t stamp = 0, all = 0, *word = NULL;

    memset(bits, 0, LOG_WORDS * sizeof bits[0]);
    paging_lock(p);
    if (p->log.state == LOG_ON && first < p->ram_limit)
        word = word_of(p, first);
    for (unsigned i = 0; word && i < LOG_WORDS; i++) {
        bits[i] = word[i] & bits_below(count, 64UL * i);
        if (clean)
            clean_word(p, first + 64UL * i, bits[i], &stamp);
        all |= bits[i];
    }
    if (clean && all)
        flush(p, stamp);
    paging_unlock(p);
}

void log_restore(struct paging *p, uint64_t first, const uint64_t bits[LOG_WORDS])
{
    paging_lock(p);
    for (uint64_t n = 0; p->log.state == LOG_ON && n < LOG_STEP; n++) {
        struct gfn_record *r;
        if (!(bits[n / 64] & bit_of(n)))
            continue;
        r = p2m_record(p, first + n);
        if (record_is_ram(r))
            log_mark(p, r, gfn_of(first + n));
        else
            log_mark_gfn(p, gfn_of(first + n));
    }
    paging_unlock(p);
}

struct log_stats log_stats(struct paging *p, bool clear)
{
    struct log_stats stats;

    paging_lock(p);
    stats = p->log.stats;
    if (clear)
        p->log.stats = (struct log_stats){0};
    paging_unlock(p);
    return stats;
}

/* ---- on and off ---- */

/* No gfn of this step has a record. */
static bool step_is_empty(const struct paging *p, uint64_t first)
{
    for (uint64_t gfn = first; gfn < first + LOG_STEP && gfn < p->ram_limit; gfn += CHUNK_RECORDS)
        if (p->ram[gfn >> CHUNK_BITS])
            return false;
    return true;
}

static long start_step(struct paging *p)
{
    uint64_t stamp = 0;

    if (step_is_empty(p, p->log.at))
        return 0;
    if (log_reserve(p, gfn_of(p->log.at)))
        return -XEN_ENOMEM;
    for (uint64_t gfn = p->log.at; gfn < p->log.at + LOG_STEP; gfn++) {
        struct gfn_record *r = p2m_record(p, gfn);
        /* What was marked since we began stays so. */
        if (record_is_ram(r) && !(*word_of(p, gfn) & bit_of(gfn)) && !protect(p, r, &stamp))
            log_mark_gfn(p, gfn_of(gfn));
    }
    flush(p, stamp);
    return 0;
}

static void stop_step(struct paging *p)
{
    if (step_is_empty(p, p->log.at))
        return;
    for (uint64_t gfn = p->log.at; gfn < p->log.at + LOG_STEP; gfn++) {
        struct gfn_record *r = p2m_record(p, gfn);
        if (record_is_ram(r))
            r->word &= ~GFN_LOGGED;
    }
}

/* An empty step costs next to nothing: this many are taken for one. */
#define EMPTY_STEPS 64

/* One step that does something; true at the end. */
static bool advance(struct paging *p)
{
    unsigned empty = 0;

    do
        p->log.at += LOG_STEP;
    while (p->log.at < p->ram_limit && step_is_empty(p, p->log.at) && ++empty < EMPTY_STEPS);
    return p->log.at >= p->ram_limit;
}

/* Goes over all records from the first one on. */
static void enter(struct paging *p, enum log_state state)
{
    p->log.state = state;
    p->log.at = 0;
}

static long step_of_stopping(struct paging *p)
{
    uint64_t page = p->log.at >> LOG_PAGE_BITS;
    bool done;

    stop_step(p);
    done = advance(p);
    for (; page < p->log.at >> LOG_PAGE_BITS && page < pages_for(p->ram_limit); page++) {
        heap_free(p->log.pages[page]);
        p->log.pages[page] = NULL;
    }
    if (done)
        log_free(p);
    return done ? 0 : -XEN_ERESTART;
}

static long begin(struct paging *p)
{
    if (p->dying || p->log.state == LOG_ON)
        return -XEN_EINVAL;
    if (p->log.state == LOG_STARTING)
        return 0;
    if (p->log.state == LOG_STOPPING) { /* somebody did not see it through */
        step_of_stopping(p);
        return -XEN_ERESTART;
    }
    p->log = (struct paging_log){.pages = heap_calloc(pages_for(p->ram_limit), sizeof(uint64_t *))};
    if (!p->log.pages)
        return -XEN_ENOMEM;
    enter(p, LOG_STARTING);
    return 0;
}

long log_enable(struct paging *p)
{
    long rc;

    paging_lock(p);
    rc = begin(p);
    if (!rc) {
        rc = start_step(p);
        if (rc)
            enter(p, LOG_STOPPING);
        else if (advance(p))
            p->log.state = LOG_ON;
        else
            rc = -XEN_ERESTART;
    }
    paging_unlock(p);
    return rc;
}

long log_disable(struct paging *p)
{
    long rc = 0;

    paging_lock(p);
    if (p->log.state == LOG_STARTING || p->log.state == LOG_ON)
        enter(p, LOG_STOPPING);
    if (p->log.state == LOG_STOPPING)
        rc = step_of_stopping(p);
    paging_unlock(p);
    return rc;
}
