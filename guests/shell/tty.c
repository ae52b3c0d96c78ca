/* SPDX-License-Identifier: MIT */
/* See tty.h. */
#include "tty.h"

#include <stdio.h>
#include <string.h>

#include <rt/console.h>
#include <rt/hypercall.h>
#include <rt/start.h>
#include <rt/thread.h>

#include "hv/lib/ctype.h"
#include "process.h"

#define LINES     16
#define LINE_MAX_ 256

#define CTRL(c) ((c)&0x1f)

static struct {
    char text[LINE_MAX_];
    size_t length; /* 0: Ctrl-D */
} lines[LINES];
static unsigned first, last; /* first: next to be read */
static struct waitq wait = WAITQ_INIT;
static int foreground;

static char editing[LINE_MAX_];
static size_t used;

void tty_set_foreground(int pid)
{
    foreground = pid;
}

/* The line being edited is finished; nobody reads fast enough for more than LINES: those are lost.
 */
static void finish_line(size_t length)
{
    if (last - first < LINES) {
        memcpy(lines[last % LINES].text, editing, length);
        lines[last % LINES].length = length;
        last++;
    }
    used = 0;
    waitq_wake(&wait);
}

static void rub_out(size_t count)
{
    while (count-- && used) {
        used--;
        console_write("\b \b", 3);
    }
}

static void typed(int c)
{
    if (c == CTRL('c')) {
        console_write("^C\n", 3);
        used = 0;
        if (foreground) {
            process_kill(foreground);
        } else {
            editing[0] = '\n';
            finish_line(1);
        }
        waitq_wake(&wait);
    } else if (c == CTRL('d')) {
        if (used == 0) {
            finish_line(0);
        }
    } else if (c == '\b' || c == 0x7f) {
        rub_out(1);
    } else if (c == CTRL('u')) {
        rub_out(used);
    } else if (c == '\n') {
        console_write("\n", 1);
        editing[used] = '\n';
        finish_line(used + 1);
    } else if (is_print(c) && used + 1 < LINE_MAX_) {
        editing[used++] = (char)c;
        console_write(&editing[used - 1], 1);
    }
}

static void reader(void *arg)
{
    bool after_cr = false;

    (void)arg;
    for (;;) {
        int c = console_getc();
        bool second_of_pair = c == '\n' && after_cr;

        after_cr = c == '\r';
        if (!second_of_pair) {
            typed(c == '\r' ? '\n' : c);
        }
    }
}

long tty_read(char *line, size_t size, const volatile bool *give_up)
{
    size_t length;

    wait_event(&wait, first != last || (give_up && *give_up));
    if (give_up && *give_up) {
        return -XEN_EAGAIN;
    }
    length = lines[first % LINES].length;
    length = length < size ? length : size;
    memcpy(line, lines[first % LINES].text, length);
    first++;
    return (long)length;
}

void tty_wake(void)
{
    waitq_wake(&wait);
}

void tty_init(void)
{
    if (!thread_create("tty", reader, NULL)) {
        panic("no memory for the terminal");
    }
}
