/* SPDX-License-Identifier: MIT */
#include "space.h"

#include "mmu.h"
#include "text.h"
#include "user.h"

struct space space_main, space_other;
uint64_t space_samples[SPACE_SAMPLES_BYTES / 8] PAGE_ALIGNED;

struct mmu_update mmu_batch[MMU_TABLE_ENTRIES];
struct multicall_entry multi_calls[MULTI_MAX];

static uint8_t user_stack[PAGE_BYTES] PAGE_ALIGNED;
static uint64_t image_entry; /* of the builder's L4: the image, in every kernel root */

static uint64_t *l1_slot(const struct space *s, uint64_t va)
{
    return &s->l1[0][(va - SPACE_BASE) / PAGE_BYTES];
}

void space_fill(struct space *s, int l1_count)
{
    s->l1_count = l1_count;
    s->kernel_l4 = pages_take_zeroed();
    s->user_l4 = pages_take_zeroed();
    s->l3 = pages_take_zeroed();
    s->l2 = pages_take_zeroed();
    for (int i = 0; i < l1_count; i++) {
        s->l1[i] = pages_take_zeroed();
        s->l2[i] = pages_entry(s->l1[i], PTE_TABLE);
    }
    s->l3[1] = pages_entry(s->l2, PTE_TABLE);
    s->user_l4[0] = s->kernel_l4[0] = pages_entry(s->l3, PTE_TABLE);
    s->kernel_l4[511] = image_entry;
    for (unsigned i = 0; user_text_start + i * PAGE_BYTES < user_text_end; i++) {
        s->l1[0][i] = pages_entry(user_text_start + i * PAGE_BYTES, PTE_USER_RX);
    }
    *l1_slot(s, SPACE_STACK) = pages_entry(user_stack, PTE_USER_RW);
    for (unsigned i = 0; i < SPACE_SAMPLES_BYTES / PAGE_BYTES; i++) {
        l1_slot(s, SPACE_SAMPLES)[i] =
            pages_entry((uint8_t *)space_samples + i * PAGE_BYTES, PTE_USER_RW);
    }
}

static int tables_of(const struct space *s, void **tables)
{
    int n = 0;

    tables[n++] = s->kernel_l4;
    tables[n++] = s->user_l4;
    tables[n++] = s->l3;
    tables[n++] = s->l2;
    for (int i = 0; i < s->l1_count; i++) {
        tables[n++] = s->l1[i];
    }
    return n;
}

long space_protect(const struct space *s, uint64_t bits)
{
    void *tables[SPACE_TABLES_MAX];
    int n = tables_of(s, tables);

    for (int i = 0; i < n; i++) {
        multi_set(i, __HYPERVISOR_update_va_mapping, HYPER_ARG(tables[i]),
                  pages_entry(tables[i], bits), UVMF_INVLPG, 0);
    }
    return multi_run_checked(n);
}

long space_pin(const struct space *s)
{
    long rc = mmu_extended(MMUEXT_PIN_L4_TABLE, pages_frame(s->kernel_l4), 0);

    return rc ? rc : mmu_extended(MMUEXT_PIN_L4_TABLE, pages_frame(s->user_l4), 0);
}

long space_unpin(const struct space *s)
{
    long rc = mmu_extended(MMUEXT_UNPIN_TABLE, pages_frame(s->kernel_l4), 0);

    return rc ? rc : mmu_extended(MMUEXT_UNPIN_TABLE, pages_frame(s->user_l4), 0);
}

void space_free(struct space *s)
{
    void *tables[SPACE_TABLES_MAX];
    int n = tables_of(s, tables);

    while (n) {
        pages_give(tables[--n]);
    }
}

long space_switch_to(uint64_t kernel_frame, uint64_t user_frame)
{
    static struct mmuext_op base[2];

    base[0].cmd = MMUEXT_NEW_BASEPTR;
    base[0].arg1.mfn = kernel_frame;
    base[1].cmd = MMUEXT_NEW_USER_BASEPTR;
    base[1].arg1.mfn = user_frame;
    multi_set(0, __HYPERVISOR_mmuext_op, HYPER_ARG(&base[0]), 1, 0, DOMID_SELF);
    multi_set(1, __HYPERVISOR_mmuext_op, HYPER_ARG(&base[1]), 1, 0, DOMID_SELF);
    return multi_run(2);
}

long space_switch(const struct space *s)
{
    return space_switch_to(pages_frame(s->kernel_l4), pages_frame(s->user_l4));
}

static void make(struct space *s)
{
    long rc;

    space_fill(s, 4);
    rc = space_protect(s, PTE_KERNEL_RO);
    rc = rc ? rc : space_pin(s);
    if (rc) {
        text_panic("address space", rc);
    }
}

void space_init(const uint64_t *boot_l4)
{
    long rc;

    image_entry = boot_l4[511];
    make(&space_main);
    make(&space_other);
    rc = space_switch(&space_main);
    if (rc) {
        text_panic("first switch", rc);
    }
}
