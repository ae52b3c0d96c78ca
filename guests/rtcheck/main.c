/* SPDX-License-Identifier: MIT */
/*
 * rtcheck: the runtime's own test, run in a domain of its own or as dom0 of either hypervisor. Each
 * check is a function that returns true; the last line is `rtcheck: N checks ok` or `rtcheck:
 * FAILED ...`. Then it powers off; with crash=1 it ends by a page fault instead, to show the report
 * of one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rt/clock.h>
#include <rt/event.h>
#include <rt/grant.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/thread.h>
#include <rt/trap.h>
#include <rt/xenbus.h>

#include "answers.h"
#include "cpu.h"
#include "exchange.h"
#include "ldt.h"
#include "pagetable.h"
#include "timearea.h"

#define MS 1000000UL

/* Takes all memory in blocks of mixed orders, marks it, finds the marks, and gives all of it back.
 */
static bool check_pages(void)
{
    unsigned long before = mm_free_pages();
    unsigned long *list = NULL;
    unsigned long taken = 0;

    for (int order = 6; order >= 0; order--) {
        unsigned long *block;

        while ((block = page_alloc((unsigned)order))) {
            unsigned long last = (PAGE_SIZE << order) / sizeof(*block) - 1;

            if (block[0] || block[last] || virt_to_pfn(block) & ((1UL << order) - 1)) {
                return false;
            }
            block[0] = (unsigned long)list;
            block[1] = (unsigned long)order;
            block[last] = (unsigned long)block;
            list = block;
            taken += 1UL << order;
        }
    }
    while (list) {
        unsigned long *next = (unsigned long *)list[0];
        unsigned order = (unsigned)list[1];

        if (list[(PAGE_SIZE << order) / sizeof(*list) - 1] != (unsigned long)list) {
            return false;
        }
        page_free(list, order);
        list = next;
    }
    return taken == before && mm_free_pages() == before;
}

static bool check_frames(void)
{
    for (unsigned long pfn = 0; pfn < start_info->nr_pages && pfn < 4096; pfn++) {
        if (mfn_to_virt(virt_to_mfn(pfn_to_virt(pfn))) != pfn_to_virt(pfn)) {
            return false;
        }
    }
    return true;
}

static bool check_malloc(void)
{
    size_t used = malloc_bytes_used();
    volatile size_t huge = SIZE_MAX;
    char *blocks[64];
    bool ok = true;

    for (size_t i = 0; i < 64; i++) {
        blocks[i] = malloc(i * i * 3);
        if (!blocks[i]) {
            panic("no memory for %zu bytes", i * i * 3);
        }
        ok = ok && (unsigned long)blocks[i] % 16 == 0;
        memset(blocks[i], (int)i, i * i * 3);
    }
    for (size_t i = 0; i < 64; i++) {
        blocks[i] = realloc(blocks[i], i * i * 3 + 500);
        for (size_t k = 0; k < i * i * 3; k++) {
            ok = ok && blocks[i][k] == (char)i;
        }
        free(blocks[i]);
    }
    blocks[0] = malloc(huge - 8);
    blocks[1] = calloc(huge / 4, 16);
    return ok && malloc_bytes_used() == used && !blocks[0] && !blocks[1];
}

/* --- threads ------------------------------------------------------------------------------ */

static struct waitq wait = WAITQ_INIT;
static struct mutex lock = MUTEX_INIT;
static unsigned finished, inside, worst;

static void worker(void *arg)
{
    for (int i = 0; i < 20; i++) {
        mutex_lock(&lock);
        inside++;
        worst = inside > worst ? inside : worst;
        if (i % 4 == (long)arg % 4) {
            thread_sleep_ns(MS / 10);
        } else {
            thread_yield();
        }
        inside--;
        mutex_unlock(&lock);
    }
    finished++;
    waitq_wake(&wait);
}

static bool check_threads(void)
{
    unsigned long before;

    free(malloc(100)); /* so that malloc's own pages are there */
    before = mm_free_pages();
    for (int round = 0; round < 5; round++) {
        finished = 0;
        for (long i = 0; i < 20; i++) {
            if (!thread_create("worker", worker, (void *)i)) {
                return false;
            }
        }
        if (!wait_event_timeout(&wait, finished == 20, 20000 * MS)) {
            return false;
        }
        thread_yield();
    }
    return worst == 1 && before - mm_free_pages() < 4;
}

static bool check_clock(void)
{
    uint64_t start = clock_ns(), last = start;

    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_ns();

        if (now < last) {
            return false;
        }
        last = now;
    }
    start = clock_ns();
    thread_sleep_ns(50 * MS);
    last = clock_ns() - start;
    printf("rtcheck: slept %lu us of 50000\n", last / 1000);
    return last >= 50 * MS && last < 60000 * MS; /* an emulator's host may be busy */
}

/* The hypervisor must have found out what time it is: after 2020. */
static bool check_wall_clock(void)
{
    uint64_t sec;

    clock_wall(&sec, NULL);
    printf("rtcheck: time of day %lu s\n", sec);
    return sec > 1577836800;
}

static bool check_timeout(void)
{
    uint64_t start = clock_ns();

    return !wait_event_timeout(&wait, false, 20 * MS) && clock_ns() - start >= 20 * MS &&
           wait_event_timeout(&wait, true, 0);
}

/* --- events, windows, grants -------------------------------------------------------------- */

static unsigned arrived;

static void on_event(evtchn_port_t port, void *arg)
{
    (void)port;
    arrived += *(unsigned *)arg;
    waitq_wake(&wait);
}

/* A channel from this domain to itself; pending events survive masking. */
static bool check_events(void)
{
    unsigned one = 1, hundred = 100;
    int near = event_alloc_unbound(DOMID_SELF, on_event, &one);
    int far = near < 0
                  ? near
                  : event_bind_interdomain(DOMID_SELF, (evtchn_port_t)near, on_event, &hundred);
    bool ok;

    if (far < 0) {
        return false;
    }
    arrived = 0;
    event_send((evtchn_port_t)far);
    ok = wait_event_timeout(&wait, arrived == 1, 1000 * MS);
    event_send((evtchn_port_t)near);
    ok = ok && wait_event_timeout(&wait, arrived == 101, 1000 * MS);
    event_mask((evtchn_port_t)near);
    event_send((evtchn_port_t)far);
    thread_sleep_ns(MS);
    ok = ok && arrived == 101;
    event_unmask((evtchn_port_t)near);
    ok = ok && wait_event_timeout(&wait, arrived == 102, 1000 * MS);
    return ok && event_close((evtchn_port_t)near) == 0 && event_close((evtchn_port_t)far) == 0 &&
           event_send((evtchn_port_t)far) == -XEN_EINVAL;
}

/* SCHEDOP_poll does not sleep over an event that is due, though it was announced before and waits
 * for a port that stays quiet. */
static bool check_poll(void)
{
    unsigned one = 1, none = 0;
    int near = event_alloc_unbound(DOMID_SELF, on_event, &one);
    int far =
        near < 0 ? near : event_bind_interdomain(DOMID_SELF, (evtchn_port_t)near, on_event, &none);
    int quiet = far < 0 ? far : event_alloc_unbound(DOMID_SELF, on_event, &none);
    evtchn_port_t port = (evtchn_port_t)quiet;
    uint64_t start = clock_ns();
    struct sched_poll poll = {.nr_ports = 1, .timeout = start + 5000 * MS};
    bool ok;

    if (quiet < 0) {
        return false;
    }
    set_xen_guest_handle(poll.ports, &port);
    arrived = 0;
    event_upcalls_save();
    event_send((evtchn_port_t)far);
    /* Only the bit: nobody looks at what is pending. */
    __atomic_store_n(&smp_self()->info->evtchn_upcall_mask, 0, __ATOMIC_SEQ_CST);
    hypercall_sched_op(SCHEDOP_poll, &poll);
    ok = arrived == 1 && clock_ns() - start < 5000 * MS;
    return event_close(port) == 0 && event_close((evtchn_port_t)near) == 0 &&
           event_close((evtchn_port_t)far) == 0 && ok;
}

static bool check_map_frames(void)
{
    enum { PAGES = 150 };
    char *pages[PAGES], *window;
    xen_pfn_t frames[PAGES];
    int errs[PAGES];
    bool ok = true;

    for (int i = 0; i < PAGES; i++) {
        pages[i] = page_alloc(0);
        pages[i][7] = (char)i;
        frames[i] = virt_to_mfn(pages[i]);
    }
    window = map_frames(frames, PAGES, DOMID_SELF, MAP_WRITE, NULL);
    for (int i = 0; window && i < PAGES; i++) {
        ok = ok && window[i * PAGE_SIZE + 7] == (char)i;
        window[i * PAGE_SIZE + 8] = (char)~i;
        ok = ok && pages[i][8] == (char)~i;
    }
    unmap_frames(window, PAGES);
    /* A frame that does not exist fails alone. */
    frames[70] = 0xffffffffffUL;
    ok = ok && !map_frames(frames, PAGES, DOMID_SELF, MAP_READ, NULL);
    window = map_frames(frames, PAGES, DOMID_SELF, MAP_READ, errs);
    for (int i = 0; window && i < PAGES; i++) {
        ok = ok && (i == 70 ? errs[i] < 0 : errs[i] == 0 && window[i * PAGE_SIZE + 7] == (char)i);
    }
    ok = ok && window;
    unmap_frames(window, PAGES);
    for (int i = 0; i < PAGES; i++) {
        page_free(pages[i], 0);
    }
    return ok;
}

static domid_t own_number(void)
{
    uint64_t domid;

    return xs_read_u64("domid", &domid) ? 0 : (domid_t)domid;
}

/* A domain may map its own grants. */
static bool check_grants(void)
{
    enum { PAGES = 8 };
    struct grant_mapping map;
    domid_t self = own_number();
    grant_ref_t refs[PAGES], bad = 3000;
    char *pages = page_alloc(3);
    bool ok = true;

    for (int i = 0; i < PAGES; i++) {
        int ref = grant_access(self, virt_to_mfn(pages + i * PAGE_SIZE), i == 5);

        if (ref < 2) {
            printf("rtcheck: grant_access gives %d\n", ref);
            return false;
        }
        refs[i] = (grant_ref_t)ref;
        pages[i * PAGE_SIZE] = (char)('a' + i);
    }
    ok = ok && grant_map(self, refs, PAGES, false, &map) < 0 && !map.va;
    ok = ok && grant_map(self, &bad, 1, false, &map) < 0;
    ok = ok && grant_map(self, refs, PAGES, true, &map) == 0;
    for (int i = 0; ok && i < PAGES; i++) {
        ok = ((char *)map.va)[i * PAGE_SIZE] == 'a' + i && map.pages[i].dev_bus_addr != 0;
    }
    ok = ok && grant_end(refs[0]) == -XEN_EBUSY && grant_unmap(&map) == 0;
    for (int i = 0; ok && i < PAGES; i++) {
        ok = grant_end(refs[i]) == 0;
    }
    page_free(pages, 3);
    return ok && grant_count() == 0;
}

/* --- traps -------------------------------------------------------------------------------- */

static unsigned long fault_address;

static bool skip_fault(struct trap_regs *regs)
{
    fault_address = trap_fault_address();
    regs->rip = regs->rbx;
    return true;
}

/* Stores at `target`, or executes ud2 if that is 0; the handler continues behind the instruction.
 */
static unsigned long fault_at(unsigned long target)
{
    fault_address = 1;
    if (target) {
        asm volatile("lea 1f(%%rip), %%rbx\n\tmovb $0, (%%rax)\n1:"
                     :
                     : "a"(target)
                     : "rbx", "memory");
    } else {
        asm volatile("lea 1f(%%rip), %%rbx\n\tud2\n1:" : : : "rbx", "memory");
    }
    return fault_address;
}

static bool check_traps(void)
{
    static const unsigned char vectors[] = {6, 13, 14};
    unsigned long unmapped = 0x123456789000, not_canonical = 0x8000000000000000;
    unsigned long text = (unsigned long)main;
    bool ok;

    for (unsigned i = 0; i < sizeof(vectors); i++) {
        trap_set_handler(vectors[i], skip_fault);
    }
    ok = fault_at(unmapped) == unmapped && fault_at(text) == text && fault_at(0) != 1 &&
         fault_at(not_canonical) != 1;
    for (unsigned i = 0; i < sizeof(vectors); i++) {
        trap_set_handler(vectors[i], NULL);
    }
    return ok;
}

static const struct {
    const char *name;
    bool (*check)(void);
} checks[] = {
    {"frames", check_frames},
    {"pages", check_pages},
    {"malloc", check_malloc},
    {"clock", check_clock},
    {"threads", check_threads},
    {"timeout", check_timeout},
    {"events", check_events},
    {"map_frames", check_map_frames},
    {"grants", check_grants},
    {"traps", check_traps},
    {"wall clock", check_wall_clock},
    {"xcr0", check_xcr0},
    {"vcpu ports", check_vcpu_ports},
    {"ldt", check_ldt},
    {"ldt pages", check_ldt_pages},
    {"ldt user", check_ldt_user},
    {"ldt vcpus", check_ldt_vcpus},
    {"table stores", check_table_stores},
    {"exchange", check_exchange},
    {"answers", check_answers},
    {"poll", check_poll},
    {"time area", check_time_area},
};

int main(void)
{
    unsigned count = sizeof(checks) / sizeof(*checks);

    for (unsigned i = 0; i < count; i++) {
        printf("rtcheck: %s\n", checks[i].name);
        if (!checks[i].check()) {
            printf("rtcheck: FAILED at %s\n", checks[i].name);
            return 1;
        }
    }
    printf("rtcheck: %u checks ok\n", count);
    if (start_option_u64("crash", 0)) {
        *(volatile int *)start_option_u64("at", 0x10) = 1;
    }
    return 0;
}
