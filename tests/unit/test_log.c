/* SPDX-License-Identifier: MIT */
/*
 * The log (hv/log.c): prefixes, who sees which level, the ring's index across its end; and the
 * order of the locks (hv/lock.c), which in a debug build must panic with both names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/lib/format.h"
#include "hv/lock.h"
#include "hv/log.h"
#include "io/serial.h"

static char sent[4096];
static size_t sent_count;
static uint64_t now;
static unsigned pcpu;

void serial_write(const char *s, size_t n)
{
    for (size_t i = 0; i < n && sent_count < sizeof sent - 1; i++)
        sent[sent_count++] = s[i];
    sent[sent_count] = '\0';
}

uint64_t arch_time_ns(void)
{
    return now;
}

unsigned arch_pcpu_id(void)
{
    return pcpu;
}

/* Nobody waits for a lock here: tests/unit/test_lock.c. */
void arch_cpu_relax(void)
{
    fail_msg("waits for ever");
}

void tlb_wait_begin(void)
{
}

void tlb_wait_end(void)
{
}

/* The house's printf has its own file and test. */
int format_print(format_sink sink, void *context, const char *fmt, va_list ap)
{
    char text[1024];
    int n = vsnprintf(text, sizeof text, fmt, ap);

    sink(context, text, (size_t)n);
    return n;
}

static jmp_buf panicked;
static char panic_text[200];

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(panic_text, sizeof panic_text, fmt, ap);
    va_end(ap);
    longjmp(panicked, 1);
}

static char *log_tail(uint32_t *index)
{
    static char text[LOG_BYTES + 1];

    text[log_read(text, LOG_BYTES, index)] = '\0';
    return text;
}

static void test_lines(void **state)
{
    uint32_t index = 0;

    (void)state;
    log_info("one ");
    log_info("line\ntwo");
    log_info("\n");
    log_warn("w\n");
    assert_string_equal(log_tail(&index), "[pen] one line\n[pen] two\n[pen] w\n");
    assert_string_equal(sent, "[pen] one line\n[pen] two\n[pen] w\n");
    assert_string_equal(log_tail(&index), "");

    log_owned_by_dom0();
    sent_count = 0;
    log_info("quiet\n");
    log_error("loud\n");
    assert_string_equal(sent, "[pen] loud\n");
    assert_string_equal(log_tail(&index), "[pen] quiet\n[pen] loud\n");
    log_info("x\n");
    log_clear();
    assert_string_equal(log_tail(&index), "");
    index = 0;
    assert_string_equal(log_tail(&index), "");
}

static void test_ring(void **state)
{
    uint32_t index = 0, old;
    char part[10];
    char *text;

    (void)state;
    for (unsigned i = 0; i < 3 * LOG_BYTES / 100; i++)
        log_info("%093u\n", i); /* 100 bytes with the prefix */
    old = 5;                    /* long overwritten */
    text = log_tail(&old);
    assert_int_equal(strlen(text), LOG_BYTES);
    assert_non_null(strstr(text, "000003931\n")); /* the last of 3932 */
    assert_int_equal(log_read(part, sizeof part, &index), sizeof part);
    assert_memory_equal(part, text, sizeof part);
    index = old + 12345; /* never written */
    assert_int_equal(strlen(log_tail(&index)), LOG_BYTES);
}

static void test_refusals(void **state)
{
    struct domain d = {.id = 7};
    uint32_t index = 0;
    char *text;
    unsigned lines = 0;

    (void)state;
    log_clear();
    now = 5000000000UL;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(refuse_log(&d, -22, "f.c", 3, "gfn %lx", 0xabcUL), -22);
    now += 1000000000UL;
    refuse_log(NULL, -1, "f.c", 4, "again");
    text = log_tail(&index);
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines++;
    assert_true(lines >= 3 && lines < 60);
    assert_non_null(strstr(text, "d7 refused (-22) at f.c:3: gfn abc\n"));
    assert_non_null(strstr(text, "more refusals"));
    assert_non_null(strstr(text, "f.c:4: again\n"));
}

static void expect_order_panic(struct spinlock *first, struct spinlock *then, const char *words)
{
    spin_lock(first);
    if (!setjmp(panicked)) {
        spin_lock(then);
        fail_msg("no panic");
    }
    assert_string_equal(panic_text, words);
    spin_unlock(first);
}

static void test_lock_order(void **state)
{
    struct spinlock paging = SPINLOCK_INIT(LOCK_PAGING), other = SPINLOCK_INIT(LOCK_PAGING),
                    heap = SPINLOCK_INIT(LOCK_HEAP);

    (void)state;
    spin_lock(&paging);
    assert_true(spin_held(&paging));
    pcpu = 1;
    assert_false(spin_held(&paging));
    assert_false(spin_trylock(&paging));
    spin_lock(&heap); /* orders are per pCPU */
    spin_unlock(&heap);
    pcpu = 0;
    spin_lock(&heap);
    spin_unlock(&paging); /* release in any order */
    spin_unlock(&heap);

    expect_order_panic(&heap, &paging, "lock order: paging lock wanted while a heap lock is held");
    expect_order_panic(&paging, &other,
                       "lock order: paging lock wanted while a paging lock is held");
    spin_lock_pair(&paging, &other);
    assert_true(spin_held(&other));
    spin_unlock_pair(&paging, &other);
    spin_lock_pair(&paging, &paging);
    spin_unlock_pair(&paging, &paging);
    assert_true(spin_trylock(&heap));
    assert_false(spin_trylock(&heap));
    spin_unlock(&heap);
    if (!setjmp(panicked)) {
        spin_unlock(&heap);
        fail_msg("no panic");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_lock_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
