/* SPDX-License-Identifier: MIT */
/*
 * A domain's nodes in the xenstore, as xl makes them: what front ends read, and what a guest may
 * write. For domain.c.
 */
#ifndef DOM0_BUILDER_NODES_H
#define DOM0_BUILDER_NODES_H

#include "dom0/builder/build.h"

struct xlcfg;

/* Bytes of a UUID's text, with its NUL. */
#define NODES_UUID_MAX 37

/* Make /local/domain/N and /vm/UUID. On error nothing is left. */
int nodes_create(const struct xlcfg *cfg, const struct build_result *built);

/* Remove them again. */
void nodes_remove(domid_t domid, const uint8_t uuid[16]);

/* Give the domain another name. */
int nodes_rename(domid_t domid, const uint8_t uuid[16], const char *name);

/* Ask the guest to end: `how` is "poweroff", "reboot" or another word of control/shutdown. */
int nodes_shutdown(domid_t domid, const char *how);

/* memory/target and memory/static-max, in KiB. Nodes that the guest cannot write. */
int nodes_memory(domid_t domid, uint64_t *target, uint64_t *max);
int nodes_set_target(domid_t domid, uint64_t kib);
int nodes_set_max(domid_t domid, uint64_t kib);

/* The first `count` of its `max` vCPUs shall be up: the guest takes others down. */
int nodes_set_vcpus(domid_t domid, unsigned count, unsigned max);

/* dom0's own nodes; once at start. */
int nodes_create_dom0(void);

char *nodes_uuid_text(const uint8_t uuid[16], char text[NODES_UUID_MAX]);

#endif
