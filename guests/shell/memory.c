/* SPDX-License-Identifier: MIT */
/* See memory.h. User memory is reached page by page through the kernel's own mapping of each page,
 * so the kernel never faults on a user address. */
#include "memory.h"

#include <elf.h>
#include <string.h>

#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/start.h>

const struct program *memory_program(const char *name)
{
    for (const struct program *p = program_table; p->name; p++) {
        if (strcmp(p->name, name) == 0) {
            return p;
        }
    }
    return NULL;
}

/* A zeroed page at va. */
static char *add_page(struct process *p, unsigned long va, bool write, bool exec)
{
    char *page = page_alloc(0);

    if (!page) {
        return NULL;
    }
    if (pt_space_map(&p->space, va, page, write, exec)) {
        page_free(page, 0);
        return NULL;
    }
    p->pages++;
    return page;
}

static int load_segment(struct process *p, const char *image, const Elf64_Phdr *ph)
{
    for (unsigned long va = ph->p_vaddr & PAGE_MASK; va < ph->p_vaddr + ph->p_memsz;
         va += PAGE_SIZE) {
        char *page = add_page(p, va, ph->p_flags & PF_W, ph->p_flags & PF_X);
        unsigned long from = va > ph->p_vaddr ? va : ph->p_vaddr;
        unsigned long to = va + PAGE_SIZE, file_end = ph->p_vaddr + ph->p_filesz;

        if (!page) {
            return -XEN_ENOMEM;
        }
        to = to < file_end ? to : file_end;
        if (from < to) {
            memcpy(page + (from - va), image + ph->p_offset + (from - ph->p_vaddr), to - from);
        }
    }
    return 0;
}

/* The images are linked into this kernel, so they are ours to trust; only the basics are checked.
 */
int memory_load(struct process *p, const struct program *program)
{
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)program->image;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(program->image + eh->e_phoff);
    unsigned long end = 0;

    if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_machine != EM_X86_64) {
        return -XEN_ENOEXEC;
    }
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        int rc;

        if (ph[i].p_type != PT_LOAD || !ph[i].p_memsz) {
            continue;
        }
        rc = load_segment(p, program->image, &ph[i]);
        if (rc) {
            return rc;
        }
        end = ph[i].p_vaddr + ph[i].p_memsz > end ? ph[i].p_vaddr + ph[i].p_memsz : end;
    }
    p->entry = eh->e_entry;
    p->heap_start = p->heap_end = (end + PAGE_SIZE - 1) & PAGE_MASK;
    return 0;
}

bool memory_fault(struct process *p, unsigned long va, bool write)
{
    bool in_heap = va >= p->heap_start && va < p->heap_end;
    bool in_stack = va >= STACK_TOP - STACK_BYTES && va < STACK_TOP;
    bool writable;

    if (pt_space_lookup(&p->space, va, &writable)) {
        return writable || !write;
    }
    return (in_heap || in_stack) && add_page(p, va & PAGE_MASK, true, false);
}

long memory_sbrk(struct process *p, long delta)
{
    unsigned long old = p->heap_end, end;

    if (__builtin_add_overflow(old, (unsigned long)delta, &end) ? delta > 0
                                                                : delta < 0 && end > old) {
        return -XEN_ENOMEM;
    }
    if (end < p->heap_start || end - p->heap_start > HEAP_MAX) {
        return -XEN_ENOMEM;
    }
    for (unsigned long va = (end + PAGE_SIZE - 1) & PAGE_MASK; va < old; va += PAGE_SIZE) {
        p->pages -= pt_space_unmap(&p->space, va);
    }
    p->heap_end = end;
    return (long)old;
}

/* The kernel's address of a user byte, whose page is brought in if it may be; NULL if there is no
 * such right. */
static char *user_byte(struct process *p, unsigned long va, bool write)
{
    char *page;

    if (!memory_fault(p, va, write)) {
        return NULL;
    }
    page = pt_space_lookup(&p->space, va, NULL);
    return page + va % PAGE_SIZE;
}

static int copy_user(struct process *p, char *kernel, unsigned long user, size_t count,
                     bool to_user)
{
    while (count) {
        size_t part = PAGE_SIZE - user % PAGE_SIZE;
        char *at = user_byte(p, user, to_user);

        if (!at) {
            return -XEN_EFAULT;
        }
        part = part < count ? part : count;
        memcpy(to_user ? at : kernel, to_user ? kernel : at, part);
        kernel += part;
        user += part;
        count -= part;
    }
    return 0;
}

int memory_from_user(struct process *p, void *to, unsigned long from, size_t count)
{
    return copy_user(p, to, from, count, false);
}

int memory_to_user(struct process *p, unsigned long to, const void *from, size_t count)
{
    return copy_user(p, (char *)(uintptr_t)from, to, count, true);
}

int memory_string_from_user(struct process *p, char *to, unsigned long from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char *at = user_byte(p, from + i, false);

        if (!at) {
            return -XEN_EFAULT;
        }
        to[i] = *at;
        if (!to[i]) {
            return 0;
        }
    }
    return -XEN_E2BIG;
}
