/* SPDX-License-Identifier: MIT */
/* The console, over the ring of start_info or by console_io. See console.h and <xen/io/console.h>.
 */
#include "console.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <xen/io/console.h>

#include "clock.h"
#include "event.h"
#include "hv/lib/ctype.h"
#include "hv/lib/format.h"
#include "hypercall.h"
#include "mm.h"
#include "smp.h"
#include "start.h"
#include "thread.h"
#include "thread_internal.h"

#define WAIT_NS \
    100000000UL /* looks at a full ring again after this, should a notification be missing */
#define FLUSH_NS  1000000000UL
#define INPUT_MAX 4096 /* bytes kept from console_io, a power of two */

static struct xencons_interface *ring; /* NULL: console_io */
static evtchn_port_t ring_port;
static bool input_ready; /* events and threads work */
static int output_lock;
static struct waitq input_wait = WAITQ_INIT, output_wait = WAITQ_INIT;

/* Bytes read by console_io; written by the VIRQ handler. */
static char input[INPUT_MAX];
static uint32_t input_cons, input_prod;

void console_init_output(void)
{
    if (!start_is_dom0() && start_info->console.domU.mfn) {
        ring = mfn_to_virt(start_info->console.domU.mfn);
        ring_port = start_info->console.domU.evtchn;
    }
}

const char *console_kind(void)
{
    return ring ? "console ring" : "console_io";
}

/* --- output ------------------------------------------------------------------------------- */

static uint32_t ring_room(void)
{
    uint32_t used = ring->out_prod - __atomic_load_n(&ring->out_cons, __ATOMIC_ACQUIRE);

    return used > sizeof(ring->out) ? 0 : sizeof(ring->out) - used;
}

/* Puts as much of the text as fits, line ends doubled to CR LF; returns how much of it. */
static size_t ring_put(const char *text, size_t count)
{
    uint32_t prod = ring->out_prod, room = ring_room();
    size_t n;

    for (n = 0; n < count; n++) {
        uint32_t need = text[n] == '\n' ? 2 : 1;

        if (room < need) {
            break;
        }
        if (text[n] == '\n') {
            ring->out[MASK_XENCONS_IDX(prod++, ring->out)] = '\r';
        }
        ring->out[MASK_XENCONS_IDX(prod++, ring->out)] = text[n];
        room -= need;
    }
    /* The bytes before the index that shows them; partner: the back end's read of out_prod. */
    __atomic_store_n(&ring->out_prod, prod, __ATOMIC_RELEASE);
    return n;
}

/* Another vCPU may write too; a handler on this one must not find the lock held. */
static bool output_begin(void)
{
    bool saved = event_upcalls_save();

    while (__atomic_exchange_n(&output_lock, 1, __ATOMIC_ACQUIRE)) {
        hypercall_sched_op(SCHEDOP_yield, NULL);
    }
    return saved;
}

static void output_end(bool saved)
{
    __atomic_store_n(&output_lock, 0, __ATOMIC_RELEASE);
    event_upcalls_restore(saved);
}

static void output_wait_room(bool upcalls_masked)
{
    if (input_ready && smp_id() == 0 && !upcalls_masked && thread_may_wait()) {
        wait_event_timeout(&output_wait, ring_room() > 1, WAIT_NS);
    } else {
        hypercall_sched_op(SCHEDOP_yield, NULL);
    }
}

void console_write(const char *text, size_t count)
{
    while (count) {
        bool saved = output_begin();
        size_t n = count;

        if (ring) {
            n = ring_put(text, count);
        } else {
            hypercall_console_io(CONSOLEIO_write, (unsigned)n, text);
        }
        output_end(saved);
        if (ring && n) {
            event_send(ring_port);
        }
        text += n;
        count -= n;
        if (count) {
            output_wait_room(saved);
        }
    }
}

void console_write_raw(const char *text, size_t count)
{
    hypercall_console_io(CONSOLEIO_write, (unsigned)count, text);
    if (ring) {
        ring_put(text, count);
        event_send(ring_port);
    }
}

void console_flush(void)
{
    if (ring) {
        wait_event_timeout(&output_wait, ring_room() == sizeof(ring->out), FLUSH_NS);
    }
}

/* --- input -------------------------------------------------------------------------------- */

/* What the hypervisor has, as far as there is room. */
static void input_fetch(void)
{
    char bytes[64];
    long n;

    while (input_prod - input_cons <= INPUT_MAX - sizeof(bytes) &&
           (n = hypercall_console_io(CONSOLEIO_read, sizeof(bytes), bytes)) > 0) {
        for (long i = 0; i < n && i < (long)sizeof(bytes); i++) {
            input[input_prod++ % INPUT_MAX] = bytes[i];
        }
    }
}

static void console_event(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
    if (!ring) {
        input_fetch();
    }
    waitq_wake(&input_wait);
    waitq_wake(&output_wait);
}

void console_init_input(void)
{
    if (ring) {
        event_set_handler(ring_port, console_event, NULL);
    } else if (start_is_dom0()) {
        event_bind_virq(VIRQ_CONSOLE, console_event, NULL);
        /* What was typed before raises no event. */
        bool saved = event_upcalls_save();
        input_fetch();
        event_upcalls_restore(saved);
    }
    input_ready = true;
}

int console_poll(void)
{
    int byte = -1;

    if (ring) {
        uint32_t cons = ring->in_cons;

        if (cons != __atomic_load_n(&ring->in_prod, __ATOMIC_ACQUIRE)) {
            byte = (unsigned char)ring->in[MASK_XENCONS_IDX(cons, ring->in)];
            __atomic_store_n(&ring->in_cons, cons + 1, __ATOMIC_RELEASE);
            event_send(ring_port);
        }
    } else {
        bool saved = event_upcalls_save();

        if (input_cons != input_prod) {
            byte = (unsigned char)input[input_cons++ % INPUT_MAX];
        }
        input_fetch();
        event_upcalls_restore(saved);
    }
    return byte;
}

static bool input_there(void)
{
    if (ring) {
        return ring->in_cons != __atomic_load_n(&ring->in_prod, __ATOMIC_ACQUIRE);
    }
    return input_cons != __atomic_load_n(&input_prod, __ATOMIC_ACQUIRE);
}

int console_getc(void)
{
    wait_event(&input_wait, input_there());
    return console_poll();
}

bool console_wait(unsigned long ns)
{
    return wait_event_timeout(&input_wait, input_there(), ns);
}

static void rub_out(size_t *used, size_t count)
{
    while (count-- && *used) {
        console_write("\b \b", 3);
        (*used)--;
    }
}

size_t console_readline(char *line, size_t size)
{
    static bool after_cr; /* a line end of CR LF counts once */
    size_t used = 0;

    for (;;) {
        int c = console_getc();
        bool lf_of_crlf = c == '\n' && after_cr;

        after_cr = c == '\r';
        if (lf_of_crlf) {
            continue;
        }
        if (c == '\r' || c == '\n') {
            break;
        }
        if (c == '\b' || c == 0x7f) {
            rub_out(&used, 1);
        } else if (c == 0x15) {
            rub_out(&used, used);
        } else if (is_print(c) && used + 1 < size) {
            line[used++] = (char)c;
            console_write(&line[used - 1], 1);
        }
    }
    line[used] = '\0';
    console_write("\n", 1);
    return used;
}

/* --- <stdio.h> ---------------------------------------------------------------------------- */

struct print_buffer {
    char text[256];
    size_t used;
};

static void print_sink(void *context, const char *bytes, size_t count)
{
    struct print_buffer *buffer = context;

    if (count > sizeof(buffer->text) - buffer->used) {
        console_write(buffer->text, buffer->used);
        buffer->used = 0;
    }
    if (count > sizeof(buffer->text)) {
        console_write(bytes, count);
    } else {
        memcpy(buffer->text + buffer->used, bytes, count);
        buffer->used += count;
    }
}

int vprintf(const char *restrict fmt, va_list ap)
{
    struct print_buffer buffer = {.used = 0};
    int count = format_print(print_sink, &buffer, fmt, ap);

    console_write(buffer.text, buffer.used);
    return count;
}

int printf(const char *restrict fmt, ...)
{
    va_list ap;
    int count;

    va_start(ap, fmt);
    count = vprintf(fmt, ap);
    va_end(ap);
    return count;
}

#undef putchar
int putchar(int byte)
{
    char c = (char)byte;

    console_write(&c, 1);
    return (unsigned char)byte;
}

int puts(const char *text)
{
    return printf("%s\n", text);
}
