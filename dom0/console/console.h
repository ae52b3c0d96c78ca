/* SPDX-License-Identifier: MIT */
/*
 * The guests' consoles. A thread takes what they print into a log per domain (conlog.h), as fast as
 * CONSOLE_RATE allows: a guest that prints more waits, alone. A person may be attached to a
 * console: he sees the output through the filter (filter.h) and types into the guest.
 *
 * For threads. The callbacks of a sink run on the service's thread and shall not call anything of
 * this header.
 */
#ifndef DOM0_CONSOLE_CONSOLE_H
#define DOM0_CONSOLE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

#define CONSOLE_RATE  (64u << 10) /* bytes a second of one guest, in the long run */
#define CONSOLE_BURST (64u << 10)
#define CONSOLE_INPUT 1024 /* bytes typed that wait for the guest */

struct console_sink {
    /* Filtered output, to be written to the terminal as it is. */
    void (*output)(void *arg, const char *text, size_t n);
    /* The console has ended, and with it the attachment; `why` is a short phrase. */
    void (*closed)(void *arg, const char *why);
    void *arg;
};

/* Starts the service; once, before anything else here. */
int console_service_start(void);

/*
 * A new domain's console: `mfn` the frame of its ring, `remote_port` the event channel that it
 * keeps open for domain 0. -XEN_EEXIST, -XEN_ENOMEM, or why the page or the port is no good.
 */
int console_add(domid_t domid, const char *name, xen_pfn_t mfn, evtchn_port_t remote_port);
/* Takes what is left in the ring and closes; the log stays. No error if there is none. */
void console_remove(domid_t domid);
/* The domain got another name: of its log as well. */
void console_rename(domid_t domid, const char *name);

/*
 * From now on the output goes to the sink, what nobody has seen yet first (the last 4 KiB of it).
 * -XEN_ENOENT no such console, -XEN_EBUSY somebody is attached.
 */
int console_attach(domid_t domid, const struct console_sink *sink);
/* The sink is not called any more after this returns; closed() is not called for it. */
void console_detach(domid_t domid);
/* Types n bytes; returns how many there was room for (0 also when there is no such console). */
size_t console_input(domid_t domid, const char *text, size_t n);

/*
 * The log of a domain, living or past, by name or number: whole lines, safe to show, each with the
 * prefix (NULL: none) before it. Begins with a line of its own if the oldest part is lost.
 * -XEN_ENOENT. `out` may call and wait for what it likes.
 */
int console_log(const char *name_or_number, const char *prefix,
                void (*out)(void *arg, const char *text, size_t n), void *arg);

#endif
