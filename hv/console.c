/* SPDX-License-Identifier: MIT */
/*
 * CONSOLEIO_write and CONSOLEIO_read. Domain 0 is the terminal's owner: its bytes pass as they are
 * and its reads take what was typed (VIRQ_CONSOLE says that there is something). Other domains'
 * bytes become lines of the log.
 */
#include "hv/console.h"

#include <stdint.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/evtchn.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "io/serial.h"
#include "mm/guest.h"

static void print_line(void *context, const char *line)
{
    const struct domain *d = context;

    log_info("(d%u) %s\n", d->id, line);
}

void log_guest_write(struct domain *d, const char *bytes, size_t count)
{
    if (d->privileged) {
        log_terminal_write(bytes, count);
        return;
    }
    spin_lock(&d->lock);
    console_line_put(&d->console, bytes, count, arch_time_ns(), print_line, d);
    spin_unlock(&d->lock);
}

void console_flush(struct domain *d)
{
    spin_lock(&d->lock);
    console_line_flush(&d->console, arch_time_ns(), print_line, d);
    spin_unlock(&d->lock);
}

/* From the serial port's interrupt, after the bytes were stored: the guest that looks finds them.
 */
static void input_arrived(void)
{
    if (dom0)
        evtchn_raise_global_virq(dom0, VIRQ_CONSOLE);
}

void console_init(void)
{
    serial_enable_input(input_arrived);
}

/* Progress is in the arguments, so that a long text on a slow port is continued by re-execution. */
static long console_write(struct vcpu *v, struct hypercall *call)
{
    char part[64]; /* 6 ms at 115200 baud */

    while (call->arg[1]) {
        size_t count = call->arg[1] < sizeof part ? call->arg[1] : sizeof part;

        if (guest_read(part, call->arg[2], count))
            return refuse(v->domain, -XEN_EFAULT, "console_io: cannot read %lx", call->arg[2]);
        log_guest_write(v->domain, part, count);
        call->arg[1] -= count;
        call->arg[2] += count;
        if (call->arg[1] && hypercall_preempt())
            return -XEN_ERESTART;
    }
    return 0;
}

static long console_read(struct vcpu *v, uint64_t count, uint64_t buffer)
{
    uint64_t done = 0;
    char part[64];

    if (!v->domain->privileged)
        return refuse(v->domain, -XEN_EPERM, "console_io read by a domain that is not domain 0");
    log_owned_by_dom0();
    while (done < count) {
        size_t want = count - done < sizeof part ? count - done : sizeof part;
        size_t got = serial_read(part, want);

        if (!got)
            break;
        if (guest_write(buffer + done, part, got))
            return refuse(v->domain, -XEN_EFAULT, "console_io: cannot write %lx", buffer + done);
        done += got;
    }
    return (long)done;
}

long hypercall_console_io(struct vcpu *v, struct hypercall *call)
{
    unsigned cmd = (unsigned)call->arg[0];

    /* An int for the guest: what does not fit in one is a mistake, not a long text. */
    call->arg[1] = (uint32_t)call->arg[1];
    if (call->arg[1] > INT32_MAX)
        return refuse(v->domain, -XEN_EINVAL, "console_io: %lu bytes", call->arg[1]);
    switch (cmd) {
    case CONSOLEIO_write:
        return console_write(v, call);
    case CONSOLEIO_read:
        return console_read(v, call->arg[1], call->arg[2]);
    default:
        return refuse(v->domain, -XEN_ENOSYS, "console_io: command %u", cmd);
    }
}
