/* SPDX-License-Identifier: MIT */
#include "dom0/builder/domain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/sched.h>

#include <rt/clock.h>
#include <rt/event.h>
#include <rt/thread.h>

#include "dom0/builder/build.h"
#include "dom0/builder/disks.h"
#include "dom0/builder/domctl.h"
#include "dom0/builder/nodes.h"
#include "dom0/console/console.h"
#include "dom0/fs/vfs.h"
#include "dom0/store/store.h"

#define SECOND_NS 1000000000ull
#define SCAN_NS   (10 * SECOND_NS) /* in case an event should ever be missed */
#define QUICK_NS  SECOND_NS        /* a life this short counts as a failed start */
#define QUICK_MAX 5                /* so many in a row end the restarts */
#define NOTICES   16

/* One domain. The list is in the order of creation. */
struct domain {
    struct domain *next;
    struct build_result built;
    struct xlcfg cfg;
    uint64_t started_ns;
    unsigned quick_ends; /* short lives in a row before this one */
    bool seen;           /* its end was noticed */
    bool kept;           /* it has ended and stays, for a look */
};

static struct domain *domains;
static struct mutex changing = MUTEX_INIT; /* held while a domain is made, ended or renamed */
static bool end_seen;                      /* some domain's state changed */
static bool ending_all;
static struct waitq end_wait = WAITQ_INIT;  /* the watcher, for end_seen */
static struct waitq gone_wait = WAITQ_INIT; /* whoever waits for the list to get shorter */

static char notices[NOTICES][DOMAIN_NOTICE_MAX];
static unsigned notice_first, notice_count;

static void notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void notice(const char *format, ...)
{
    va_list args;

    if (notice_count == NOTICES) {
        notice_first = (notice_first + 1) % NOTICES;
        notice_count--;
    }
    va_start(args, format);
    vsnprintf(notices[(notice_first + notice_count) % NOTICES], DOMAIN_NOTICE_MAX, format, args);
    va_end(args);
    notice_count++;
}

bool domain_next_notice(char *buf, size_t size)
{
    if (!notice_count)
        return false;
    snprintf(buf, size, "%s", notices[notice_first]);
    notice_first = (notice_first + 1) % NOTICES;
    notice_count--;
    return true;
}

static struct domain *by_name(const char *name)
{
    struct domain *d = domains;

    while (d && strcmp(d->cfg.name, name))
        d = d->next;
    return d;
}

static struct domain *by_number(domid_t domid)
{
    struct domain *d = domains;

    while (d && d->built.domid != domid)
        d = d->next;
    return d;
}

static void link_last(struct domain *d)
{
    struct domain **link = &domains;

    while (*link)
        link = &(*link)->next;
    d->next = NULL;
    *link = d;
}

static void unlink_domain(struct domain *d)
{
    struct domain **link = &domains;

    while (*link != d)
        link = &(*link)->next;
    *link = d->next;
}

/*
 * Take a domain away: its back ends first, so that no page of it is mapped here any more when the
 * hypervisor frees it. d is freed. Under `changing`.
 */
static int dismantle(struct domain *d)
{
    domid_t domid = d->built.domid;
    int rc;

    domctl_pause(domid); /* it fails for a dead one, which is as good */
    disks_detach(domid);
    console_remove(domid);
    store_release(domid);
    nodes_remove(domid, d->cfg.uuid);
    rc = domctl_destroy(domid);
    if (rc < 0 && rc != -XEN_ESRCH)
        notice("(%s, domain %u: the hypervisor did not destroy it: error %d)", d->cfg.name, domid,
               -rc);
    unlink_domain(d);
    free(d);
    waitq_wake(&gone_wait);
    return rc == -XEN_ESRCH ? 0 : rc;
}

/* A version 4 UUID. Nothing depends on its being hard to guess. */
static void choose_uuid(uint8_t uuid[16])
{
    static uint64_t state;

    for (unsigned i = 0; i < 16; i++) {
        state = (state ^ clock_ns()) * 6364136223846793005ull + 1442695040888963407ull;
        uuid[i] = (uint8_t)(state >> 40);
    }
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

static bool uuid_is_zero(const uint8_t uuid[16])
{
    static const uint8_t zero[16];

    return !memcmp(uuid, zero, sizeof zero);
}

static int service_error(const struct domain *d, int rc, const char *what, struct cfg_error *err)
{
    if (rc < 0)
        cfg_error_set(err, "%s: %s failed: %s (error %d)", d->cfg.name, what, vfs_strerror(rc),
                      -rc);
    return rc;
}

/* Everything that a built domain needs from dom0 before it runs. */
static int connect_services(struct domain *d, struct cfg_error *err)
{
    const struct build_result *b = &d->built;
    int rc = service_error(d, nodes_create(&d->cfg, b), "writing its store nodes", err);

    if (rc == 0)
        rc = service_error(d, store_introduce(b->domid, b->store_mfn, b->store_port),
                           "connecting its store", err);
    if (rc == 0)
        rc = service_error(d, console_add(b->domid, d->cfg.name, b->console_mfn, b->console_port),
                           "connecting its console", err);
    return rc == 0 ? disks_attach(b->domid, &d->cfg, err) : rc;
}

/* domain_create, under `changing`. */
static int create_locked(const struct xlcfg *cfg, bool paused, unsigned quick_ends, domid_t *domid,
                         struct cfg_error *err)
{
    struct domain *d, *other = by_name(cfg->name);
    int rc;

    if (other) {
        cfg_error_set(err,
                      "the name %s is in use by domain %u: destroy it, or create with name=OTHER",
                      cfg->name, other->built.domid);
        return -XEN_EEXIST;
    }
    d = calloc(1, sizeof *d);
    if (!d) {
        cfg_error_set(err, "%s: dom0 is out of memory", cfg->name);
        return -XEN_ENOMEM;
    }
    d->cfg = *cfg;
    d->quick_ends = quick_ends;
    if (uuid_is_zero(d->cfg.uuid))
        choose_uuid(d->cfg.uuid);
    rc = build_domain(&d->cfg, &d->built, err);
    if (rc < 0) {
        free(d);
        return rc;
    }
    link_last(d);
    rc = connect_services(d, err);
    if (rc == 0 && !paused)
        rc = service_error(d, domctl_unpause(d->built.domid), "starting it", err);
    if (rc < 0) {
        dismantle(d);
        return rc;
    }
    d->started_ns = clock_ns();
    *domid = d->built.domid;
    return 0;
}

int domain_create(const struct xlcfg *cfg, bool paused, domid_t *domid, struct cfg_error *err)
{
    int rc;

    mutex_lock(&changing);
    rc = create_locked(cfg, paused, 0, domid, err);
    mutex_unlock(&changing);
    return rc;
}

int domain_destroy(domid_t domid)
{
    struct domain *d;
    int rc;

    mutex_lock(&changing);
    d = by_number(domid);
    rc = d ? dismantle(d) : domctl_destroy(domid);
    mutex_unlock(&changing);
    return rc;
}

int domain_shutdown(domid_t domid, const char *how)
{
    return by_number(domid) ? nodes_shutdown(domid, how) : -XEN_ESRCH;
}

bool domain_has_ended(domid_t domid)
{
    const struct domain *d = by_number(domid);

    return !d || d->kept;
}

static bool parse_number(const char *text, domid_t *domid)
{
    unsigned n = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        n = n * 10 + (unsigned)(*text - '0');
        if (n >= DOMID_FIRST_RESERVED)
            return false;
    }
    *domid = (domid_t)n;
    return true;
}

int domain_find(const char *text, domid_t *domid)
{
    const struct domain *d = by_name(text);
    struct xen_domctl_getdomaininfo info;

    if (d) {
        *domid = d->built.domid;
        return 0;
    }
    if (!strcmp(text, "Domain-0")) {
        *domid = 0;
        return 0;
    }
    return parse_number(text, domid) ? domctl_info(*domid, &info) : -XEN_ESRCH;
}

char *domain_name(domid_t domid, char *buf, size_t size)
{
    const struct domain *d = by_number(domid);

    snprintf(buf, size, "%s", d ? d->cfg.name : domid ? "(null)" : "Domain-0");
    return buf;
}

int domain_config(domid_t domid, struct xlcfg *cfg)
{
    const struct domain *d = by_number(domid);

    if (!d)
        return -XEN_ESRCH;
    *cfg = d->cfg;
    return 0;
}

struct xlcfg *domain_hold_config(domid_t domid)
{
    struct domain *d;

    mutex_lock(&changing);
    d = by_number(domid);
    if (d && !d->seen)
        return &d->cfg;
    mutex_unlock(&changing);
    return NULL;
}

void domain_release_config(void)
{
    mutex_unlock(&changing);
}

unsigned domain_list(domid_t *domids, unsigned max)
{
    unsigned n = 0;

    for (const struct domain *d = domains; d && n < max; d = d->next)
        domids[n++] = d->built.domid;
    return n;
}

void domain_for_each_name(void (*fn)(void *arg, const char *name, bool directory), void *arg)
{
    for (const struct domain *d = domains; d; d = d->next)
        fn(arg, d->cfg.name, false);
}

static const char *reason_name(unsigned reason)
{
    static const char *const names[] = {"powered off", "rebooted",           "suspended",
                                        "crashed",     "watchdog timed out", "soft reset"};

    return reason < sizeof names / sizeof names[0] ? names[reason] : "ended";
}

static enum xlcfg_action action_for(const struct domain *d, unsigned reason)
{
    if (ending_all)
        return XLCFG_DESTROY;
    switch (reason) {
    case SHUTDOWN_poweroff:
    case SHUTDOWN_suspend:
        return d->cfg.on_poweroff;
    case SHUTDOWN_reboot:
    case SHUTDOWN_soft_reset:
        return d->cfg.on_reboot;
    default:
        return d->cfg.on_crash;
    }
}

/* Keep an ended domain under a new name, so that its old one is free for the next. */
static void rename_kept(struct domain *d)
{
    char name[XLCFG_NAME_MAX];
    unsigned n = 0;

    do
        snprintf(name, sizeof name, "%.50s-%u", d->cfg.name, ++n);
    while (by_name(name));
    disks_detach(d->built.domid); /* the next one wants them */
    d->kept = true;
    memcpy(d->cfg.name, name, sizeof name);
    nodes_rename(d->built.domid, d->cfg.uuid, name);
    console_rename(d->built.domid, name);
}

/* Start the next life of a domain that has ended; `d` is gone or renamed afterwards. */
static void restart(struct domain *d, bool keep)
{
    struct xlcfg *cfg = malloc(sizeof *cfg);
    struct cfg_error *err = calloc(1, sizeof *err);
    unsigned quick = clock_ns() - d->started_ns < QUICK_NS ? d->quick_ends + 1 : 0;
    domid_t domid;

    if (!cfg || !err) {
        notice("(%s: not restarted: dom0 is out of memory)", d->cfg.name);
        dismantle(d);
    } else if (quick > QUICK_MAX) {
        notice("(%s: not restarted: it ended within a second %u times in a row)", d->cfg.name,
               quick);
        dismantle(d);
    } else {
        *cfg = d->cfg;
        if (keep) {
            memset(cfg->uuid, 0, sizeof cfg->uuid);
            rename_kept(d);
        } else {
            dismantle(d);
        }
        if (create_locked(cfg, false, quick, &domid, err) < 0)
            notice("(%s: not restarted: %.120s)", cfg->name, err->text);
    }
    free(cfg);
    free(err);
}

static void handle_end(struct domain *d, unsigned reason)
{
    static const char *const words[] = {"destroyed", "restarted", "kept and restarted", "kept"};
    enum xlcfg_action action = action_for(d, reason);

    if (!ending_all)
        notice("(%s, domain %u, %s: %s)", d->cfg.name, d->built.domid, reason_name(reason),
               words[action]);
    d->seen = true; /* whatever fails now, once is enough */
    switch (action) {
    case XLCFG_DESTROY:
        dismantle(d);
        break;
    case XLCFG_RESTART:
        restart(d, false);
        break;
    case XLCFG_RENAME_RESTART:
        restart(d, true);
        break;
    case XLCFG_PRESERVE:
        d->kept = true;
        break;
    }
}

/* The first domain that has ended and is not dealt with, and why. */
static struct domain *find_ended(unsigned *reason)
{
    for (struct domain *d = domains; d; d = d->next) {
        struct xen_domctl_getdomaininfo info;
        int rc = d->seen ? 0 : domctl_info(d->built.domid, &info);

        if (d->seen || (rc == 0 && !(info.flags & XEN_DOMINF_shutdown)))
            continue;
        *reason = rc < 0 ? SHUTDOWN_crash
                         : info.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
        return d;
    }
    return NULL;
}

static void watch_ends(void *arg)
{
    (void)arg;
    for (;;) {
        struct domain *d;
        unsigned reason;

        wait_event_timeout(&end_wait, end_seen, SCAN_NS);
        end_seen = false;
        mutex_lock(&changing);
        while ((d = find_ended(&reason)) != NULL)
            handle_end(d, reason);
        mutex_unlock(&changing);
    }
}

/* VIRQ_DOM_EXC: some domain has shut down or died. */
static void on_exception(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
    end_seen = true;
    waitq_wake(&end_wait);
}

int domain_service_start(void)
{
    int rc = nodes_create_dom0();

    if (rc == 0)
        rc = event_bind_virq(VIRQ_DOM_EXC, on_exception, NULL);
    if (rc < 0)
        return rc;
    return thread_create("domains", watch_ends, NULL) ? 0 : -XEN_ENOMEM;
}

/* Some paused domain, which could not end by itself. */
static struct domain *find_paused(void)
{
    struct xen_domctl_getdomaininfo info;
    struct domain *d = domains;

    while (d && (domctl_info(d->built.domid, &info) < 0 || !(info.flags & XEN_DOMINF_paused)))
        d = d->next;
    return d;
}

void domain_end_all(uint64_t ns, void (*progress)(const char *line))
{
    char line[DOMAIN_NOTICE_MAX];
    struct domain *d;

    ending_all = true;
    while ((d = find_paused()) != NULL) {
        snprintf(line, sizeof line, "Destroying domain %u (%s), which is paused", d->built.domid,
                 d->cfg.name);
        progress(line);
        domain_destroy(d->built.domid);
    }
    for (d = domains; d; d = d->next) {
        snprintf(line, sizeof line, "Shutting down domain %u (%s)", d->built.domid, d->cfg.name);
        progress(line);
        d->seen = false; /* one that was kept goes now */
        nodes_shutdown(d->built.domid, "poweroff");
    }
    end_seen = true;
    waitq_wake(&end_wait);
    wait_event_timeout(&gone_wait, !domains, ns);
    while (domains) {
        snprintf(line, sizeof line, "Domain %u (%s) did not end: destroying it",
                 domains->built.domid, domains->cfg.name);
        progress(line);
        domain_destroy(domains->built.domid);
    }
}
