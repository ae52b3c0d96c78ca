/* SPDX-License-Identifier: MIT */
/* For main.c: local descriptor tables. */
#ifndef RTCHECK_LDT_H
#define RTCHECK_LDT_H

#include <stdbool.h>

/* Segments with a base and a limit; descriptors that change; those that cannot be used. */
bool check_ldt(void);
/* A table whose pages come and go. */
bool check_ldt_pages(void);
/* User mode in segments of its own, and one that goes away under it. */
bool check_ldt_user(void);
/* Two vCPUs, each with its own; true without a vCPU to spare. */
bool check_ldt_vcpus(void);

#endif
