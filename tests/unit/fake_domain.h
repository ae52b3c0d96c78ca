/* SPDX-License-Identifier: MIT */
/*
 * Domains without their life, for tests of what hangs on them: a table by number, references that
 * are counted, guests whose addresses are the test's own, wake-ups that are counted.
 */
#ifndef TESTS_UNIT_FAKE_DOMAIN_H
#define TESTS_UNIT_FAKE_DOMAIN_H

#include "hv/domain.h"

#define FAKE_DOMAINS 8
#define FAKE_VCPUS   4

struct fake_domain {
    struct domain d;
    struct vcpu v[FAKE_VCPUS];
    union {
        struct shared_info info;
        char page[4096];
    } shared;
    unsigned wakes[FAKE_VCPUS], kicks[FAKE_VCPUS];
};
extern struct fake_domain fake_domain[FAKE_DOMAINS];

/* Domain `id` with `vcpus` vCPUs, one reference (the table's), no paging, events or grants. Domain
 * 0 is privileged. */
struct domain *fake_domain_add(domid_t id, unsigned vcpus);
void fake_domain_remove(domid_t id); /* fails the test if somebody has a reference */

/* Pointers below this fault. */
#define FAKE_BAD_ADDRESS 0x1000UL

#endif
