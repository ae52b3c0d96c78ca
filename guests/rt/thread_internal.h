/* SPDX-License-Identifier: MIT */
/* Between thread.c and other files of the runtime only. */
#ifndef RT_THREAD_INTERNAL_H
#define RT_THREAD_INTERNAL_H

#include <stdbool.h>

/* Turns the boot stack's flow of control into the thread "main". */
void thread_init(void);

/* False while the calling thread evaluates the condition of a wait, where it must not wait for
 * anything else; for the console, so that such a condition may print. */
bool thread_may_wait(void);

#endif
