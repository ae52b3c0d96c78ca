/* SPDX-License-Identifier: MIT */
/*
 * ELF64 and Xen's notes. The image comes from a boot loader or a disk and is not trusted: each
 * offset is checked against the image's size before it is followed, and sums are checked for
 * overflow. Sources: the System V ABI's ELF-64 object file format, <xen/elfnote.h>.
 *
 * Notes are looked for in the PT_NOTE segments, then in SHT_NOTE sections: the notes of some images
 * (PV-GRUB) are covered by no sane segment. A note segment or section with bad bounds is skipped,
 * not refused, for the same reason.
 */
#include "hv/elf.h"

#include <elf.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/elfnote.h>
#include "hv/lib/ctype.h"

/* Notes may be absent, and zero is a valid value of each: presence is a bit of its own. */
struct notes {
    bool any, has_virt_base, has_paddr_offset, has_entry;
    uint64_t virt_base, paddr_offset, entry;
};

struct parser {
    const uint8_t *data;
    size_t size;
    struct notes notes;
    struct elf_image *image;
    const char *why;
};

static long elf_refuse(struct parser *p, long err, const char *why)
{
    p->why = why;
    return err;
}

/* The bytes [offset, offset + bytes) of the image, NULL if they are not all there. */
static const void *elf_bytes(const struct parser *p, uint64_t offset, uint64_t bytes)
{
    if (offset > p->size || bytes > p->size - offset)
        return NULL;
    return p->data + offset;
}

/* FEATURES: names separated by '|'; '!' before a name means that the kernel cannot run without it.
 * The page tables here are as good as writable ones (the guest's direct writes are emulated), so
 * that requirement is met. */
static bool elf_features_met(const char *text, size_t size)
{
    static const char *const met[] = {"writable_page_tables", "pae_pgdir_above_4gb",
                                      "writable_descriptor_tables", "dom0"};
    size_t i = 0;

    while (i < size && text[i]) {
        size_t end = i;
        bool required = text[i] == '!', known = false;

        while (end < size && text[end] && text[end] != '|')
            end++;
        i += required;
        for (unsigned k = 0; k < sizeof met / sizeof *met; k++)
            known |= strlen(met[k]) == end - i && !memcmp(met[k], text + i, end - i);
        if (required && !known)
            return false;
        i = end < size && text[end] == '|' ? end + 1 : end;
    }
    return true;
}

static uint64_t note_number(const uint8_t *desc, uint32_t bytes)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < bytes && i < 8; i++)
        value |= (uint64_t)desc[i] << (8 * i);
    return value;
}

static void note_text(char *to, size_t size, const uint8_t *desc, uint32_t bytes)
{
    size_t n = 0;

    while (n < size - 1 && n < bytes && is_print(desc[n])) {
        to[n] = (char)desc[n];
        n++;
    }
    to[n] = 0;
}

static long elf_note(struct parser *p, uint32_t type, const uint8_t *desc, uint32_t bytes)
{
    uint64_t value = note_number(desc, bytes);
    struct elf_image *image = p->image;
    struct notes *notes = &p->notes;

    notes->any = true;
    switch (type) {
    case XEN_ELFNOTE_VIRT_BASE:
        notes->has_virt_base = true;
        notes->virt_base = value;
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        notes->has_paddr_offset = true;
        notes->paddr_offset = value;
        break;
    case XEN_ELFNOTE_ENTRY:
        notes->has_entry = true;
        notes->entry = value;
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        image->has_hypercall_page = true;
        image->hypercall_page = value;
        break;
    case XEN_ELFNOTE_INIT_P2M:
        image->has_init_p2m = true;
        image->init_p2m = value;
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        image->mod_start_pfn = value != 0;
        break;
    case XEN_ELFNOTE_GUEST_OS:
        note_text(image->guest_os, sizeof image->guest_os, desc, bytes);
        break;
    case XEN_ELFNOTE_FEATURES:
        if (!elf_features_met((const char *)desc, bytes))
            return elf_refuse(p, -XEN_EINVAL,
                              "the kernel requires a feature (\"!\" in its FEATURES note) that "
                              "does not exist here");
        break;
    }
    return 0;
}

/* All notes in [offset, offset + bytes). */
static long elf_notes(struct parser *p, uint64_t offset, uint64_t bytes)
{
    const uint8_t *area = elf_bytes(p, offset, bytes);
    uint64_t at = 0;

    if (!area)
        return 0;
    while (bytes - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        uint64_t name_at = at + sizeof note, desc_at, next;
        long rc;

        memcpy(&note, area + at, sizeof note);
        /* 32-bit sizes in 64-bit sums: no overflow. */
        desc_at = name_at + (((uint64_t)note.n_namesz + 3) & ~3UL);
        next = desc_at + (((uint64_t)note.n_descsz + 3) & ~3UL);
        if (desc_at + note.n_descsz > bytes)
            break;
        if (note.n_namesz == 4 && !memcmp(area + name_at, "Xen", 4)) {
            rc = elf_note(p, note.n_type, area + desc_at, note.n_descsz);
            if (rc)
                return rc;
        }
        if (next > bytes)
            break;
        at = next;
    }
    return 0;
}

static long elf_load_segment(struct parser *p, const Elf64_Phdr *ph)
{
    struct elf_image *image = p->image;
    struct elf_segment *s = &image->segments[image->segment_count];
    uint64_t end;

    if (!ph->p_memsz)
        return 0;
    if (image->segment_count == ELF_SEGMENTS_MAX)
        return elf_refuse(p, -XEN_EINVAL, "the kernel has too many loadable segments");
    if (ph->p_filesz > ph->p_memsz)
        return elf_refuse(p, -XEN_EINVAL, "a segment is larger in the file than in memory");
    s->data = elf_bytes(p, ph->p_offset, ph->p_filesz);
    if (!s->data)
        return elf_refuse(p, -XEN_EINVAL, "the file is truncated: a segment lies beyond its end");
    s->paddr = ph->p_paddr;
    s->mem_bytes = ph->p_memsz;
    s->file_bytes = ph->p_filesz;
    if (__builtin_add_overflow(s->paddr, s->mem_bytes, &end))
        return elf_refuse(p, -XEN_EINVAL, "a segment's addresses overflow");
    image->segment_count++;
    return 0;
}

static long elf_check_header(struct parser *p, Elf64_Ehdr *eh)
{
    if (p->size < SELFMAG || memcmp(p->data, ELFMAG, SELFMAG))
        return elf_refuse(p, -XEN_ENOEXEC, "this is no ELF file");
    if (p->size < sizeof *eh)
        return elf_refuse(p, -XEN_ENOEXEC, "the file is truncated: its ELF header is not complete");
    memcpy(eh, p->data, sizeof *eh);
    if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB ||
        eh->e_machine != EM_X86_64)
        return elf_refuse(p, -XEN_ENOEXEC, "the kernel is not for x86-64");
    if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
        return elf_refuse(p, -XEN_ENOEXEC, "this ELF file is not linked as a program");
    if (eh->e_phentsize != sizeof(Elf64_Phdr) ||
        !elf_bytes(p, eh->e_phoff, (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr)))
        return elf_refuse(p, -XEN_EINVAL,
                          "the file is truncated: its program headers are not complete");
    return 0;
}

static long elf_walk_segments(struct parser *p, const Elf64_Ehdr *eh)
{
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        Elf64_Phdr ph;
        long rc = 0;

        memcpy(&ph, p->data + eh->e_phoff + i * sizeof ph, sizeof ph);
        if (ph.p_type == PT_LOAD)
            rc = elf_load_segment(p, &ph);
        else if (ph.p_type == PT_NOTE)
            rc = elf_notes(p, ph.p_offset, ph.p_filesz);
        if (rc)
            return rc;
    }
    if (!p->image->segment_count)
        return elf_refuse(p, -XEN_EINVAL, "the kernel has nothing to load");
    return 0;
}

static long elf_walk_sections(struct parser *p, const Elf64_Ehdr *eh)
{
    if (eh->e_shentsize != sizeof(Elf64_Shdr) ||
        !elf_bytes(p, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(Elf64_Shdr)))
        return 0;
    for (unsigned i = 0; i < eh->e_shnum; i++) {
        Elf64_Shdr sh;
        long rc;

        memcpy(&sh, p->data + eh->e_shoff + i * sizeof sh, sizeof sh);
        if (sh.sh_type != SHT_NOTE)
            continue;
        rc = elf_notes(p, sh.sh_offset, sh.sh_size);
        if (rc)
            return rc;
    }
    return 0;
}

/* Addresses become offsets in the domain's memory, and must agree with each other. */
static long elf_resolve(struct parser *p, const Elf64_Ehdr *eh)
{
    struct elf_image *image = p->image;
    const struct notes *notes = &p->notes;

    if (notes->has_paddr_offset && !notes->has_virt_base)
        return elf_refuse(p, -XEN_EINVAL,
                          "the kernel has a PADDR_OFFSET note but no VIRT_BASE note");
    image->virt_base = notes->has_virt_base ? notes->virt_base : 0;
    image->entry = notes->has_entry ? notes->entry : eh->e_entry;
    if (image->virt_base & 0xfff)
        return elf_refuse(p, -XEN_EINVAL, "the VIRT_BASE note is not a page address");
    if (image->has_init_p2m && (image->init_p2m & 0xfff))
        return elf_refuse(p, -XEN_EINVAL, "the INIT_P2M note is not a page address");

    for (unsigned i = 0; i < image->segment_count; i++) {
        struct elf_segment *s = &image->segments[i];

        if (s->paddr < notes->paddr_offset)
            return elf_refuse(p, -XEN_EINVAL, "a segment lies below the PADDR_OFFSET note");
        s->paddr -= notes->paddr_offset;
        if (s->paddr + s->mem_bytes > image->paddr_end)
            image->paddr_end = s->paddr + s->mem_bytes;
    }
    /* Unsigned differences: an address below virt_base becomes huge. */
    if (image->entry - image->virt_base >= image->paddr_end)
        return elf_refuse(
            p, -XEN_EINVAL,
            "the entry point lies outside the kernel: check its ENTRY and VIRT_BASE notes");
    if (image->has_hypercall_page &&
        ((image->hypercall_page & 0xfff) || image->paddr_end < 4096 ||
         image->hypercall_page - image->virt_base > image->paddr_end - 4096))
        return elf_refuse(p, -XEN_EINVAL,
                          "the HYPERCALL_PAGE note is not a page inside the kernel");
    return 0;
}

long elf_parse(struct elf_image *image, const void *data, size_t size, const char **why)
{
    struct parser p = {.data = data, .size = size, .image = image};
    Elf64_Ehdr eh;
    long rc;

    memset(image, 0, sizeof *image);
    rc = elf_check_header(&p, &eh);
    if (!rc)
        rc = elf_walk_segments(&p, &eh);
    if (!rc && !p.notes.any)
        rc = elf_walk_sections(&p, &eh);
    if (!rc && !p.notes.any)
        rc = elf_refuse(&p, -XEN_ENOEXEC,
                        "the kernel has no Xen notes: it is not built as a paravirtual guest");
    if (!rc)
        rc = elf_resolve(&p, &eh);
    *why = p.why;
    return rc;
}
