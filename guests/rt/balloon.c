/* SPDX-License-Identifier: MIT */
/*
 * Giving pages back and taking them (see balloon.h). A page that goes is out of the allocator and
 * mapped nowhere before the hypervisor hears of it: a mapping that stayed would be somebody else's
 * page soon, or keep this one from ever being free. A page that comes gets the lowest pfn that has
 * no frame. Only this thread changes the list of frames after the start.
 */
#include "balloon.h"

#include <stdbool.h>
#include <stdint.h>

#include "hypercall.h"
#include "mm.h"
#include "mm_internal.h"
#include "pt.h"
#include "start.h"
#include "thread.h"
#include "xenbus.h"

#define STEP     MM_BATCH /* pages at once; other threads run in between */
#define RETRY_NS 1000000000UL

static unsigned long target; /* pages; 0: not known yet */
static unsigned long hint;   /* every pfn below it has a frame */
static bool changed;
static struct waitq wait = WAITQ_INIT;

unsigned long balloon_pages(void)
{
    domid_t self = DOMID_SELF;

    return (unsigned long)hypercall_memory_op(XENMEM_current_reservation, &self);
}

unsigned long balloon_target(void)
{
    return target;
}

/* Up to n free pages go; how many did. */
static unsigned give_back(unsigned n)
{
    struct xen_memory_reservation r = {.domid = DOMID_SELF};
    unsigned long pfns[STEP], spare = mm_free_pages();
    xen_pfn_t frames[STEP];
    unsigned count = 0;

    spare = spare > BALLOON_RESERVE ? spare - BALLOON_RESERVE : 0;
    n = n < spare ? n : (unsigned)spare;
    while (count < n && page_withdraw(&pfns[count])) {
        frames[count] = mm_frames[pfns[count]];
        mm_frames[pfns[count]] = FRAME_NONE;
        hint = pfns[count] < hint ? pfns[count] : hint;
        count++;
    }
    if (!count) {
        return 0;
    }
    mm_map_pfns(pfns, count);
    set_xen_guest_handle(r.extent_start, frames);
    r.nr_extents = count;
    if (hypercall_memory_op(XENMEM_decrease_reservation, &r) != (long)count) {
        panic("the hypervisor does not take pages back");
    }
    return count;
}

/* Up to n pfns without a frame, whose page tables exist, into pfns; how many. */
static unsigned find_pfns(unsigned long *pfns, unsigned n)
{
    unsigned count = 0;

    while (hint < mm_limit && mm_frames[hint] != FRAME_NONE) {
        hint++;
    }
    for (unsigned long pfn = hint; pfn < mm_limit && count < n; pfn++) {
        if (mm_frames[pfn] != FRAME_NONE) {
            continue;
        }
        if (!pt_walk(pt_kernel_root(), (unsigned long)pfn_to_virt(pfn), true)) {
            break;
        }
        pfns[count++] = pfn;
    }
    return count;
}

/* Longer lists for more pages than there ever were: as long as they are wanted, or as memory for
 * them is to be had now. */
static void make_room(unsigned long limit)
{
    while (limit > mm_limit && mm_extend(limit)) {
        limit = mm_limit + (limit - mm_limit) / 2;
    }
}

/* Up to n pages come; how many did. */
static unsigned take(unsigned n)
{
    struct xen_memory_reservation r = {.domid = DOMID_SELF};
    unsigned long pfns[STEP];
    xen_pfn_t frames[STEP];
    unsigned count = find_pfns(pfns, n), got;

    if (!count) {
        make_room(target);
        count = find_pfns(pfns, n);
    }
    if (!count) {
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        frames[i] = pfns[i];
    }
    set_xen_guest_handle(r.extent_start, frames);
    r.nr_extents = count;
    got = (unsigned)hypercall_memory_op(XENMEM_populate_physmap, &r);
    if (!got || got > count) {
        return 0;
    }
    for (unsigned i = 0; i < got; i++) {
        if (machine_to_phys_mapping[frames[i]] != pfns[i]) {
            panic("frame %#lx is not pfn %#lx by the hypervisor's table", frames[i], pfns[i]);
        }
        mm_frames[pfns[i]] = frames[i];
    }
    mm_map_pfns(pfns, got);
    for (unsigned i = 0; i < got; i++) {
        page_admit(pfns[i]);
    }
    return got;
}

/* A step towards the target; false: there already, or no way on now. */
static bool step(void)
{
    unsigned long has = balloon_pages();

    if (has > target) {
        return give_back(has - target < STEP ? (unsigned)(has - target) : STEP) != 0;
    }
    return has < target && take(target - has < STEP ? (unsigned)(target - has) : STEP) != 0;
}

static void target_changed(const char *path, const char *token, void *arg)
{
    uint64_t kib;

    (void)token;
    (void)arg;
    if (xs_read_u64(path, &kib) || !kib) {
        return;
    }
    target = kib >> (PAGE_SHIFT - 10);
    changed = true;
    waitq_wake(&wait);
}

static void run(void *arg)
{
    uint64_t kib;

    (void)arg;
    hint = mm_limit;
    /* While memory is in one piece yet. */
    if (xs_read_u64("memory/static-max", &kib) == 0) {
        make_room(kib >> (PAGE_SHIFT - 10));
    }
    if (xs_watch("memory/target", "balloon", target_changed, NULL)) {
        return;
    }
    for (;;) {
        bool there = !target || balloon_pages() == target;

        wait_event_timeout(&wait, changed, there ? UINT64_MAX : RETRY_NS);
        changed = false;
        while (target && step()) {
            thread_yield();
        }
    }
}

void balloon_init(void)
{
    if (xs_available()) {
        thread_create("balloon", run, NULL);
    }
}
