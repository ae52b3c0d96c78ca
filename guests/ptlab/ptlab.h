/* SPDX-License-Identifier: MIT */
/*
 * Between the files of ptlab: a laboratory for changes of page tables. The same work is done with
 * each way that a kernel has of changing an entry, and after every step memory must be what a model
 * says: contents, faults, accessed and dirty bits.
 *
 *      ways.c    the ways
 *      probe.c   reads, writes and calls that may fault
 *      world.c   random tables of all levels beside their model
 *      fork.c    address spaces built, copied on write, and torn down
 *      worst.c   instructions that need as many tables as can be
 *      main.c    vCPUs, options, reports
 */
#ifndef PTLAB_H
#define PTLAB_H

#include <stdbool.h>
#include <stdint.h>

#include <rt/pt.h>
#include <rt/smp.h>

enum way {
    WAY_HYPERCALL,
    WAY_STORE,
    WAY_XCHG,
    WAY_CMPXCHG,
    WAY_LOCKAND,
    WAY_BTS,
    WAY_OTHER, /* instructions that are not emulated: the tables are mapped writable */
    WAYS
};

struct trap_regs;
struct world;
struct family;

/* One vCPU at work. */
struct lab {
    unsigned id;
    enum way way;
    uint64_t random;     /* of the work */
    uint64_t way_random; /* of the way's own choices, so that the work is the same for all */
    uint64_t changes; /* of entries by the way, not counting those that only a hypercall can make */
    uint64_t checks;  /* comparisons with the model */
    struct world *world;   /* its own */
    struct family *family; /* its address spaces */

    /* The last probe's fault (probe.c), and what may resolve one first: true if it did. */
    unsigned long fault_va, fault_error;
    unsigned faults;
    bool (*resolve)(struct lab *lab, unsigned long va, unsigned long error);
};

/* The calling vCPU's, set up by main.c. */
struct lab *lab_self(void);

/* Uniform in [0, n), repeatable for a seed, a vCPU and a sequence of calls. */
static inline uint64_t lab_draw(uint64_t *state)
{
    /* A linear congruential generator (Knuth's constants), its high bits folded in. */
    *state = *state * 6364136223846793005UL + 1442695040888963407UL;
    return *state ^ *state >> 29;
}
static inline uint64_t lab_random(struct lab *lab)
{
    return lab_draw(&lab->random);
}
static inline unsigned lab_pick(struct lab *lab, unsigned n)
{
    return (unsigned)((lab_random(lab) >> 32) % n);
}
static inline unsigned lab_way_pick(struct lab *lab, unsigned n)
{
    return (unsigned)((lab_draw(&lab->way_random) >> 32) % n);
}

/* A moment for others, when there is nothing to do but wait. */
void lab_pause(void);

/* Counts a comparison; the guest panics with the words if it does not hold. */
#define lab_check(lab, holds, ...)                  \
    do {                                            \
        (lab)->checks++;                            \
        if (!(holds)) {                             \
            lab_failed(lab, __LINE__, __VA_ARGS__); \
        }                                           \
    } while (0)
void lab_failed(const struct lab *lab, int line, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

/* ---- ways.c ---- */
extern const char *const way_names[WAYS];

/* True on a hypervisor with shadow page tables. Elsewhere (Xen) only L1 tables can be stored to,
 * and tables are never writable: other levels change by hypercall, and WAY_OTHER cannot be had. */
bool way_has_shadows(void);

/* Are the tables of this way mapped writable? */
bool way_writable(enum way way);

/* Sets an entry of a table of this level to `value` by lab->way. The table is pinned or in use. va:
 * an address that it maps in the present space (level 1), 0 if there is none. No flush. */
void way_set(struct lab *lab, uint64_t *entry, uint64_t value, unsigned level, unsigned long va);

/* A zeroed page that nobody maps becomes a table of this level, pinned, and one that nothing points
 * to memory again. By hypercall; where other vCPUs have used or will use it, a flush of all is the
 * caller's affair: remote ones are dear where many vCPUs share a processor. */
void way_make_table(const struct lab *lab, uint64_t *page, unsigned level);
void way_make_memory(uint64_t *page);

/* mmuext_op with a frame, or an address. */
void way_frame_op(unsigned cmd, const void *page);
void way_flush(unsigned cmd, unsigned long va);

/* ---- probe.c ---- */
/* Each is true if it did not fault; otherwise lab->fault_* tell. probe_call calls a `ret`. */
bool probe_read(struct lab *lab, unsigned long va, uint64_t *value);
bool probe_write(struct lab *lab, unsigned long va, uint64_t value);
bool probe_call(struct lab *lab, unsigned long va);
void probe_init(void);

/* ---- world.c ---- */
/* From page_alloc, on vCPU 0; slot: the first of two L4 entries of the kernel's root that are its
 * own. `shared`: several vCPUs work in it, one at a time. */
struct world *world_create(struct lab *lab, unsigned slot, bool shared);
void world_destroy(struct world *w);
void world_step(struct lab *lab, struct world *w);
/* Every entry of every table against the model. */
void world_compare(struct lab *lab, struct world *w);

/* ---- fork.c ---- */
struct family *family_create(struct lab *lab);
void family_destroy(struct lab *lab);
/* Children made, visited and ended. */
void family_storm(struct lab *lab);

/* ---- worst.c ---- */
/* On vCPU 0, alone; the number of instructions that were tried. */
unsigned worst_run(struct lab *lab);

#endif
