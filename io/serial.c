/* SPDX-License-Identifier: MIT */
#include "io/serial.h"

#include <stdint.h>

#include "hv/arch.h"
#include "hv/lock.h"

/* Registers of the 16550 (offsets from COM1) and their bits. */
#define COM1        0x3f8
#define REG_DATA    0 /* divisor low while DLAB is set */
#define REG_IER     1 /* divisor high while DLAB is set */
#define REG_FCR     2
#define REG_LCR     3
#define REG_MCR     4
#define REG_LSR     5
#define IER_RECEIVE 0x01
#define LCR_8N1     0x03
#define LCR_DLAB    0x80
#define FCR_ON      0x07 /* enable, clear both FIFOs, interrupt at each byte */
#define MCR_ON      0x0b /* DTR, RTS, OUT2: OUT2 lets the interrupt out */
#define LSR_DATA    0x01
#define LSR_ROOM    0x20 /* the transmitter FIFO is empty */

#define FIFO_BYTES  16
#define INPUT_BYTES 1024 /* power of two */
/* A port that gets no room so long is stuck: nobody reads at its other end. Output is given up
 * then, rather than the machine, until there is room again. */
#define ROOM_POLLS 1000000

/* From the interrupt (pCPU 0) to console_io of dom0. What there is no room for stays in the port,
 * where a sender with flow control, as an emulator is, waits with the rest. The port raises no
 * interrupt for it again: the reader fetches it. */
static struct {
    struct spinlock lock;
    char bytes[INPUT_BYTES];
    uint32_t stored, taken; /* counts that only grow */
    bool behind;            /* the port may have bytes that nobody fetched */
    void (*notify)(void);
} input = {.lock = SPINLOCK_INIT(LOCK_LOG)};

static bool present, stuck;

void serial_init(void)
{
    arch_out8(COM1 + REG_IER, 0);
    arch_out8(COM1 + REG_LCR, LCR_DLAB | LCR_8N1);
    arch_out8(COM1 + REG_DATA, 1); /* divisor 1: 115200 */
    arch_out8(COM1 + REG_IER, 0);
    arch_out8(COM1 + REG_LCR, LCR_8N1);
    arch_out8(COM1 + REG_FCR, FCR_ON);
    arch_out8(COM1 + REG_MCR, MCR_ON);
    present = arch_in8(COM1 + REG_LSR) != 0xff;
}

/* Room for FIFO_BYTES more bytes. */
static bool wait_for_room(void)
{
    unsigned polls = stuck ? 1 : ROOM_POLLS;

    for (unsigned i = 0; i < polls; i++) {
        if (arch_in8(COM1 + REG_LSR) & LSR_ROOM) {
            stuck = false;
            return true;
        }
    }
    stuck = true;
    return false;
}

void serial_write(const char *s, size_t n)
{
    static unsigned room; /* two writers at once only lose the count: a full FIFO drops a byte */
    static char last;     /* domain 0 may have sent the CR itself */

    for (size_t i = 0; i < n && present; i++) {
        bool add_cr = s[i] == '\n' && last != '\r';
        unsigned need = add_cr ? 2 : 1;

        if (room < need) {
            if (!wait_for_room())
                return;
            room = FIFO_BYTES;
        }
        if (add_cr)
            arch_out8(COM1 + REG_DATA, '\r');
        arch_out8(COM1 + REG_DATA, (uint8_t)s[i]);
        last = s[i];
        room -= need;
    }
}

/* What the port has, as far as there is room; false: nothing. Lock held. */
static bool fetch_input(void)
{
    uint32_t before = input.stored;

    input.behind = false;
    while (present && (arch_in8(COM1 + REG_LSR) & LSR_DATA)) {
        if (input.stored - input.taken == INPUT_BYTES) {
            input.behind = true;
            break;
        }
        input.bytes[input.stored++ % INPUT_BYTES] = (char)arch_in8(COM1 + REG_DATA);
    }
    return input.stored != before;
}

void serial_interrupt(void *unused)
{
    bool any;

    (void)unused;
    spin_lock(&input.lock);
    any = fetch_input();
    spin_unlock(&input.lock);
    if (any && input.notify)
        input.notify();
}

void serial_enable_input(void (*notify)(void))
{
    input.notify = notify;
    arch_out8(COM1 + REG_IER, IER_RECEIVE);
}

size_t serial_read(char *buf, size_t size)
{
    size_t n = 0;

    spin_lock(&input.lock);
    while (n < size && (input.taken != input.stored || (input.behind && fetch_input())))
        buf[n++] = input.bytes[input.taken++ % INPUT_BYTES];
    spin_unlock(&input.lock);
    return n;
}
