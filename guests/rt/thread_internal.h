/* SPDX-License-Identifier: MIT */
/* Between start.c and thread.c only. */
#ifndef RT_THREAD_INTERNAL_H
#define RT_THREAD_INTERNAL_H

/* Turns the boot stack's flow of control into the thread "main". */
void thread_init(void);

#endif
