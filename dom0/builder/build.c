/* SPDX-License-Identifier: MIT */
#include "dom0/builder/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/grant_table.h>
#include <xen/memory.h>

#include <rt/hypercall.h>
#include <rt/mm.h>

#include "dom0/builder/cpupool.h"
#include "dom0/builder/domctl.h"
#include "dom0/builder/elfimage.h"
#include "dom0/builder/guestmem.h"
#include "dom0/builder/kerneldisk.h"
#include "dom0/builder/layout.h"
#include "dom0/builder/penumbra.h"
#include "dom0/builder/sysctl.h"
#include "dom0/config/cpulist.h"
#include "dom0/config/xlcfg.h"
#include "dom0/fs/vfs.h"

#define COPY_BYTES  65536 /* read from a file at once */
#define RAMDISK_MAX (1ull << 40)

#define WEIGHT_DEFAULT 256 /* what cpu_weight is if nobody says otherwise */

/* A domain under construction. */
struct build {
    const struct xlcfg *cfg;
    struct cfg_error *err;
    struct kernelfile kernel;
    struct vfs_file *ramdisk;
    struct elfimage image;
    struct layout layout;
    struct guestmem memory;
    xen_pfn_t shared_info_mfn;
    struct cpupool pool;
    struct build_result result;
    bool created;
};

static int fail(struct build *b, int rc, const char *what)
{
    cfg_error_set(b->err, "%s: %s failed: %s (error %d)", b->cfg->name, what, vfs_strerror(rc),
                  -rc);
    return rc;
}

static int open_files(struct build *b)
{
    int rc = kerneldisk_open(&b->kernel, b->cfg->kernel, b->cfg->name, b->err);

    if (rc == 0 && b->cfg->ramdisk[0]) {
        rc = vfs_open(b->cfg->ramdisk, VFS_READ, b->cfg->name, &b->ramdisk);
        if (rc < 0)
            cfg_error_set(b->err, "ramdisk %s: %s", b->cfg->ramdisk, vfs_strerror(rc));
    }
    return rc;
}

static int unpack_kernel(struct build *b)
{
    return kernelfile_unpack(&b->kernel, &kerneldisk_host, b->err);
}

static int plan(struct build *b)
{
    uint64_t ramdisk = b->ramdisk ? vfs_size(b->ramdisk) : 0;
    int rc = elfimage_parse(&b->kernel.elf, &b->image, b->err);

    if (rc < 0)
        return rc;
    if (ramdisk > RAMDISK_MAX)
        ramdisk = RAMDISK_MAX;
    return layout_plan(&b->layout, &b->image, (uint64_t)b->cfg->memory_mib << 8, ramdisk, b->err);
}

static int no_memory(struct build *b, uint64_t free_pages)
{
    cfg_error_set(b->err,
                  "%s: not enough free memory: %u MiB are wanted, %llu MiB are free: destroy a "
                  "domain or lower memory",
                  b->cfg->name, b->cfg->memory_mib, (unsigned long long)(free_pages >> 8));
    return -XEN_ENOMEM;
}

/* Before anything is made, so that the refusal is cheap and says what is there. */
static int check_memory(struct build *b)
{
    struct xen_sysctl_physinfo info;
    int rc = sysctl_physinfo(&info);

    if (rc < 0)
        return fail(b, rc, "asking for the free memory");
    return info.free_pages < b->layout.page_count ? no_memory(b, info.free_pages) : 0;
}

static int find_pool(struct build *b)
{
    const char *name = b->cfg->pool[0] ? b->cfg->pool : "0";
    int rc = cpupool_find(name, &b->pool);

    if (rc == -XEN_ENOENT || (rc == 0 && !b->pool.cpus)) {
        cfg_error_set(b->err,
                      rc < 0 ? "%s: pool: there is no pool '%s': `cpupool-list` shows all"
                             : "%s: pool: %s has no CPU: give it one with cpupool-cpu-add",
                      b->cfg->name, name);
        return -XEN_ENOENT;
    }
    return rc < 0 ? fail(b, rc, "looking for its pool of CPUs") : 0;
}

static int create(struct build *b)
{
    int rc = domctl_create(b->cfg->uuid, b->cfg->maxvcpus, b->pool.id, &b->result.domid);

    if (rc < 0)
        return fail(b, rc, "creating the domain");
    b->created = true;
    rc = domctl_max_vcpus(b->result.domid, b->cfg->maxvcpus);
    if (rc < 0)
        return fail(b, rc, "making its vCPUs");
    return 0;
}

/* First the most that it may ever have, which is what its frame numbers are laid out for; then, as
 * xl does, what it is to have now. */
static int set_limits(struct build *b)
{
    uint64_t most = (uint64_t)b->cfg->maxmem_mib << 10, now = (uint64_t)b->cfg->memory_mib << 10;
    int rc = domctl_max_mem(b->result.domid, most + BUILD_SLACK_KIB);

    if (rc == 0)
        rc = domctl_max_mem(b->result.domid, now + BUILD_SLACK_KIB);
    return rc < 0 ? fail(b, rc, "setting its memory limit") : 0;
}

/* Tells a kernel that may grow how far, in the form of a BIOS's memory map. */
static int set_memory_map(struct build *b)
{
    struct {
        uint64_t base, length;
        uint32_t type;
    } __attribute__((packed)) ram = {.length = (uint64_t)b->cfg->maxmem_mib << 20, .type = 1};
    struct xen_foreign_memory_map map = {.domid = b->result.domid, .map.nr_entries = 1};
    int rc;

    if (b->cfg->maxmem_mib == b->cfg->memory_mib)
        return 0;
    set_xen_guest_handle(map.map.buffer, &ram);
    rc = (int)hypercall_memory_op(XENMEM_set_memory_map, &map);
    return rc < 0 ? fail(b, rc, "setting its memory map") : 0;
}

static int set_shadow_pool(struct build *b)
{
    uint64_t kib = (uint64_t)b->cfg->shadow_tables * XLCFG_SHADOW_KIB;
    int rc = kib ? domctl_set_paging_pool(b->result.domid, kib << 10) : 0;

    return rc < 0 ? fail(b, rc, "setting shadow_memory or shadow_pages") : 0;
}

static int alloc_channel(struct build *b, evtchn_port_t *port)
{
    struct evtchn_alloc_unbound op = {.dom = b->result.domid, .remote_dom = 0};
    int rc = (int)hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &op);

    if (rc < 0)
        return fail(b, rc, "making an event channel");
    *port = op.port;
    return 0;
}

/* First the store's, then the console's: some kernels believe in ports 1 and 2. */
static int make_channels(struct build *b)
{
    int rc = alloc_channel(b, &b->result.store_port);

    return rc < 0 ? rc : alloc_channel(b, &b->result.console_port);
}

static int populate(struct build *b)
{
    struct xen_sysctl_physinfo info = {0};
    int rc = guestmem_populate(&b->memory, b->result.domid, b->layout.page_count);

    if (rc == -XEN_ENOMEM && sysctl_physinfo(&info) == 0)
        return no_memory(b, info.free_pages);
    if (rc < 0)
        return fail(b, rc, "giving it memory");
    b->result.store_mfn = b->memory.frames[b->layout.store_pfn];
    b->result.console_mfn = b->memory.frames[b->layout.console_pfn];
    /* bss, gaps, rings and stack begin as zeros. The padding behind is free memory. */
    rc = guestmem_write(&b->memory, 0, NULL, (b->layout.stack_pfn + 1) << PAGE_SHIFT);
    return rc < 0 ? fail(b, rc, "clearing its memory") : 0;
}

static int read_ramdisk(void *ctx, uint64_t offset, void *buf, size_t len)
{
    int64_t got = vfs_pread(ctx, buf, len, offset);

    return got < 0 ? (int)got : (size_t)got == len ? 0 : -XEN_EIO;
}

/*
 * Copy a part of a file to byte offset `at` of the guest's memory. By way of a buffer of our own,
 * since a disk driver can use addresses of our own pages only.
 */
static int load(struct build *b, const struct elfimage_file *file, uint64_t offset, uint64_t at,
                uint64_t len)
{
    char *buf = malloc(COPY_BYTES);
    int rc = buf ? 0 : -XEN_ENOMEM;

    while (rc == 0 && len) {
        size_t part = len < COPY_BYTES ? (size_t)len : COPY_BYTES;

        rc = file->read(file->ctx, offset, buf, part);
        if (rc == 0)
            rc = guestmem_write(&b->memory, at, buf, part);
        offset += part;
        at += part;
        len -= part;
    }
    free(buf);
    return rc;
}

static int load_kernel(struct build *b)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < b->image.segment_count; i++) {
        const struct elfimage_segment *s = &b->image.segments[i];

        rc = load(b, &b->kernel.elf, s->offset, s->start, s->file_size);
    }
    if (rc < 0)
        return fail(b, rc, "reading the kernel");
    kerneldisk_close(&b->kernel); /* its memory is of use for what follows */
    return 0;
}

static int load_ramdisk(struct build *b)
{
    const struct elfimage_file file = {.read = read_ramdisk, .ctx = b->ramdisk};
    uint64_t at = b->layout.ramdisk_pfn << PAGE_SHIFT;
    int rc;

    if (!b->ramdisk)
        return 0;
    rc = guestmem_write(&b->memory, at, NULL, b->layout.ramdisk_pages << PAGE_SHIFT);
    if (rc == 0)
        rc = load(b, &file, 0, at, vfs_size(b->ramdisk));
    return rc < 0 ? fail(b, rc, "reading the ramdisk") : 0;
}

static int write_p2m(struct build *b)
{
    uint64_t at = b->layout.p2m_pfn << PAGE_SHIFT;
    int rc = guestmem_write(&b->memory, at, NULL, b->layout.p2m_pages << PAGE_SHIFT);

    if (rc == 0)
        rc = guestmem_write(&b->memory, at, b->memory.frames, b->layout.page_count * 8);
    return rc < 0 ? fail(b, rc, "writing the frame list") : 0;
}

static uint64_t to_va(const struct build *b, uint64_t pfn)
{
    return b->image.virt_base + (pfn << PAGE_SHIFT);
}

static void fill_ramdisk(const struct build *b, struct start_info *si)
{
    if (!b->ramdisk)
        return;
    si->mod_len = vfs_size(b->ramdisk);
    si->mod_start = b->layout.ramdisk_pfn;
    if (b->image.mod_start_pfn)
        si->flags |= SIF_MOD_START_PFN;
    else
        si->mod_start = to_va(b, b->layout.ramdisk_pfn);
}

static int write_start_info(struct build *b)
{
    const struct layout *l = &b->layout;
    struct start_info *si = calloc(1, sizeof *si);
    struct xen_domctl_getdomaininfo info;
    int rc = domctl_info(b->result.domid, &info);

    if (!si || rc < 0) {
        free(si);
        return fail(b, rc < 0 ? rc : -XEN_ENOMEM, "writing start_info");
    }
    b->shared_info_mfn = info.shared_info_frame;
    snprintf(si->magic, sizeof si->magic, "xen-3.0-x86_64");
    si->nr_pages = l->page_count;
    si->shared_info = info.shared_info_frame << PAGE_SHIFT;
    si->flags = SIF_VIRT_P2M_4TOOLS;
    si->store_mfn = b->result.store_mfn;
    si->store_evtchn = b->result.store_port;
    si->console.domU.mfn = b->result.console_mfn;
    si->console.domU.evtchn = b->result.console_port;
    si->pt_base = to_va(b, l->table_pfn);
    si->nr_pt_frames = l->table_pages;
    si->mfn_list = l->p2m_va;
    si->first_p2m_pfn = l->p2m_pfn;
    si->nr_p2m_frames = l->p2m_pages + l->p2m_tables;
    fill_ramdisk(b, si);
    memcpy(si->cmd_line, b->cfg->cmdline, strlen(b->cfg->cmdline) + 1);
    rc = guestmem_write(&b->memory, l->start_info_pfn << PAGE_SHIFT, si, sizeof *si);
    free(si);
    return rc < 0 ? fail(b, rc, "writing start_info") : 0;
}

static int write_tables(struct build *b)
{
    uint64_t *table = malloc(PTBUILD_ENTRIES * sizeof *table);
    int rc = table ? 0 : -XEN_ENOMEM;

    for (unsigned i = 0; rc == 0 && i < b->layout.tables.table_count; i++) {
        ptbuild_fill(&b->layout.tables, i, table, guestmem_frame, &b->memory);
        rc = guestmem_write(&b->memory, b->layout.tables.tables[i].pfn << PAGE_SHIFT, table,
                            PAGE_SIZE);
    }
    free(table);
    return rc < 0 ? fail(b, rc, "writing page tables") : 0;
}

/* A kernel starts with events masked on every vCPU. */
static int mask_events(struct build *b)
{
    struct shared_info *shared =
        map_frames(&b->shared_info_mfn, 1, b->result.domid, MAP_WRITE, NULL);

    if (!shared)
        return fail(b, -XEN_EFAULT, "mapping shared_info");
    for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        shared->vcpu_info[i].evtchn_upcall_mask = 1;
    unmap_frames(shared, 1);
    return 0;
}

static int fill_hypercall_page(struct build *b)
{
    uint64_t pfn = (b->image.hypercall_page - b->image.virt_base) >> PAGE_SHIFT;
    int rc;

    if (!b->image.has_hypercall_page)
        return 0;
    rc = domctl_hypercall_page(b->result.domid, b->memory.frames[pfn]);
    return rc < 0 ? fail(b, rc, "filling the hypercall page") : 0;
}

/* The domain's root table becomes one; a hypervisor with direct paging checks all tables here. */
static int pin_tables(struct build *b)
{
    struct mmuext_op op = {.cmd = MMUEXT_PIN_L4_TABLE,
                           .arg1.mfn = b->memory.frames[b->layout.tables.tables[0].pfn]};
    int rc = (int)hypercall_mmuext_op(&op, 1, NULL, b->result.domid);

    return rc < 0 ? fail(b, rc, "pinning page tables") : 0;
}

/* Lend the two ring pages to dom0 by the references that the ABI reserves for them. */
static int seed_grants(struct build *b)
{
    struct xen_mem_acquire_resource r = {.domid = b->result.domid,
                                         .type = XENMEM_resource_grant_table,
                                         .id = XENMEM_resource_grant_table_id_shared,
                                         .nr_frames = 1};
    const xen_pfn_t mfns[2] = {[GNTTAB_RESERVED_CONSOLE] = b->result.console_mfn,
                               [GNTTAB_RESERVED_XENSTORE] = b->result.store_mfn};
    struct grant_entry_v1 *grants;
    xen_pfn_t frame = 0;
    int rc;

    set_xen_guest_handle(r.frame_list, &frame);
    rc = (int)hypercall_memory_op(XENMEM_acquire_resource, &r);
    if (rc < 0)
        return fail(b, rc, "reaching its grant table");
    grants = map_frames(&frame, 1, b->result.domid, MAP_WRITE, NULL);
    if (!grants)
        return fail(b, -XEN_EFAULT, "mapping its grant table");
    for (unsigned ref = 0; ref < 2; ref++) {
        grants[ref].domid = 0;
        grants[ref].frame = (uint32_t)mfns[ref];
        grants[ref].flags = GTF_permit_access;
    }
    unmap_frames(grants, 1);
    return 0;
}

static int set_registers(struct build *b)
{
    struct vcpu_guest_context *c = calloc(1, sizeof *c);
    int rc;

    if (!c)
        return fail(b, -XEN_ENOMEM, "setting registers");
    c->flags = VGCF_in_kernel | VGCF_online;
    c->user_regs.rip = b->image.entry;
    c->user_regs.rsp = to_va(b, b->layout.stack_pfn + 1);
    c->user_regs.rsi = to_va(b, b->layout.start_info_pfn);
    c->user_regs.rflags = 1 << 9; /* IF */
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = FLAT_KERNEL_SS;
    c->kernel_ss = FLAT_KERNEL_SS;
    c->kernel_sp = c->user_regs.rsp;
    c->ctrlreg[3] = b->memory.frames[b->layout.tables.tables[0].pfn] << PAGE_SHIFT;
    c->debugreg[6] = 0xffff0ff0; /* their values at reset: Intel SDM volume 3, table 10-1 */
    c->debugreg[7] = 0x400;
    rc = domctl_set_context(b->result.domid, 0, c);
    free(c);
    return rc < 0 ? fail(b, rc, "setting registers") : 0;
}

/* A list that has no CPU of the domain's pool is a mistake; 0 is no list. */
static int check_cpus(struct build *b, const char *key, unsigned vcpu, uint64_t mask)
{
    char pool[CPUPOOL_NAME_MAX], cpus[96];

    if (!mask || (mask & b->pool.cpus))
        return 0;
    cfg_error_set(b->err, "%s: %s: vCPU %u is given no CPU of its pool, %s, which has %s",
                  b->cfg->name, key, vcpu, cpupool_name(b->pool.id, pool),
                  cpulist_format(b->pool.cpus, CPULIST_MAX, cpus, sizeof cpus));
    return -XEN_EINVAL;
}

static int set_affinity(struct build *b)
{
    int rc = 0;

    for (unsigned vcpu = 0; rc == 0 && vcpu < b->cfg->maxvcpus; vcpu++) {
        uint64_t hard = b->cfg->affinity[vcpu], soft = b->cfg->soft_affinity[vcpu];

        rc = check_cpus(b, "cpus", vcpu, hard);
        if (rc == 0)
            rc = check_cpus(b, "cpus_soft", vcpu, soft);
        if (rc < 0)
            return rc;
        if (hard || soft)
            rc = domctl_set_affinity(b->result.domid, vcpu, hard ? &hard : NULL,
                                     soft ? &soft : NULL);
    }
    return rc < 0 ? fail(b, rc, "setting its CPUs") : 0;
}

/* A scheduler may have no weights, or no caps: then it is enough that nobody asks for one. */
static int set_share(struct build *b)
{
    unsigned weight, cap;
    int rc = domctl_get_share(b->result.domid, b->pool.sched_id, &weight, &cap);

    if (rc == -XEN_EOPNOTSUPP) {
        weight = WEIGHT_DEFAULT;
        cap = 0;
        rc = 0;
    }
    if (rc == 0 && ((b->cfg->cpu_weight && b->cfg->cpu_weight != weight) || b->cfg->cap != cap))
        rc = domctl_set_share(b->result.domid, b->pool.sched_id,
                              b->cfg->cpu_weight ? b->cfg->cpu_weight : weight, b->cfg->cap);
    if (rc == -XEN_EOPNOTSUPP) {
        cfg_error_set(b->err,
                      "%s: cpu_weight, cap: the scheduler of its pool has no such thing "
                      "(`sched-wfq -s` shows it): leave them out or take another pool",
                      b->cfg->name);
        return rc;
    }
    return rc < 0 ? fail(b, rc, "setting cpu_weight and cap") : 0;
}

/* A hypervisor that knows no modes has the default's effect. */
static int set_store_mode(struct build *b)
{
    int rc = 0;

    if (b->cfg->store_mode != PENUMBRA_STORES_emulate)
        rc = penumbra_set_store_mode(b->result.domid, b->cfg->store_mode);
    if (rc == -XEN_ENOSYS) {
        cfg_error_set(b->err,
                      "%s: pagetable_writes: this hypervisor has no such modes: leave it out",
                      b->cfg->name);
        return rc;
    }
    return rc < 0 ? fail(b, rc, "setting pagetable_writes") : 0;
}

static int (*const steps[])(struct build *b) = {
    open_files,    unpack_kernel,  plan,
    check_memory,  find_pool,      create,
    set_limits,    set_memory_map, set_shadow_pool,
    make_channels, populate,       load_kernel,
    load_ramdisk,  write_p2m,      write_start_info,
    write_tables,  mask_events,    fill_hypercall_page,
    pin_tables,    seed_grants,    set_registers,
    set_affinity,  set_share,      set_store_mode,
};

int build_domain(const struct xlcfg *cfg, struct build_result *result, struct cfg_error *err)
{
    struct build *b = calloc(1, sizeof *b);
    int rc = 0;

    if (!b) {
        cfg_error_set(err, "%s: dom0 is out of memory", cfg->name);
        return -XEN_ENOMEM;
    }
    b->cfg = cfg;
    b->err = err;
    for (size_t i = 0; rc == 0 && i < sizeof steps / sizeof steps[0]; i++)
        rc = steps[i](b);
    if (rc < 0 && b->created)
        domctl_destroy(b->result.domid); /* the first error is the one to tell */
    if (rc == 0)
        *result = b->result;
    layout_free(&b->layout);
    guestmem_free(&b->memory);
    kerneldisk_close(&b->kernel);
    if (b->ramdisk)
        vfs_close(b->ramdisk);
    free(b);
    return rc;
}
