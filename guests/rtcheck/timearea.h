/* SPDX-License-Identifier: MIT */
/* For main.c: the second vcpu_time_info of a vCPU (VCPUOP_register_vcpu_time_memory_area). */
#ifndef RTCHECK_TIMEAREA_H
#define RTCHECK_TIMEAREA_H

#include <stdbool.h>

bool check_time_area(void);

#endif
