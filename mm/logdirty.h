/* SPDX-License-Identifier: MIT */
/*
 * The log of a domain's written frames, one bit a gfn: what live migration and checkpoints ask for.
 *
 * While it is on, a RAM frame is either dirty, with its bit set, or clean: its record has
 * GFN_LOGGED, and no shadow maps it writable. Every way in which its content can change goes by
 * log_write() (mm/paging_priv.h). A gfn whose frame comes or goes is dirty too, and one that
 * somebody else may write (frame.writers: grants, foreign maps, registered pages) stays dirty as
 * long as that lasts, whatever is cleaned.
 *
 * All functions here take the paging lock themselves and hold it for a step of about a tenth of a
 * millisecond at most.
 */
#ifndef MM_LOGDIRTY_H
#define MM_LOGDIRTY_H

#include "mm/paging.h"

/* Everything is clean at first, but for what others may write. -XEN_ERESTART: a step is done, call
 * again; 0: it is on, and no write from now on is missed. -XEN_EINVAL: it is on already, or the
 * domain is dying; -XEN_ENOMEM: it is off, and the next call of either function tidies up. */
long log_enable(struct paging *p);
/* -XEN_ERESTART until done, then 0; 0 at once if it is off. */
long log_disable(struct paging *p);

#define LOG_STEP  1024 /* gfns that log_collect() gives at once */
#define LOG_WORDS (LOG_STEP / 64)

/*
 * The bits of `count` gfns, LOG_STEP at most, from `first` on, a multiple of LOG_STEP: bit n % 64
 * of bits[n / 64] is gfn first + n. Others are 0, and all if the log is off. With `clean` they
 * begin anew: when this returns no processor can write such a frame without setting its bit again,
 * and no write before is missing in `bits`.
 */
void log_collect(struct paging *p, uint64_t first, uint64_t count, bool clean,
                 uint64_t bits[LOG_WORDS]);
/* What log_collect() cleaned could not be told to anybody: it is dirty again. */
void log_restore(struct paging *p, uint64_t first, const uint64_t bits[LOG_WORDS]);

struct log_stats {
    uint32_t faults; /* page faults that only the log made */
    uint32_t dirty;  /* gfns that became dirty; both since they were cleared */
};
struct log_stats log_stats(struct paging *p, bool clear);

#endif
