/* SPDX-License-Identifier: MIT */
/* For main.c: memory exchanged. */
#ifndef RTCHECK_EXCHANGE_H
#define RTCHECK_EXCHANGE_H

#include <stdbool.h>

bool check_exchange(void);

#endif
