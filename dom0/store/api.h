/* SPDX-License-Identifier: MIT */
/* The one store of dom0, for api.c, ring.c and the tests. */
#ifndef DOM0_STORE_API_H
#define DOM0_STORE_API_H

struct store;

/* To be given to store_init before any call of store.h. */
struct store *store_instance(void);

#endif
