/* SPDX-License-Identifier: MIT */
/*
 * Domain 0's construction. Its memory is one contiguous block of machine frames and is mapped
 * directly (gfn = mfn), so that what it programs into devices needs no translation; pfn i is frame
 * base + i. Any paravirtual kernel may be domain 0. Start-of-day state: <xen/xen.h> "Start-of-day
 * memory layout", <xen/arch-x86/xen.h> struct vcpu_guest_context.
 *
 * Nothing runs yet: the domain's frames are written without its locks before they enter the p2m.
 */
#include "hv/dom0.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <xen/xen.h>
#include "hv/arch.h"
#include "hv/arch_boot.h"
#include "hv/boot_info.h"
#include "hv/devtree.h"
#include "hv/dom0_layout.h"
#include "hv/domain.h"
#include "hv/hypercall_page.h"
#include "hv/log.h"
#include "hv/wallclock.h"
#include "io/mmio.h"
#include "mm/frame.h"

#define DEFAULT_MEMORY_KIB (128UL << 10)
#define MAGIC              "xen-3.0-x86_64"

struct builder {
    struct devtree_domain tree;
    struct elf_image kernel;
    struct dom0_layout layout;
    struct domain *domain;
    const void *initrd;
    uint64_t initrd_bytes;
    mfn_t base; /* frame of pfn 0 */
};

/* ---- writing the domain's memory ---- */

static void copy_in(const struct builder *b, uint64_t paddr, const void *from, uint64_t bytes)
{
    while (bytes) {
        uint64_t offset = paddr & (PAGE_SIZE - 1), part = PAGE_SIZE - offset;
        uint8_t *page = frame_map(mfn_of(b->base.n + (paddr >> PAGE_SHIFT)));

        if (part > bytes)
            part = bytes;
        memcpy(page + offset, from, part);
        frame_unmap(page);
        from = (const uint8_t *)from + part;
        paddr += part;
        bytes -= part;
    }
}

static uint64_t read_entry(void *context, uint64_t pfn, unsigned index)
{
    const struct builder *b = context;
    uint64_t *page = frame_map(mfn_of(b->base.n + pfn)), entry = page[index];

    frame_unmap(page);
    return entry;
}

static void write_entry(void *context, uint64_t pfn, unsigned index, uint64_t entry)
{
    const struct builder *b = context;
    uint64_t *page = frame_map(mfn_of(b->base.n + pfn));

    page[index] = entry;
    frame_unmap(page);
}

/* ---- the steps ---- */

static void read_tree(struct builder *b)
{
    static struct devtree_error err;
    const struct boot_module *module = &boot_info.modules[0];

    if (!boot_info.module_count)
        panic("boot: the boot loader passed no modules: pass the device tree (.dtb) first, then "
              "domain 0's kernel");
    arch_boot_canary();
    if (devtree_parse(&b->tree, boot_module_data(0), module->end - module->start, boot_info.modules,
                      boot_info.module_count, &err))
        panic("boot: %s", err.text);
    if (b->tree.ignored[0])
        log_warn("boot: device tree: ignored: %s\n", b->tree.ignored);
    if (!b->tree.bootargs[0])
        snprintf(b->tree.bootargs, sizeof b->tree.bootargs, "%s",
                 boot_info.modules[b->tree.kernel].cmdline);
    if (!b->tree.memory_kib)
        b->tree.memory_kib = DEFAULT_MEMORY_KIB;
}

static void read_kernel(struct builder *b)
{
    const struct boot_module *module = &boot_info.modules[b->tree.kernel];
    uint64_t nr_pages = b->tree.memory_kib / 4;
    const char *why;

    if (elf_parse(&b->kernel, boot_module_data(b->tree.kernel), module->end - module->start, &why))
        panic("boot: domain 0's kernel (boot module %u): %s", b->tree.kernel, why);
    if (b->tree.ramdisk != DEVTREE_NO_MODULE) {
        module = &boot_info.modules[b->tree.ramdisk];
        b->initrd = boot_module_data(b->tree.ramdisk);
        b->initrd_bytes = module->end - module->start;
    }
    if (dom0_layout_plan(&b->layout, &b->kernel, nr_pages, b->initrd_bytes, &why))
        panic("boot: domain 0 with %lu MiB: %s", b->tree.memory_kib >> 10, why);
}

/* One block, a power of two; what is too much goes back at once. */
static void get_memory(struct builder *b)
{
    uint64_t pages = b->layout.nr_pages;
    unsigned order = 0;

    while (1UL << order < pages)
        order++;
    b->base = frame_alloc(order, b->domain->id, FRAME_ALLOC_ZERO);
    if (!mfn_valid(b->base))
        panic("boot: no %lu MiB of free memory in one piece for domain 0 (%lu MiB are free): lower "
              "'memory' in the device "
              "tree or give the machine more",
              (1UL << order) >> 8, frame_free_count() >> 8);
    for (uint64_t i = pages; i < 1UL << order; i++)
        frame_put(frame_of(mfn_of(b->base.n + i)));
}

static void load_kernel(struct builder *b)
{
    for (unsigned i = 0; i < b->kernel.segment_count; i++) {
        const struct elf_segment *s = &b->kernel.segments[i];

        copy_in(b, s->paddr, s->data, s->file_bytes); /* the rest is zero already */
    }
    if (b->kernel.has_hypercall_page) {
        uint64_t pfn = (b->kernel.hypercall_page - b->kernel.virt_base) >> PAGE_SHIFT;
        void *page = frame_map(mfn_of(b->base.n + pfn));

        hypercall_page_init(page);
        frame_unmap(page);
    }
    copy_in(b, b->layout.initrd.pfn << PAGE_SHIFT, b->initrd, b->initrd_bytes);
}

static void write_p2m_list(struct builder *b)
{
    for (uint64_t pfn = 0; pfn < b->layout.nr_pages; pfn++)
        write_entry(b, b->layout.p2m.pfn + pfn / 512, pfn % 512, b->base.n + pfn);
}

static void write_start_info(struct builder *b)
{
    const struct dom0_layout *l = &b->layout;
    struct start_info *si = frame_map(mfn_of(b->base.n + l->start_info.pfn));

    memcpy(si->magic, MAGIC, sizeof MAGIC);
    si->nr_pages = l->nr_pages;
    si->shared_info = b->domain->shared_gfn.n << PAGE_SHIFT;
    si->flags = SIF_PRIVILEGED | SIF_INITDOMAIN;
    si->pt_base = dom0_layout_va(l, l->tables.pfn);
    si->nr_pt_frames = l->tables.pages;
    si->mfn_list = l->p2m_va;
    if (l->p2m_apart) {
        si->first_p2m_pfn = l->p2m.pfn;
        si->nr_p2m_frames = l->p2m.pages;
    }
    if (b->initrd_bytes) {
        si->mod_start = l->initrd_by_pfn ? l->initrd.pfn : dom0_layout_va(l, l->initrd.pfn);
        si->mod_len = b->initrd_bytes;
        if (l->initrd_by_pfn)
            si->flags |= SIF_MOD_START_PFN;
    }
    snprintf((char *)si->cmd_line, sizeof si->cmd_line, "%s", b->tree.bootargs);
    frame_unmap(si);
}

/* The frames enter the p2m; the machine-to-phys table says what the pfn-to-mfn list says. */
static void give_memory(struct builder *b)
{
    struct paging *paging = b->domain->paging;
    long rc = 0;

    paging_lock(paging);
    for (uint64_t pfn = 0; pfn < b->layout.nr_pages && !rc; pfn++) {
        mfn_t mfn = mfn_of(b->base.n + pfn);

        rc = p2m_add_ram(paging, gfn_of(mfn.n), mfn);
        if (!rc)
            rc = m2p_set(paging, gfn_of(mfn.n), pfn);
    }
    paging_unlock(paging);
    if (rc)
        panic("boot: domain 0's memory could not be recorded (error %ld)", rc);
}

/* vCPU 0 as a kernel is entered: the boot stack's end, start_info in rsi, events masked. */
static void set_registers(struct builder *b)
{
    static struct vcpu_guest_context ctx; /* 5 KiB: too much for the stack */
    const struct dom0_layout *l = &b->layout;
    long rc;

    memset(&ctx, 0, sizeof ctx);
    ctx.flags = VGCF_in_kernel | VGCF_online;
    ctx.user_regs.rip = b->kernel.entry;
    ctx.user_regs.rsp = dom0_layout_va(l, l->stack.pfn + 1);
    ctx.user_regs.rsi = dom0_layout_va(l, l->start_info.pfn);
    ctx.user_regs.rflags = 1 << 9;
    ctx.user_regs.cs = FLAT_KERNEL_CS;
    ctx.user_regs.ss = FLAT_KERNEL_SS;
    ctx.kernel_ss = ctx.user_regs.ss;
    ctx.kernel_sp = ctx.user_regs.rsp;
    ctx.debugreg[6] = 0xffff0ff0;
    ctx.debugreg[7] = 0x400;
    ctx.ctrlreg[3] = xen_pfn_to_cr3(b->base.n + l->tables.pfn);
    rc = arch_vcpu_set_context(b->domain->vcpu[0], &ctx);
    if (rc)
        panic("boot: domain 0's first registers were refused (error %ld)", rc);
    b->domain->vcpu[0]->initialised = true;
}

static void make_domain(struct builder *b)
{
    struct domain_params params = {
        .id = 0,
        .privileged = true,
        .max_pages = b->layout.nr_pages,
        .max_grant_frames = GRANT_FRAMES,
        .max_maptrack_frames = MAPTRACK_FRAMES,
    };
    long rc = domain_create(&params, &b->domain);

    if (!rc)
        rc = domain_set_max_vcpus(b->domain, b->tree.cpus);
    if (rc)
        panic("boot: domain 0 could not be made (error %ld): is there enough memory?", rc);
    dom0 = b->domain; /* keeps the reference for ever */
    for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        b->domain->shared->vcpu_info[i].evtchn_upcall_mask = 1;
}

void dom0_create(void)
{
    static struct builder b;

    read_tree(&b);
    read_kernel(&b);
    mmio_init();
    wallclock_init();
    make_domain(&b);
    get_memory(&b);
    load_kernel(&b);
    write_p2m_list(&b);
    write_start_info(&b);
    dom0_layout_tables(&b.layout, &(struct dom0_memory){read_entry, write_entry, &b, b.base.n});
    give_memory(&b);
    set_registers(&b);

    log_info("domain 0: %s, %lu MiB at frame %lx, %u vCPU%s, entry %lx\n",
             b.kernel.guest_os[0] ? b.kernel.guest_os : "unnamed kernel", b.tree.memory_kib >> 10,
             b.base.n, b.tree.cpus, b.tree.cpus == 1 ? "" : "s", b.kernel.entry);
    sched_vcpu_up(b.domain->vcpu[0]);
    b.domain->controller_paused = false;
    domain_unpause(b.domain);
}
