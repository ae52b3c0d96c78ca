/* SPDX-License-Identifier: MIT */
#include "dom0/builder/memory.h"

#include <stdio.h>
#include <xen/errno.h>

#include "dom0/builder/build.h"
#include "dom0/builder/domain.h"
#include "dom0/builder/domctl.h"
#include "dom0/builder/nodes.h"
#include "dom0/builder/sysctl.h"
#include "dom0/fs/vfs.h"

#define PAGE_KIB 4

/* A domain's present state, for checks and messages. */
struct state {
    char name[XLCFG_NAME_MAX];
    uint64_t has, target, max;
};

/* Sizes in messages: MiB where they are whole ones. */
struct size_text {
    char text[32];
};

static struct size_text show(uint64_t kib)
{
    struct size_text s;

    snprintf(s.text, sizeof s.text, "%llu %s", (unsigned long long)(kib % 1024 ? kib : kib / 1024),
             kib % 1024 ? "KiB" : "MiB");
    return s;
}

int memory_now(domid_t domid, uint64_t *has, uint64_t *target)
{
    struct xen_domctl_getdomaininfo info;
    uint64_t max;
    int rc = domctl_info(domid, &info);

    if (rc == 0)
        rc = nodes_memory(domid, target, &max);
    if (rc < 0 || info.flags & (XEN_DOMINF_dying | XEN_DOMINF_shutdown))
        return -XEN_ESRCH;
    *has = info.tot_pages * PAGE_KIB;
    return 0;
}

static int failed(struct cfg_error *err, const char *name, int rc)
{
    cfg_error_set(err, "%s: its memory cannot be changed: %s (error %d)", name, vfs_strerror(rc),
                  -rc);
    return rc;
}

static int look(domid_t domid, struct state *s, struct cfg_error *err)
{
    int rc;

    domain_name(domid, s->name, sizeof s->name);
    if (domid == 0) {
        cfg_error_set(err, "Domain-0 is this control domain: its memory is fixed at boot");
        return -XEN_EINVAL;
    }
    rc = memory_now(domid, &s->has, &s->target);
    if (rc == 0)
        rc = nodes_memory(domid, &s->target, &s->max);
    if (rc < 0) {
        cfg_error_set(err, "%s has ended, or was not made here: it has no memory to change",
                      s->name);
        return rc;
    }
    return 0;
}

static int check_target(const struct state *s, uint64_t kib, struct cfg_error *err)
{
    struct xen_sysctl_physinfo info;
    int rc;

    if (kib < MEMORY_MIN_KIB) {
        cfg_error_set(err, "%s: %s is less than a domain can live with: %s at least", s->name,
                      show(kib).text, show(MEMORY_MIN_KIB).text);
        return -XEN_EINVAL;
    }
    if (kib > s->max) {
        cfg_error_set(err, "%s: %s is more than its maximum of %s: raise that first, with mem-max",
                      s->name, show(kib).text, show(s->max).text);
        return -XEN_EINVAL;
    }
    rc = sysctl_physinfo(&info);
    if (rc < 0)
        return failed(err, s->name, rc);
    if (kib > s->has && kib - s->has > info.free_pages * PAGE_KIB) {
        cfg_error_set(err,
                      "%s: not enough free memory: it has %s, %s more are wanted, %llu MiB are "
                      "free: take some from another domain, or destroy one",
                      s->name, show(s->has).text, show(kib - s->has).text,
                      (unsigned long long)(info.free_pages >> 8));
        return -XEN_ENOMEM;
    }
    return 0;
}

int memory_set_target(domid_t domid, uint64_t kib, struct cfg_error *err)
{
    struct state s;
    int rc = look(domid, &s, err);

    if (rc == 0)
        rc = check_target(&s, kib, err);
    if (rc < 0)
        return rc;
    kib -= kib % PAGE_KIB;
    rc = domctl_max_mem(domid, kib + BUILD_SLACK_KIB);
    if (rc == 0)
        rc = nodes_set_target(domid, kib);
    return rc < 0 ? failed(err, s.name, rc) : 0;
}

int memory_set_max(domid_t domid, uint64_t kib, struct cfg_error *err)
{
    struct state s;
    int rc = look(domid, &s, err);

    if (rc < 0)
        return rc;
    if (kib < s.target) {
        cfg_error_set(err, "%s: %s is less than its target of %s: lower that first, with mem-set",
                      s.name, show(kib).text, show(s.target).text);
        return -XEN_EINVAL;
    }
    if (kib > (uint64_t)XLCFG_MEMORY_MAX << 10) {
        cfg_error_set(err, "%s: %s is more than a domain can have: %s at most", s.name,
                      show(kib).text, show((uint64_t)XLCFG_MEMORY_MAX << 10).text);
        return -XEN_EINVAL;
    }
    kib -= kib % PAGE_KIB;
    rc = domctl_max_mem(domid, kib + BUILD_SLACK_KIB);
    if (rc == 0)
        rc = nodes_set_max(domid, kib);
    return rc < 0 ? failed(err, s.name, rc) : 0;
}
