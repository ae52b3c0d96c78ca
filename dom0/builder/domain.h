/* SPDX-License-Identifier: MIT */
/*
 * The domains that dom0 has made: their names, configurations and services. One call makes a whole
 * domain (builder, store, console, disks), one takes it all away again. For threads; calls that
 * change something may wait, and one at a time does so.
 *
 * Domains are named by number here, never by pointer: a domain may end while its caller waits.
 */
#ifndef DOM0_BUILDER_DOMAIN_H
#define DOM0_BUILDER_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>

#include "dom0/config/xlcfg.h"

/* Room for a line of notice, see domain_next_notice. */
#define DOMAIN_NOTICE_MAX 160

/* Set up, and watch for domains that end. Once, after store and console are up. */
int domain_service_start(void);

/*
 * Make the domain that cfg (finished) describes and, unless `paused`, start it. Returns 0 with its
 * number, or a negative error with one line in err and nothing left of it.
 */
int domain_create(const struct xlcfg *cfg, bool paused, domid_t *domid, struct cfg_error *err);

/* End a domain at once and free all of it but its console's log. -XEN_ESRCH if there is none. */
int domain_destroy(domid_t domid);

/* Ask a domain to end by itself: `how` is "poweroff" or "reboot". It need not obey. */
int domain_shutdown(domid_t domid, const char *how);

/* True once the domain is gone, or has ended and is kept as its configuration wants. */
bool domain_has_ended(domid_t domid);

/* The number of the domain of that name or number; "Domain-0" is 0. -XEN_ESRCH if there is none. */
int domain_find(const char *name_or_number, domid_t *domid);

/* The domain's name, cut to size; "(null)" for one that was not made here. Returns buf. */
char *domain_name(domid_t domid, char *buf, size_t size);

/* Its configuration (a copy), for those who show it. -XEN_ESRCH if it was not made here. */
int domain_config(domid_t domid, struct xlcfg *cfg);

/*
 * The configuration for its next life, to be changed: until domain_release_config() no domain is
 * made, ended or renamed. NULL, with nothing held, if it was not made here or has ended.
 */
struct xlcfg *domain_hold_config(domid_t domid);
void domain_release_config(void);

/* Numbers of the domains made here, at most max, in order. Returns how many. */
unsigned domain_list(domid_t *domids, unsigned max);

/* Calls fn(arg, name) for each domain made here. fn must not wait. */
void domain_for_each_name(void (*fn)(void *arg, const char *name, bool directory), void *arg);

/*
 * What happened to domains meanwhile, oldest first: copies one line and forgets it. False if
 * nothing did. The command line shows these before a prompt, so that no typing is disturbed.
 */
bool domain_next_notice(char *buf, size_t size);

/*
 * Make all guests end, politely for at most `ns`, then by force. `progress` gets a line each time
 * there is something to tell. Nothing restarts any more after this was called.
 */
void domain_end_all(uint64_t ns, void (*progress)(const char *line));

#endif
