/* SPDX-License-Identifier: MIT */
#include "hostile.h"
#include <stddef.h>
const struct question race_questions[] = {
    {NULL, NULL, NULL},
};
