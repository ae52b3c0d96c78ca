/* SPDX-License-Identifier: MIT */
/*
 * Process-context identifiers (Intel SDM vol. 3, 4.10.1): the translations of several roots live
 * side by side in a pCPU's TLB, each under its number, and a load of CR3 with bit 63 set keeps
 * them. One table a pCPU, used by it alone. For arch/x86 only; pure, so that the host can try it.
 *
 * A number belongs to a root from the load that flushed it on. Whatever is to be flushed on this
 * pCPU is flushed by forgetting: the load after that takes a number anew, without bit 63. So what
 * is left in the TLB under a forgotten number can never be used, and the pCPU may note that it has
 * flushed (mm/tlb.h). A root's frame is used for something else only after every pCPU has noted
 * that (S3), so a root is never mistaken for another one of the same address.
 */
#ifndef ARCH_X86_PCID_H
#define ARCH_X86_PCID_H

#include <stdint.h>

#define PCID_COUNT   8 /* 1 to 8; 0 is the hypervisor's own root, which maps nothing of a guest */
#define PCID_NOFLUSH (1UL << 63)

struct pcid_table {
    struct {
        uint64_t root;    /* 0: the number is free */
        uint64_t flushed; /* TLB clock at the beginning of the load that flushed it */
    } slot[PCID_COUNT];
    unsigned next; /* the one to be taken next */
};

/* What to write to CR3 for `root`: with bit 63 if its translations were flushed later than `stamp`.
 * The clock is `now`. */
static inline uint64_t pcid_load(struct pcid_table *t, uint64_t root, uint64_t stamp, uint64_t now)
{
    unsigned i = 0;

    while (i < PCID_COUNT && t->slot[i].root != root)
        i++;
    if (i < PCID_COUNT && t->slot[i].flushed > stamp)
        return root | (i + 1) | PCID_NOFLUSH;
    if (i == PCID_COUNT) {
        i = t->next;
        t->next = (t->next + 1) % PCID_COUNT;
    }
    t->slot[i].root = root;
    t->slot[i].flushed = now;
    return root | (i + 1);
}

/* All of them. */
static inline void pcid_forget(struct pcid_table *t)
{
    for (unsigned i = 0; i < PCID_COUNT; i++)
        t->slot[i].root = 0;
}

/* All but the root that is loaded: an INVLPG reaches the present number only. */
static inline void pcid_forget_others(struct pcid_table *t, uint64_t root)
{
    for (unsigned i = 0; i < PCID_COUNT; i++)
        if (t->slot[i].root != root)
            t->slot[i].root = 0;
}

/* The root's, if they were flushed no later than `stamp`. */
static inline void pcid_forget_older(struct pcid_table *t, uint64_t root, uint64_t stamp)
{
    for (unsigned i = 0; i < PCID_COUNT; i++)
        if (t->slot[i].root == root && t->slot[i].flushed <= stamp)
            t->slot[i].root = 0;
}

#endif
