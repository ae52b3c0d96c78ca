/* SPDX-License-Identifier: MIT */
/* The decoder's short way for plain stores, against the long one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/decode.h"

static void test_word_mov(void **unused)
{
    unsigned known = 0, reg = 99;

    (void)unused;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned opcode = 0x80; opcode < 0x90; opcode++) {
            for (unsigned m = 0; m < 65536; m++) { /* ModRM and SIB */
                uint8_t bytes[15] = {(uint8_t)first, (uint8_t)opcode, (uint8_t)m,
                                     (uint8_t)(m >> 8)};
                unsigned length = insn_word_mov(bytes, &reg);
                struct insn i = {0};

                if (!length)
                    continue;
                known++;
                assert_true(insn_decode(&i, bytes, sizeof bytes));
                assert_true(i.opcode == 0x89 && !i.two_byte && i.rex_w && i.mod != 3);
                assert_int_equal(length, i.length);
                assert_int_equal(reg, i.reg);
                assert_true(length <= 8);
            }
        }
    }
    assert_int_equal(known, 8 * (65536 / 4 * 3)); /* REX.W with any R, X, B; mod 0 to 2 */
}

static void test_registers(void **unused)
{
    struct regs r = {.rax = 0,
                     .rcx = 1,
                     .rdx = 2,
                     .rbx = 3,
                     .rsp = 4,
                     .rbp = 5,
                     .rsi = 6,
                     .rdi = 7,
                     .r8 = 8,
                     .r9 = 9,
                     .r10 = 10,
                     .r11 = 11,
                     .r12 = 12,
                     .r13 = 13,
                     .r14 = 14,
                     .r15 = 15};

    (void)unused;
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(*insn_gpr(&r, i), i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_word_mov),
        cmocka_unit_test(test_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
