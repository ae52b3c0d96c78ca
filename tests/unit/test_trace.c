/* SPDX-License-Identifier: MIT */
/* The scheduler's trace: rings that overwrite their oldest records, and domain 0's way to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <xen/errno.h>
#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/trace_op.h"
#include "sched/trace.h"
#include "tests/unit/fake_arch.h"

#define PCPUS   3
#define RECORDS 128u /* of a ring of 4 KiB */
#define DOMAINS 20

static struct domain domains[DOMAINS];
static struct vcpu vcpus[DOMAINS][VCPU_MAX];
static int references;

/* ---- what the module asks of others ---- */

struct domain *domain_next(domid_t id)
{
    if (id >= DOMAINS)
        return NULL;
    references++;
    return &domains[id];
}

void domain_put(struct domain *d)
{
    (void)d;
    references--;
}

void sched_get_params(struct domain *d, unsigned *weight, unsigned *cap)
{
    *weight = 1000u + d->id;
    *cap = d->id;
}

void sched_runstate(struct vcpu *v, struct vcpu_runstate_info *out)
{
    *out =
        (struct vcpu_runstate_info){.state = v->id % 4, .state_entry_time = 0x123456789a + v->id};
}

size_t arch_copy_to_guest(uint64_t va, const void *src, size_t bytes)
{
    if (!va)
        return bytes;
    memcpy((void *)va, src, bytes);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    fake_machine_start(4096, PCPUS);
    memset(domains, 0, sizeof domains);
    memset(vcpus, 0, sizeof vcpus);
    for (unsigned d = 0; d < DOMAINS; d++) {
        domains[d].id = (domid_t)d;
        domains[d].vcpu_max = VCPU_MAX;
        for (unsigned i = 0; i < VCPU_MAX; i++) {
            domains[d].vcpu[i] = &vcpus[d][i];
            vcpus[d][i].domain = &domains[d];
            vcpus[d][i].id = i;
        }
    }
    references = 0;
    return 0;
}

static int teardown(void **state)
{
    struct penumbra_trace t = {.cmd = PENUMBRA_TRACE_clear};

    (void)state;
    assert_int_equal(trace_op(&t), 0);
    assert_int_equal(references, 0);
    fake_machine_stop();
    return 0;
}

static long op(struct penumbra_trace *t, uint32_t cmd)
{
    t->cmd = cmd;
    return trace_op(t);
}

static void start(uint32_t kib)
{
    struct penumbra_trace t = {.kib = kib};

    assert_int_equal(op(&t, PENUMBRA_TRACE_start), 0);
}

static void write_records(unsigned pcpu, unsigned n, uint64_t from)
{
    fake.pcpu = pcpu;
    for (unsigned i = 0; i < n; i++)
        trace_kick(&vcpus[1][2], 7, from + i);
    fake.pcpu = 0;
}

/* ---- rings ---- */

static void test_off_records_nothing(void **state)
{
    struct penumbra_trace t = {.count = 5};
    struct trace_record r[5];
    uint64_t first = 0;

    (void)state;
    write_records(0, 3, 0);
    assert_int_equal(trace_read(0, &first, r, 5), 0);
    assert_int_equal(op(&t, PENUMBRA_TRACE_status), 0);
    assert_int_equal(t.on, 0);
    assert_int_equal(t.kib, 0);
    assert_int_equal(t.count, 0);
}

static void test_record_is_xens(void **state)
{
    const struct t_rec *x;
    struct trace_record r;
    uint64_t first = 0;

    (void)state;
    start(4);
    trace_runstate(&vcpus[3][1], RUNSTATE_runnable, RUNSTATE_running, 0x1122334455667788);
    assert_int_equal(trace_read(0, &first, &r, 1), 1);
    x = (const struct t_rec *)&r;
    assert_int_equal(x->cycles_included, 1);
    assert_int_equal(x->extra_u32, 1);
    assert_int_equal(x->event, 0x21101);
    assert_int_equal(x->u.cycles.cycles_lo, 0x55667788);
    assert_int_equal(x->u.cycles.cycles_hi, 0x11223344);
    assert_int_equal(x->u.cycles.extra_u32[0], 3 << 16 | 1);
    assert_true(TRACE_IS_RUNSTATE(x->event));
    assert_int_equal(TRACE_RUNSTATE_FROM(x->event), RUNSTATE_runnable);
    assert_int_equal(TRACE_RUNSTATE_TO(x->event), RUNSTATE_running);
}

/* Another number of records each time: at every point of the ring the newest are there, in order,
 * and what is gone is told by the first one's number. */
static void test_oldest_give_way(void **state)
{
    struct trace_record r[RECORDS];

    (void)state;
    for (unsigned n = 0; n < 3 * RECORDS; n++) {
        uint64_t first = 0;
        unsigned got;

        start(4);
        write_records(1, n, 1000);
        got = trace_read(1, &first, r, RECORDS);
        assert_int_equal(first + got, n);
        assert_int_equal(first, n < RECORDS ? 0 : n - RECORDS + 1);
        for (unsigned i = 0; i < got; i++)
            assert_int_equal(TRACE_TIME(&r[i]), 1000 + first + i);
        assert_int_equal(trace_head(0), 0); /* rings of their own */
    }
}

static void test_reads_go_on(void **state)
{
    struct trace_record r[50];
    uint64_t first = 0;

    (void)state;
    start(4);
    write_records(0, 100, 0);
    assert_int_equal(trace_read(0, &first, r, 50), 50);
    first += 50;
    write_records(0, 90, 100); /* 190 in all: 63 is the oldest */
    assert_int_equal(trace_read(0, &first, r, 50), 50);
    assert_int_equal(first, 190 - RECORDS + 1);
    assert_int_equal(TRACE_TIME(&r[0]), 190 - RECORDS + 1);
    first = 190;
    assert_int_equal(trace_read(0, &first, r, 50), 0);
    assert_int_equal(first, 190);
    first = UINT64_MAX;
    assert_int_equal(trace_read(0, &first, r, 50), 0);
}

static void test_stop_keeps_and_start_empties(void **state)
{
    struct trace_record r;
    uint64_t first = 0;

    (void)state;
    start(4);
    write_records(2, 5, 0);
    trace_stop();
    write_records(2, 5, 0);
    assert_int_equal(trace_head(2), 5);
    start(8);
    assert_int_equal(trace_capacity(), 2 * RECORDS);
    assert_int_equal(trace_read(2, &first, &r, 1), 0);
}

/* ---- domain 0's calls ---- */

static void test_sizes(void **state)
{
    static const uint32_t bad[] = {0, 1, 2, 3, 5, 4095, 8192, 1u << 31, UINT32_MAX};
    uint64_t free_before = frame_free_count();
    struct penumbra_trace t = {0};

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        t.kib = bad[i];
        assert_int_equal(op(&t, PENUMBRA_TRACE_start), -XEN_EINVAL);
    }
    t.kib = 4096;
    assert_int_equal(op(&t, PENUMBRA_TRACE_start), 0);
    assert_int_equal(frame_free_count(), free_before - PCPUS * 1024);
    t.kib = 8;
    assert_int_equal(op(&t, PENUMBRA_TRACE_start), 0);
    assert_int_equal(frame_free_count(), free_before - PCPUS * 2);
    assert_int_equal(op(&t, PENUMBRA_TRACE_clear), 0);
    assert_int_equal(frame_free_count(), free_before);
    assert_int_equal(op(&t, PENUMBRA_TRACE_clear), 0);
}

/* Memory for two rings and a half: nothing stays taken. */
static void test_no_memory(void **state)
{
    struct penumbra_trace t = {.kib = 4096};
    uint64_t free_before;

    (void)state;
    fake_machine_stop();
    fake_machine_start(2900, PCPUS);
    free_before = frame_free_count();
    assert_int_equal(op(&t, PENUMBRA_TRACE_start), -XEN_ENOMEM);
    assert_int_equal(frame_free_count(), free_before);
    write_records(0, 1, 0);
    assert_int_equal(op(&t, PENUMBRA_TRACE_status), 0);
    assert_int_equal(t.kib, 0);
    assert_int_equal(t.on, 0);
    assert_int_equal(t.count, 0);
}

static void test_read_call(void **state)
{
    struct trace_record *r = calloc(1000, sizeof *r);
    struct penumbra_trace t = {.pcpu = 1, .count = 1000, .buffer = (uint64_t)r};

    (void)state;
    start(64);
    write_records(1, 700, 0);
    assert_int_equal(op(&t, PENUMBRA_TRACE_read), 0);
    assert_int_equal(t.first, 0);
    assert_int_equal(t.count, 512); /* of one call */
    t.first += t.count;
    t.count = 1000;
    assert_int_equal(op(&t, PENUMBRA_TRACE_read), 0);
    assert_int_equal(t.count, 700 - 512);
    assert_int_equal(TRACE_TIME(&r[0]), 512);
    assert_int_equal(TRACE_TIME(&r[700 - 513]), 699);
    assert_int_equal(r[700 - 512].header, r[511].header); /* behind the answer nothing changed */
    t = (struct penumbra_trace){.pcpu = 1, .count = 10};
    assert_int_equal(op(&t, PENUMBRA_TRACE_read), -XEN_EFAULT);
    t = (struct penumbra_trace){.pcpu = 1, .count = 0};
    assert_int_equal(op(&t, PENUMBRA_TRACE_read), 0);
    t = (struct penumbra_trace){.pcpu = 1, .first = UINT64_MAX, .count = UINT64_MAX};
    assert_int_equal(op(&t, PENUMBRA_TRACE_read), 0);
    assert_int_equal(t.count, 0);
    free(r);
}

static void test_status(void **state)
{
    struct penumbra_trace t = {.pcpu = 2};

    (void)state;
    start(4);
    write_records(2, 130, 0);
    assert_int_equal(op(&t, PENUMBRA_TRACE_status), 0);
    assert_int_equal(t.on, 1);
    assert_int_equal(t.kib, 4);
    assert_int_equal(t.pcpus, PCPUS);
    assert_int_equal(t.first, 3);
    assert_int_equal(t.count, 127);
    t.pcpu = PCPUS;
    assert_int_equal(op(&t, PENUMBRA_TRACE_status), -XEN_EINVAL);
    assert_int_equal(op(&t, PENUMBRA_TRACE_read), -XEN_EINVAL);
    t.pcpu = UINT32_MAX;
    assert_int_equal(op(&t, PENUMBRA_TRACE_status), -XEN_EINVAL);
    assert_int_equal(op(&t, 0), -XEN_ENOSYS);
    assert_int_equal(op(&t, PENUMBRA_TRACE_read + 1), -XEN_ENOSYS);
}

/* Each vCPU once, in pieces that are bounded. */
static void test_mark(void **state)
{
    static unsigned seen[DOMAINS][VCPU_MAX];
    struct penumbra_trace t = {0};
    struct trace_record r;
    uint64_t first = 0;
    unsigned calls = 0;

    (void)state;
    memset(seen, 0, sizeof seen);
    start(256);
    do {
        uint64_t before = trace_head(0);
        assert_int_equal(op(&t, PENUMBRA_TRACE_mark), 0);
        assert_true(trace_head(0) - before < 512 + VCPU_MAX + 1);
        calls++;
    } while (t.count);
    assert_true(calls > 1);
    for (; trace_read(0, &first, &r, 1); first++) {
        unsigned d = r.word[0] >> 16, v = r.word[0] & 0xffff;

        if (TRC_HD_TO_EVENT(r.header) == TRACE_PARAMS) {
            assert_int_equal(r.word[1], 1000 + r.word[0]);
            assert_int_equal(r.word[2], r.word[0]);
            continue;
        }
        assert_int_equal(TRC_HD_TO_EVENT(r.header), TRACE_STATE);
        assert_int_equal(r.word[1] >> 16, v % 4);
        assert_int_equal((uint64_t)r.word[3] << 32 | r.word[2], 0x123456789a + v);
        seen[d][v]++;
    }
    for (unsigned d = 0; d < DOMAINS; d++)
        for (unsigned v = 0; v < VCPU_MAX; v++)
            assert_int_equal(seen[d][v], 1);
    t.first = UINT64_MAX;
    assert_int_equal(op(&t, PENUMBRA_TRACE_mark), 0);
    assert_int_equal(t.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_off_records_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_is_xens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_oldest_give_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reads_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_keeps_and_start_empties, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mark, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
