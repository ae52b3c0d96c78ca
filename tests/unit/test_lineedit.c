/* SPDX-License-Identifier: MIT */
/* The line editor against a model of a terminal: what a person sees must be what the line is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dom0/cli/lineedit.h"

#define PROMPT "dom0> "

/* A terminal that knows the sequences the editor may use, and fails the test on any other. */
static struct {
    char row[LINEEDIT_COLUMNS + 1];
    size_t column;
    unsigned bells, rows;
    char sequence[16];
    size_t sequence_len;
    char last_row[LINEEDIT_COLUMNS + 1]; /* the one above */
} screen;

static void screen_clear_from(size_t column)
{
    memset(screen.row + column, ' ', LINEEDIT_COLUMNS - column);
}

static void screen_sequence(void)
{
    char last = screen.sequence[screen.sequence_len - 1];
    unsigned n = (unsigned)atoi(screen.sequence + 2);

    if (screen.sequence_len == 2 && last == '[')
        return;
    if (last >= '0' && last <= '9')
        return;
    screen.sequence_len = 0;
    if (last == 'K')
        screen_clear_from(screen.column);
    else if (last == 'D') {
        assert_true(n && n <= screen.column);
        screen.column -= n;
    } else if (last == 'C') {
        assert_true(n && screen.column + n < LINEEDIT_COLUMNS);
        screen.column += n;
    } else if (last == 'H')
        screen.column = 0;
    else if (last == 'J')
        screen_clear_from(0);
    else
        fail_msg("sequence ends in %c", last);
}

static void screen_newline(void)
{
    memcpy(screen.last_row, screen.row, sizeof screen.row);
    screen_clear_from(0);
    screen.column = 0;
    screen.rows++;
}

static void screen_byte(char c)
{
    if (screen.sequence_len) {
        screen.sequence[screen.sequence_len++] = c;
        screen.sequence[screen.sequence_len] = 0;
        screen_sequence();
    } else if (c == '\033') {
        screen.sequence[screen.sequence_len++] = c;
    } else if (c == '\r') {
        screen.column = 0;
    } else if (c == '\n') {
        screen_newline();
    } else if (c == '\a') {
        screen.bells++;
    } else if (((unsigned char)c & 0xc0) == 0x80) {
        ; /* the character that it continues has its column already */
    } else {
        assert_true((unsigned char)c >= ' ');
        if (screen.column == LINEEDIT_COLUMNS)
            screen_newline();
        screen.row[screen.column++] = c;
    }
}

static void write_screen(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    while (len--)
        screen_byte(*text++);
}

static const char *const words[] = {"console", "create", "cat", "list", "/boot/"};

static void complete_words(void *ctx, const char *line, size_t cursor,
                           struct lineedit_matches *matches)
{
    size_t start = cursor;

    (void)ctx;
    while (start > 0 && line[start - 1] != ' ')
        start--;
    matches->start = start;
    for (size_t i = 0; i < 5; i++)
        if (!strncmp(words[i], line + start, cursor - start))
            lineedit_match(matches, words[i]);
}

static const struct lineedit_ops ops = {write_screen, complete_words};
static struct lineedit le;

static int setup(void **state)
{
    (void)state;
    memset(&screen, 0, sizeof screen);
    screen_clear_from(0);
    lineedit_init(&le, &ops, NULL, PROMPT);
    lineedit_start(&le);
    return 0;
}

/* The row must be the prompt and the line, as long as that fits. */
static void check_screen(void)
{
    char want[LINEEDIT_COLUMNS + 1];

    lineedit_flush(&le);
    if (strlen(PROMPT) + le.len >= LINEEDIT_COLUMNS)
        return;
    for (size_t i = 0; i < le.len; i++)
        if ((unsigned char)le.line[i] >= 0x80)
            return;
    snprintf(want, sizeof want, "%-80s", PROMPT);
    memcpy(want + strlen(PROMPT), le.line, le.len);
    assert_memory_equal(screen.row, want, LINEEDIT_COLUMNS);
    assert_int_equal(screen.column, strlen(PROMPT) + le.cursor);
}

static enum lineedit_result type(const char *keys)
{
    enum lineedit_result result = LINEEDIT_MORE;

    for (; *keys; keys++) {
        assert_int_equal(result, LINEEDIT_MORE);
        result = lineedit_feed(&le, (unsigned char)*keys);
        assert_int_equal(le.line[le.len], 0);
        assert_true(le.cursor <= le.len);
        if (result == LINEEDIT_MORE)
            check_screen();
    }
    return result;
}

static void enter(const char *keys, const char *line)
{
    assert_int_equal(type(keys), LINEEDIT_MORE);
    assert_int_equal(type("\r"), LINEEDIT_DONE);
    assert_string_equal(le.line, line);
    assert_memory_equal(screen.last_row, PROMPT, strlen(PROMPT));
    assert_memory_equal(screen.last_row + strlen(PROMPT), line, strlen(line));
    lineedit_start(&le);
}

static void test_plain(void **state)
{
    (void)state;
    enter("list", "list");
    enter("", "");
    enter("a b  c", "a b  c");
}

static void test_line_ends(void **state)
{
    (void)state;
    assert_int_equal(type("x\r"), LINEEDIT_DONE);
    lineedit_start(&le);
    assert_int_equal(type("\n"), LINEEDIT_MORE); /* of the CR before */
    assert_int_equal(type("\n"), LINEEDIT_DONE);
    lineedit_start(&le);
    assert_int_equal(type("y\n"), LINEEDIT_DONE);
    assert_string_equal(le.line, "y");
    lineedit_start(&le);
    assert_int_equal(type("\n"), LINEEDIT_DONE);
    lineedit_start(&le);
    assert_int_equal(lineedit_feed(&le, 0), LINEEDIT_MORE);
    enter("z", "z");
}

static void test_editing(void **state)
{
    (void)state;
    enter("lst\033[D\033[Di", "list");
    enter("ist\001l", "list");
    enter("ist\033[Hl\033[Fx\177", "list");
    enter("ist\033[1~l\033[4~x\b", "list");
    enter("ist\033OHl\033OFs\033[D\033[3~", "list");
    enter("create hello\027diskio", "create diskio");
    enter("one two\033[1;5D\v", "one ");
    enter("one two\033b\033bthree \033ffour", "three onefour two");
    enter("rubbish\025list", "list");
    enter("listrubbish\002\002\002\002\002\002\002\v", "list");
    enter("abc\001\004\006\004", "b");
    enter("ab\014c", "abc");
}

static void test_escape_sequences(void **state)
{
    (void)state;
    enter("a\033[99zb\033[?25hc\033[200~d\033Pe\033[12;34;56Rf", "abcdef");
    enter("a\033[1;\033[Db", "ba"); /* broken off by another */
}

static void test_cancel(void **state)
{
    (void)state;
    assert_int_equal(type("rm /everything\003"), LINEEDIT_CANCELLED);
    lineedit_start(&le);
    assert_int_equal(type("abc\033[\003"), LINEEDIT_CANCELLED);
    lineedit_start(&le);
    enter("list", "list");
}

static void test_history(void **state)
{
    (void)state;
    enter("first", "first");
    enter("second", "second");
    enter("second", "second");
    enter("   ", "   ");
    enter("\033[A", "second");
    enter("\033[A\033[A", "first");
    enter("typed\033[A\033[B", "typed");
    enter("\020\020\020\016x", "firstx");
    /* More than there is room for: 9 bytes a line. */
    for (unsigned i = 0; i < LINEEDIT_HISTORY / 9 + 1000; i++) {
        char line[16];

        snprintf(line, sizeof line, "line%04u", i);
        enter(line, line);
    }
    for (unsigned i = 0; i < LINEEDIT_HISTORY / 9 + 5; i++)
        type("\033[A");
    assert_string_equal(le.line, "line1000");
}

static void test_completion(void **state)
{
    unsigned bells;

    (void)state;
    enter("l\t", "list ");
    enter("con\thello", "console hello");
    enter("list /b\tx", "list /boot/x");
    bells = screen.bells;
    enter("zz\t", "zz");
    assert_int_equal(screen.bells, bells + 1);
    enter("c\tr\t", "create ");
    bells = screen.rows;
    assert_int_equal(type("c\t\t"), LINEEDIT_MORE);
    assert_int_equal(screen.rows, bells + 2);
    assert_memory_equal(screen.last_row, "console  create   cat ", 22);
    check_screen();
}

static void test_long_lines(void **state)
{
    char line[LINEEDIT_MAX + 100];
    unsigned rows;

    (void)state;
    memset(line, 'x', sizeof line);
    line[300] = 0;
    enter("", "");
    rows = screen.rows;
    assert_int_equal(type(line), LINEEDIT_MORE);
    assert_int_equal(screen.rows, rows + 3); /* 306 columns: echoed as they came */
    type("\001y");
    assert_int_equal(screen.rows, rows + 4);
    assert_memory_equal(screen.row, PROMPT "yxx", strlen(PROMPT) + 3);
    assert_int_equal(screen.column, strlen(PROMPT) + 1);
    type("\005z");
    assert_int_equal(screen.rows, rows + 4);
    assert_memory_equal(screen.row + LINEEDIT_COLUMNS - 4, "xxz ", 4);
    assert_int_equal(le.len, 302);
    assert_int_equal(type("\r"), LINEEDIT_DONE);
    assert_true(le.line[0] == 'y' && le.line[301] == 'z');
    lineedit_start(&le);
    line[300] = 'x';
    line[sizeof line - 1] = 0;
    assert_int_equal(type(line), LINEEDIT_MORE);
    assert_int_equal(type("\r"), LINEEDIT_TOO_LONG);
    lineedit_start(&le);
    enter("list", "list");
    type("\033[A\033[A");
    assert_int_equal(le.len, 302);
    enter("\025", "");
}

/* A burst that is not flushed in between draws little: a paste of n bytes costs no n * n. */
static unsigned written, prompts;

static void count_written(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    written += (unsigned)len;
    prompts += len == strlen(PROMPT) && !memcmp(text, PROMPT, len);
}

/* A line has one prompt, however it is edited: scripts wait for it. */
static void test_one_prompt(void **state)
{
    static const struct lineedit_ops counting = {count_written, complete_words};
    const char *keys = "lst\033[D\033[Di\001x\004\005 con\thello\027\025abc\033[A\033[B\b\b";
    struct lineedit *other = malloc(sizeof *other);

    (void)state;
    lineedit_init(other, &counting, NULL, PROMPT);
    prompts = 0;
    lineedit_start(other);
    for (; *keys; keys++) {
        lineedit_feed(other, (unsigned char)*keys);
        lineedit_flush(other);
    }
    for (unsigned i = 0; i < 200; i++)
        lineedit_feed(other, 'x');
    assert_int_equal(lineedit_feed(other, '\r'), LINEEDIT_DONE);
    assert_int_equal(prompts, 1);
    free(other);
}

static void test_paste_is_cheap(void **state)
{
    static const struct lineedit_ops counting = {count_written, NULL};
    struct lineedit *other = malloc(sizeof *other);

    (void)state;
    lineedit_init(other, &counting, NULL, PROMPT);
    lineedit_start(other);
    written = 0;
    for (unsigned i = 0; i < LINEEDIT_MAX - 1; i++)
        lineedit_feed(other, 'p');
    lineedit_flush(other);
    assert_true(written < LINEEDIT_MAX + 300);
    free(other);
}

static void test_utf8(void **state)
{
    (void)state;
    assert_int_equal(type("a\xc3\xa4z\033[D\033[D"), LINEEDIT_MORE);
    assert_int_equal(le.cursor, 1);
    assert_int_equal(type("\033[3~"), LINEEDIT_MORE);
    assert_string_equal(le.line, "az");
    enter("", "az");
}

static void test_random_keys(void **state)
{
    static const char *const keys[] = {"a",      " ",       "b",       "\033[A", "\033[B", "\033[C",
                                       "\033[D", "\t",      "\b",      "\001",   "\005",   "\013",
                                       "\025",   "\027",    "\r",      "\n",     "\003",   "\033",
                                       "[",      "\033[3~", "\xc3\xa4"};
    uint64_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        const char *key;
        unsigned char byte;

        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        key = keys[(seed >> 33) % 21];
        byte = (unsigned char)(seed >> 40);
        if ((seed >> 60) == 0) {
            if (lineedit_feed(&le, byte) != LINEEDIT_MORE)
                lineedit_start(&le);
            check_screen();
            continue;
        }
        for (; *key; key++)
            if (lineedit_feed(&le, (unsigned char)*key) != LINEEDIT_MORE)
                lineedit_start(&le);
        check_screen();
    }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_plain),          TEST(test_line_ends),
        TEST(test_editing),        TEST(test_escape_sequences),
        TEST(test_cancel),         TEST(test_history),
        TEST(test_completion),     TEST(test_long_lines),
        TEST(test_utf8),           TEST(test_random_keys),
        TEST(test_paste_is_cheap), TEST(test_one_prompt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
