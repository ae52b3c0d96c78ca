/* SPDX-License-Identifier: MIT */
#include "dom0/cli/topsample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/version.h>

#include <rt/clock.h>
#include <rt/hypercall.h>

#include "dom0/blk/blkback.h"
#include "dom0/builder/domain.h"
#include "dom0/builder/sysctl.h"

_Static_assert(TOPVIEW_NAME_MAX >= XLCFG_NAME_MAX, "names");
_Static_assert(sizeof(xen_domain_handle_t) == sizeof((struct top_domain *)0)->handle, "UUIDs");

#define SECTOR 512

/* A sample being filled; the first error is kept. */
struct taking {
    struct topsample *s;
    const struct topsample *before;
    int rc;
};

static int make_room(struct topsample *s)
{
    unsigned room = s->room ? 2 * s->room : 16;
    struct top_domain *grown;

    if (s->count < s->room)
        return 0;
    grown = realloc(s->domains, room * sizeof *grown);
    if (!grown)
        return -XEN_ENOMEM;
    s->domains = grown;
    s->room = room;
    return 0;
}

/* Both lists are in the order of numbers; of few domains, so that a search is cheap enough. */
static const struct top_domain *find(const struct topsample *s, const struct top_domain *d)
{
    for (unsigned i = 0; s && i < s->count; i++)
        if (s->domains[i].id == d->id)
            return memcmp(s->domains[i].handle, d->handle, sizeof d->handle) ? NULL
                                                                             : &s->domains[i];
    return NULL;
}

static void add_disks(struct top_domain *d, struct blkback_info *disks)
{
    d->vbds = blkback_list(d->id, disks, XLCFG_DISKS_MAX);
    for (unsigned i = 0; i < d->vbds; i++) {
        d->reads += disks[i].reads;
        d->writes += disks[i].writes;
        d->sectors_read += disks[i].read_bytes / SECTOR;
        d->sectors_written += disks[i].written_bytes / SECTOR;
    }
}

static void add_domain(void *ctx, const struct xen_domctl_getdomaininfo *info)
{
    struct taking *t = ctx;
    struct topsample *s = t->s;
    const struct top_domain *was;
    struct top_domain *d;

    if (t->rc == 0)
        t->rc = make_room(s);
    if (t->rc < 0)
        return;
    d = &s->domains[s->count++];
    *d = (struct top_domain){
        .id = info->domain,
        .flags = info->flags,
        .cpu_ns = info->cpu_time,
        .mem_kib = info->tot_pages << 2,
        .max_kib = info->max_pages > UINT64_MAX >> 12 ? TOPVIEW_UNLIMITED : info->max_pages << 2,
        .vcpus = info->nr_online_vcpus,
        .vcpu_count = info->max_vcpu_id == XEN_INVALID_MAX_VCPU_ID ? 0 : info->max_vcpu_id + 1,
    };
    memcpy(d->handle, info->handle, sizeof d->handle);
    domain_name(d->id, d->name, sizeof d->name);
    was = find(t->before, d);
    if (was && d->cpu_ns > was->cpu_ns)
        d->cpu_tenths = topview_tenths(d->cpu_ns - was->cpu_ns, s->ns - t->before->ns);
}

static void read_version(struct topsample *s)
{
    long version = hypercall_xen_version(XENVER_version, NULL);
    char extra[sizeof(xen_extraversion_t) + 1] = "";

    if (hypercall_xen_version(XENVER_extraversion, extra) < 0 || version < 0)
        version = 0;
    extra[sizeof extra - 1] = 0;
    snprintf(s->version, sizeof s->version, "%ld.%ld%s", version >> 16, version & 0xffff, extra);
    s->machine.version = s->version;
}

static int read_machine(struct topsample *s)
{
    struct xen_sysctl_physinfo phys;
    int rc = sysctl_physinfo(&phys);

    if (rc < 0)
        return rc;
    s->machine.total_kib = phys.total_pages << 2;
    s->machine.free_kib = phys.free_pages << 2;
    s->machine.cpus = phys.nr_cpus;
    s->machine.mhz = phys.cpu_khz / 1000;
    clock_wall(&s->machine.seconds, NULL);
    read_version(s);
    return 0;
}

int topsample_take(struct topsample *s, const struct topsample *before)
{
    struct taking t = {.s = s, .before = before};
    struct blkback_info *disks = calloc(XLCFG_DISKS_MAX, sizeof *disks);
    const struct top_domain **order;
    int rc = disks ? read_machine(s) : -XEN_ENOMEM;

    s->count = 0;
    s->ns = clock_ns();
    if (rc == 0)
        rc = sysctl_each_domain(add_domain, &t);
    if (rc == 0)
        rc = t.rc;
    for (unsigned i = 0; rc == 0 && i < s->count; i++)
        add_disks(&s->domains[i], disks);
    free(disks);
    if (rc < 0)
        return rc;
    order = realloc(s->order, (s->count + 1) * sizeof(struct top_domain *));
    if (!order)
        return -XEN_ENOMEM;
    s->order = order;
    for (unsigned i = 0; i < s->count; i++)
        order[i] = &s->domains[i];
    return 0;
}

void topsample_free(struct topsample *s)
{
    free(s->domains);
    free(s->order);
    *s = (struct topsample){0};
}
