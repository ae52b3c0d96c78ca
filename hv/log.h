/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's voice: log lines, refusals, panic. Usable from every file, at any time after the
 * serial port is up, with any lock held; panic() takes no lock at all.
 *
 * Lines go to a ring in memory (read by dom0's `dmesg`, XEN_SYSCTL_readconsole) and to the serial
 * port. Once dom0 owns the terminal (log_owned_by_dom0()), lines below LOG_WARN stay in the ring
 * only.
 */
#ifndef HV_LOG_H
#define HV_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct domain;

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* One line or part of one, printf style; no prefix is added but "(XEN)"-like "[pen] " at line
 * starts. */
void log_printf(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_vprintf(enum log_level level, const char *fmt, va_list ap);

#define log_error(...) log_printf(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_printf(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_printf(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_printf(LOG_DEBUG, __VA_ARGS__)

/* Bytes for the terminal alone, not for the ring of lines: domain 0's output. */
void log_terminal_write(const char *bytes, size_t count);

/* A guest's output by console_io: whole lines, "(dN) " before each, control bytes escaped,
 * rate-limited per domain. dom0's own bytes pass unchanged, at once, and do not enter the ring. */
void log_guest_write(struct domain *d, const char *bytes, size_t count);

/* From now on dom0 owns the terminal. */
void log_owned_by_dom0(void);

/* Copies up to `size` bytes of the log ring, from *index on (a running count), to buf; returns the
 * bytes copied and moves *index behind them. Backs XEN_SYSCTL_readconsole. */
size_t log_read(char *buf, size_t size, uint32_t *index);
void log_clear(void);

/* Our own broken invariant: registers, backtrace, halt of all pCPUs; never for anything a guest
 * did. */
void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#define ASSERT(cond)                                                          \
    do {                                                                      \
        if (!(cond))                                                          \
            panic("assertion failed: %s (%s:%d)", #cond, __FILE__, __LINE__); \
    } while (0)

/* An error is born with its reason: `return refuse(d, -XEN_EINVAL, "gfn %lx not owned", g)`. In
 * debug builds the line is logged with domain and place, rate-limited; otherwise it costs nothing.
 * Returns err. */
long refuse_log(const struct domain *d, long err, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
#define refuse(d, err, ...) \
    (CONFIG_DEBUG ? refuse_log((d), (err), __FILE__, __LINE__, __VA_ARGS__) : (long)(err))

#include "hv/config.h"

#endif
