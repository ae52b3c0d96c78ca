/* SPDX-License-Identifier: MIT */
/*
 * Checks of processor state that a kernel sets up once a vCPU; for main.c.
 */
#ifndef RTCHECK_CPU_H
#define RTCHECK_CPU_H

#include <stdbool.h>

bool check_xcr0(void);       /* XSETBV enables state components, and refuses what makes no sense */
bool check_vcpu_ports(void); /* a second vCPU may touch I/O ports if its context says so */

#endif
