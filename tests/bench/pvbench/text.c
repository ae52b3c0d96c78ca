/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <xen/event_channel.h>
#include <xen/io/console.h>
#include <xen/sched.h>

#include "cpu.h"
#include "hyper.h"
#include "mmu.h"
#include "pages.h"

static char line[256];
static unsigned line_used;
static struct xencons_interface *ring; /* NULL: CONSOLEIO */
static evtchn_port_t ring_port;
static uint8_t ring_page[PAGE_BYTES] PAGE_ALIGNED;

void text_init(const start_info_t *info)
{
    if (info->flags & SIF_INITDOMAIN || !info->console.domU.mfn) {
        return;
    }
    ring_port = info->console.domU.evtchn;
    if (mmu_map(HYPER_ARG(ring_page), info->console.domU.mfn << 12 | PTE_KERNEL_RW, UVMF_INVLPG) ==
        0) {
        ring = (struct xencons_interface *)ring_page;
    }
}

static void ring_notify(void)
{
    struct evtchn_send send = {.port = ring_port};

    hyper2(__HYPERVISOR_event_channel_op, EVTCHNOP_send, HYPER_ARG(&send));
}

static void ring_write(const char *text, unsigned length)
{
    volatile struct xencons_interface *r = ring;

    for (unsigned i = 0; i < length; i++) {
        while (r->out_prod - r->out_cons >= sizeof(r->out)) {
            ring_notify();
            hyper2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
        }
        r->out[MASK_XENCONS_IDX(r->out_prod, r->out)] = text[i];
        cpu_barrier(); /* the back end reads the character after it saw the index */
        r->out_prod++;
    }
    ring_notify();
}

static void flush(void)
{
    if (ring) {
        ring_write(line, line_used);
    } else {
        hyper3(__HYPERVISOR_console_io, CONSOLEIO_write, line_used, HYPER_ARG(line));
    }
    line_used = 0;
}

void text_char(char c)
{
    if (c == '\n') {
        text_char('\r');
    }
    line[line_used++] = c;
    if (c == '\n' || line_used == sizeof(line)) {
        flush();
    }
}

void text_string(const char *string)
{
    while (*string) {
        text_char(*string++);
    }
}

void text_decimal(long value)
{
    unsigned long rest = value < 0 ? -(unsigned long)value : (unsigned long)value;
    char digits[20];
    int n = 0;

    if (value < 0) {
        text_char('-');
    }
    do {
        digits[n++] = (char)('0' + rest % 10);
    } while (rest /= 10);
    while (n) {
        text_char(digits[--n]);
    }
}

void text_hex(uint64_t value)
{
    text_string("0x");
    for (int shift = 60; shift >= 0; shift -= 4) {
        text_char("0123456789abcdef"[value >> shift & 15]);
    }
}

void text_info(const char *key, long value)
{
    text_string("INFO ");
    text_string(key);
    text_char(' ');
    text_decimal(value);
    text_char('\n');
}

void text_end(void)
{
    struct sched_shutdown shutdown = {.reason = SHUTDOWN_reboot};

    for (;;) {
        hyper2(__HYPERVISOR_sched_op, SCHEDOP_shutdown, HYPER_ARG(&shutdown));
    }
}

void text_panic(const char *why, long value)
{
    text_string("BENCH panic ");
    text_string(why);
    text_char(' ');
    text_decimal(value);
    text_char('\n');
    text_end();
}
