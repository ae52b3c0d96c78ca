/* SPDX-License-Identifier: MIT */
/*
 * The engine under printf: formats into a function instead of a buffer. For consoles and logs;
 * everybody else uses snprintf of <stdio.h>, which is built on it.
 */
#ifndef HV_LIB_FORMAT_H
#define HV_LIB_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/* Takes the next `count` bytes of the output. */
typedef void (*format_sink)(void *context, const char *bytes, size_t count);

/*
 * Conversions: d i u o x X p c s %, with the flags - 0 + space #, width and precision (numbers or
 * *), and the lengths hh h l ll z t j. No floating point. An unknown conversion is shown as it
 * stands. %s of NULL shows "(null)". Returns the bytes made, INT_MAX at most. Legal everywhere the
 * sink is.
 */
int format_print(format_sink sink, void *context, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

#endif
