/* SPDX-License-Identifier: MIT */
/* For main.c: what the memory interface answers to odd questions, the same on both hypervisors. */
#ifndef RTCHECK_ANSWERS_H
#define RTCHECK_ANSWERS_H

#include <stdbool.h>

bool check_answers(void);

#endif
