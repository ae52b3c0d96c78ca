/* SPDX-License-Identifier: MIT */
/*
 * Text goes to two rings: the log (what dom0's dmesg reads) and, if its level asks for that, the
 * output ring. The serial port is slow and is never polled with a lock held: whoever finds nobody
 * else sending becomes the sender, and takes chunks out of the output ring until it is empty. So a
 * line that is logged while another pCPU sends appears after it, whole.
 */
#include "hv/log.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <xen/xen.h>

#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/lib/format.h"
#include "hv/lock.h"
#include "io/serial.h"

#define OUTPUT_BYTES 8192 /* power of two */
#define CHUNK_BYTES  64
#define PREFIX       "[pen] "

/* Refusals in a second that are worth a line. */
#define REFUSALS_PER_SECOND 20

static struct spinlock lock = SPINLOCK_INIT(LOCK_LOG);

/* All under the lock. Counts run on; the place of byte n is n modulo the size. */
static struct {
    char bytes[LOG_BYTES];
    uint32_t written, cleared;
    bool in_line; /* the last byte was not a newline */
} ring;

static struct {
    char bytes[OUTPUT_BYTES];
    uint32_t written, sent, lost;
    bool sending;
} output;

static bool terminal_is_dom0s;

struct writer {
    bool to_serial;
};

static void output_bytes(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (output.written - output.sent == OUTPUT_BYTES) {
            output.lost += (uint32_t)(count - i);
            return;
        }
        output.bytes[output.written++ % OUTPUT_BYTES] = bytes[i];
    }
}

static void ring_bytes(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ring.bytes[ring.written++ % LOG_BYTES] = bytes[i];
}

static void put(const struct writer *w, const char *bytes, size_t count)
{
    ring_bytes(bytes, count);
    if (w->to_serial)
        output_bytes(bytes, count);
}

/* format_sink: adds the prefix where a line begins. Lock held. */
static void write_text(void *context, const char *bytes, size_t count)
{
    while (count) {
        const char *newline = memchr(bytes, '\n', count);
        size_t part = newline ? (size_t)(newline - bytes) + 1 : count;

        if (!ring.in_line)
            put(context, PREFIX, sizeof PREFIX - 1);
        put(context, bytes, part);
        ring.in_line = !newline;
        bytes += part;
        count -= part;
    }
}

/* Takes the next chunk out; 0 if there is none, or another pCPU is sending. Lock held. */
static size_t next_chunk(char *chunk, bool mine)
{
    size_t n = 0;

    if (output.sending && !mine)
        return 0;
    while (n < CHUNK_BYTES && output.sent != output.written)
        chunk[n++] = output.bytes[output.sent++ % OUTPUT_BYTES];
    output.sending = n != 0;
    return n;
}

static void send_output(void)
{
    char chunk[CHUNK_BYTES];
    bool mine = false;

    for (;;) {
        size_t n;

        spin_lock(&lock);
        n = next_chunk(chunk, mine);
        spin_unlock(&lock);
        if (!n)
            return;
        mine = true;
        serial_write(chunk, n);
    }
}

/* Through the same ring, so that two pCPUs never write to the port at once. A full ring has a
 * sender at work on another pCPU: there will be room. */
void log_terminal_write(const char *bytes, size_t count)
{
    while (count) {
        size_t room;

        spin_lock(&lock);
        room = OUTPUT_BYTES - (output.written - output.sent);
        if (room > count)
            room = count;
        output_bytes(bytes, room);
        spin_unlock(&lock);
        send_output();
        if (!room)
            arch_cpu_relax();
        bytes += room;
        count -= room;
    }
}

void log_vprintf(enum log_level level, const char *fmt, va_list ap)
{
    struct writer w = {
        .to_serial = level <= (terminal_is_dom0s ? LOG_WARN
                               : CONFIG_DEBUG    ? LOG_DEBUG
                                                 : LOG_INFO),
    };

    spin_lock(&lock);
    format_print(write_text, &w, fmt, ap);
    spin_unlock(&lock);
    if (w.to_serial)
        send_output();
}

void log_printf(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_vprintf(level, fmt, ap);
    va_end(ap);
}

void log_owned_by_dom0(void)
{
    terminal_is_dom0s = true;
}

size_t log_read(char *buf, size_t size, uint32_t *index)
{
    size_t n = 0;
    uint32_t first;

    spin_lock(&lock);
    first = ring.written > LOG_BYTES ? ring.written - LOG_BYTES : 0;
    if (first < ring.cleared)
        first = ring.cleared;
    if (*index < first || *index > ring.written)
        *index = first;
    while (n < size && *index != ring.written)
        buf[n++] = ring.bytes[(*index)++ % LOG_BYTES];
    spin_unlock(&lock);
    return n;
}

void log_clear(void)
{
    spin_lock(&lock);
    ring.cleared = ring.written;
    spin_unlock(&lock);
}

/* A guest in a loop of mistakes shall not flood the log: counts in one-second windows, without a
 * lock (a lost count is harmless). */
static bool refusal_allowed(void)
{
    static uint64_t window_start;
    static uint32_t in_window, dropped;
    uint64_t now = arch_time_ns();

    if (now - window_start >= 1000000000UL) {
        if (dropped)
            log_debug("%u more refusals were not logged\n", dropped);
        window_start = now;
        in_window = dropped = 0;
    }
    if (in_window >= REFUSALS_PER_SECOND) {
        dropped++;
        return false;
    }
    in_window++;
    return true;
}

long refuse_log(const struct domain *d, long err, const char *file, int line, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    if (!refusal_allowed())
        return err;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (d)
        log_debug("d%u refused (%ld) at %s:%d: %s\n", d->id, err, file, line, text);
    else
        log_debug("refused (%ld) at %s:%d: %s\n", err, file, line, text);
    return err;
}
