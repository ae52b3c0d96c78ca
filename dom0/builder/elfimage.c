/* SPDX-License-Identifier: MIT */
#include "dom0/builder/elfimage.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <xen/elfnote.h>
#include <xen/errno.h>

#include "dom0/config/cfgtext.h"

#define NOTES_MAX   65536 /* bytes of one block of notes; real ones have some hundred */
#define HEADERS_MAX 256   /* program or section headers */
#define PADDR_LIMIT (1ull << 46)

/* What the notes say, before it is put together. UNSET where a note is missing. */
#define UNSET (~0ull)

struct notes {
    uint64_t entry, hypercall_page, virt_base, paddr_offset, init_p2m, mod_start_pfn;
    char required[32]; /* a feature that is required and not there */
    bool other_xen;    /* XEN_VERSION names another interface */
    bool phys32;       /* an entry point for PVH guests */
};

struct parse {
    const struct elfimage_file *file;
    struct elfimage *image;
    struct cfg_error *err;
    Elf64_Ehdr header;
    struct notes notes;
    elfimage_note_fn note; /* called for each */
    void *note_ctx;
    bool any_note;
};

#define refuse(p, ...) (cfg_error_set((p)->err, __VA_ARGS__), -XEN_ENOEXEC)

static int read_at(struct parse *p, uint64_t offset, void *buf, size_t len, const char *what)
{
    int rc;

    if (offset > p->file->size || len > p->file->size - offset)
        return refuse(p,
                      "kernel %s is truncated: its %s end at byte %llu, the file has %llu: copy "
                      "it again",
                      p->file->name, what, (unsigned long long)(offset + len),
                      (unsigned long long)p->file->size);
    rc = p->file->read(p->file->ctx, offset, buf, len);
    if (rc < 0)
        cfg_error_set(p->err, "kernel %s cannot be read (error %d)", p->file->name, -rc);
    return rc;
}

/* Say what a file is that is no ELF, where its first bytes tell. Compressed ones and bzImages are
 * unpacked before they come here. */
static int refuse_magic(struct parse *p, const unsigned char *head, size_t len)
{
    static const struct {
        const char *magic, *what;
    } known[] = {
        {"#!", "a script: give the kernel's ELF file"},
        {"070701", "a cpio archive, as ramdisks are: give it as ramdisk"},
        {"!<arch>", "an archive or a package: unpack it on the host"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (len >= strlen(known[i].magic) && !memcmp(head, known[i].magic, strlen(known[i].magic)))
            return refuse(p, "kernel %s is %s", p->file->name, known[i].what);
    return refuse(p, "kernel %s is no ELF file: give a kernel built for Xen PV (ELF64, x86-64)",
                  p->file->name);
}

static int read_header(struct parse *p)
{
    unsigned char head[sizeof(Elf64_Ehdr)];
    size_t len = p->file->size < sizeof head ? (size_t)p->file->size : sizeof head;
    const Elf64_Ehdr *h = &p->header;
    int rc = read_at(p, 0, head, len, "headers");

    if (rc < 0)
        return rc;
    if (len < SELFMAG || memcmp(head, ELFMAG, SELFMAG))
        return refuse_magic(p, head, len);
    if (len < sizeof p->header)
        return refuse(p, "kernel %s is truncated: it has %zu bytes: copy it again", p->file->name,
                      len);
    memcpy(&p->header, head, sizeof p->header);
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
        h->e_machine != EM_X86_64)
        return refuse(p, "kernel %s is an ELF file, but not for x86-64 (class %u, machine %u)",
                      p->file->name, h->e_ident[EI_CLASS], h->e_machine);
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        return refuse(p, "kernel %s is an ELF file, but no program: link it first", p->file->name);
    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > HEADERS_MAX)
        return refuse(p, "kernel %s has no usable program headers: link it as a program",
                      p->file->name);
    return 0;
}

/* A number in a note: 4 or 8 bytes, little-endian. */
static uint64_t note_number(const unsigned char *desc, uint32_t size)
{
    uint64_t n = 0;

    if (size != 4 && size != 8)
        return UNSET;
    for (uint32_t i = size; i > 0; i--)
        n = n << 8 | desc[i - 1];
    return n;
}

/*
 * FEATURES is a list like "!writable_page_tables|pae_pgdir_above_4gb"; `!` marks what the kernel
 * cannot do without. Writable page tables count as there, since direct writes are emulated.
 */
static void note_features(struct notes *n, const unsigned char *desc, uint32_t size)
{
    static const char *const have[] = {"writable_page_tables", "writable_descriptor_tables",
                                       "pae_pgdir_above_4gb"};
    uint32_t at = 0;

    while (at < size && desc[at]) {
        uint32_t len = 0;
        bool required = desc[at] == '!', found = false;

        at += required;
        while (at + len < size && desc[at + len] && desc[at + len] != '|')
            len++;
        for (size_t i = 0; i < sizeof have / sizeof have[0]; i++)
            found |= strlen(have[i]) == len && !memcmp(have[i], desc + at, len);
        if (required && !found) {
            uint32_t copy = len < sizeof n->required - 1 ? len : sizeof n->required - 1;

            for (uint32_t i = 0; i < copy; i++)
                n->required[i] =
                    (char)(desc[at + i] >= ' ' && desc[at + i] < 127 ? desc[at + i] : '?');
            n->required[copy] = 0;
        }
        at += len;
        at += at < size && desc[at] == '|';
    }
}

static void take_note(void *ctx, uint32_t type, const unsigned char *desc, uint32_t size)
{
    struct notes *n = ctx;

    switch (type) {
    case XEN_ELFNOTE_ENTRY:
        n->entry = note_number(desc, size);
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        n->hypercall_page = note_number(desc, size);
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        n->virt_base = note_number(desc, size);
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        n->paddr_offset = note_number(desc, size);
        break;
    case XEN_ELFNOTE_INIT_P2M:
        n->init_p2m = note_number(desc, size);
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        n->mod_start_pfn = note_number(desc, size);
        break;
    case XEN_ELFNOTE_FEATURES:
        note_features(n, desc, size);
        break;
    case XEN_ELFNOTE_XEN_VERSION:
        n->other_xen = size < 8 || memcmp(desc, "xen-3.0", 8) != 0;
        break;
    case XEN_ELFNOTE_PHYS32_ENTRY:
        n->phys32 = true;
        break;
    }
}

static uint64_t padded(uint32_t size)
{
    return ((uint64_t)size + 3) & ~3ull;
}

/* A block of notes. One that makes no sense ends it: real kernels have such, PV-GRUB for one. */
static void walk_notes(struct parse *p, const unsigned char *block, uint64_t len)
{
    while (len >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        uint64_t name_size, desc_size;

        memcpy(&note, block, sizeof note);
        block += sizeof note;
        len -= sizeof note;
        name_size = padded(note.n_namesz);
        desc_size = padded(note.n_descsz);
        if (name_size > len || note.n_descsz > len - name_size)
            return;
        if (note.n_namesz == 4 && !memcmp(block, "Xen", 4)) {
            p->any_note = true;
            p->note(p->note_ctx, note.n_type, block + name_size, note.n_descsz);
        }
        if (desc_size > len - name_size)
            return;
        block += name_size + desc_size;
        len -= name_size + desc_size;
    }
}

static int read_notes(struct parse *p, uint64_t offset, uint64_t len)
{
    unsigned char *block;
    int rc;

    /* Not a fault of its own: whether Xen notes were found anywhere decides. */
    if (!len || len > NOTES_MAX || offset > p->file->size || len > p->file->size - offset)
        return 0;
    block = malloc(len);
    if (!block) {
        cfg_error_set(p->err, "out of memory");
        return -XEN_ENOMEM;
    }
    rc = read_at(p, offset, block, len, "notes");
    if (rc == 0)
        walk_notes(p, block, len);
    free(block);
    return rc;
}

static int add_segment(struct parse *p, const Elf64_Phdr *ph)
{
    struct elfimage_segment *s = &p->image->segments[p->image->segment_count];

    if (!ph->p_memsz)
        return 0;
    if (p->image->segment_count == ELFIMAGE_SEGMENTS_MAX)
        return refuse(p, "kernel %s has more than %d segments to load", p->file->name,
                      ELFIMAGE_SEGMENTS_MAX);
    if (ph->p_filesz > ph->p_memsz || ph->p_memsz > PADDR_LIMIT || ph->p_paddr > ~PADDR_LIMIT)
        return refuse(p, "kernel %s is damaged: a segment has impossible sizes", p->file->name);
    if (ph->p_filesz &&
        (ph->p_offset > p->file->size || ph->p_filesz > p->file->size - ph->p_offset))
        return refuse(p,
                      "kernel %s is truncated: a segment ends at byte %llu, the file has %llu: "
                      "copy it again",
                      p->file->name, (unsigned long long)(ph->p_offset + ph->p_filesz),
                      (unsigned long long)p->file->size);
    s->offset = ph->p_offset;
    s->file_size = ph->p_filesz;
    s->start = ph->p_paddr; /* less the offset from the notes, see place_segments */
    s->mem_size = ph->p_memsz;
    p->image->segment_count++;
    return 0;
}

static int read_program_headers(struct parse *p)
{
    for (unsigned i = 0; i < p->header.e_phnum; i++) {
        Elf64_Phdr ph;
        int rc = read_at(p, p->header.e_phoff + i * sizeof ph, &ph, sizeof ph, "headers");

        if (rc == 0 && ph.p_type == PT_LOAD)
            rc = add_segment(p, &ph);
        if (rc == 0 && ph.p_type == PT_NOTE)
            rc = read_notes(p, ph.p_offset, ph.p_filesz);
        if (rc < 0)
            return rc;
    }
    if (!p->image->segment_count)
        return refuse(p, "kernel %s has nothing to load", p->file->name);
    return 0;
}

/* Some linkers leave the notes out of the program headers. */
static int read_section_notes(struct parse *p)
{
    unsigned count = p->header.e_shnum < HEADERS_MAX ? p->header.e_shnum : HEADERS_MAX;

    if (p->header.e_shentsize != sizeof(Elf64_Shdr) || p->header.e_shoff > p->file->size ||
        count * sizeof(Elf64_Shdr) > p->file->size - p->header.e_shoff)
        return 0;
    for (unsigned i = 0; i < count && !p->any_note; i++) {
        Elf64_Shdr sh;
        int rc = read_at(p, p->header.e_shoff + i * sizeof sh, &sh, sizeof sh, "headers");

        if (rc == 0 && sh.sh_type == SHT_NOTE)
            rc = read_notes(p, sh.sh_offset, sh.sh_size);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/*
 * Where things go, as libxc decides it: pfn 0 is at VIRT_BASE (0 without that note), and a segment
 * lies at its physical address less PADDR_OFFSET.
 */
static int place_segments(struct parse *p)
{
    struct elfimage *image = p->image;
    uint64_t less = p->notes.paddr_offset == UNSET ? 0 : p->notes.paddr_offset;

    image->start = UINT64_MAX;
    for (unsigned i = 0; i < image->segment_count; i++) {
        struct elfimage_segment *s = &image->segments[i];

        if (s->start < less || s->start - less > PADDR_LIMIT)
            return refuse(p, "kernel %s: a segment's physical address does not fit its notes",
                          p->file->name);
        s->start -= less;
        if (s->start < image->start)
            image->start = s->start;
        if (s->start + s->mem_size > image->end)
            image->end = s->start + s->mem_size;
    }
    return 0;
}

static bool inside(const struct elfimage *image, uint64_t va, uint64_t size)
{
    uint64_t at = va - image->virt_base;

    return at >= image->start && at < image->end && image->end - at >= size;
}

static int take_notes(struct parse *p)
{
    const struct notes *n = &p->notes;
    struct elfimage *image = p->image;

    if (!p->any_note)
        return refuse(p, "kernel %s has no Xen notes: it is no kernel for Xen PV guests",
                      p->file->name);
    if (n->phys32 && n->entry == UNSET)
        return refuse(p,
                      "kernel %s is for PVH guests only (it has no ENTRY note): give one built for "
                      "PV, as Linux is with CONFIG_XEN_PV",
                      p->file->name);
    if (n->other_xen)
        return refuse(p, "kernel %s wants another version of the interface than xen-3.0",
                      p->file->name);
    if (n->required[0])
        return refuse(p, "kernel %s requires the feature '%s', which does not exist here",
                      p->file->name, n->required);
    image->virt_base = n->virt_base == UNSET ? 0 : n->virt_base;
    image->entry = n->entry == UNSET ? p->header.e_entry : n->entry;
    image->has_hypercall_page = n->hypercall_page != UNSET;
    image->hypercall_page = n->hypercall_page;
    image->has_init_p2m = n->init_p2m != UNSET;
    image->init_p2m = n->init_p2m;
    image->mod_start_pfn = n->mod_start_pfn != UNSET && n->mod_start_pfn != 0;
    return 0;
}

static int read_headers(struct parse *p)
{
    int rc = read_header(p);

    if (rc == 0)
        rc = read_program_headers(p);
    if (rc == 0 && !p->any_note)
        rc = read_section_notes(p);
    return rc;
}

int elfimage_notes(const struct elfimage_file *file, elfimage_note_fn fn, void *ctx,
                   struct cfg_error *err)
{
    struct elfimage image = {0};
    struct parse p = {.file = file, .image = &image, .err = err, .note = fn, .note_ctx = ctx};

    return read_headers(&p);
}

int elfimage_parse(const struct elfimage_file *file, struct elfimage *image, struct cfg_error *err)
{
    struct parse p = {.file = file, .image = image, .err = err};
    int rc;

    memset(image, 0, sizeof *image);
    p.notes = (struct notes){.entry = UNSET,
                             .hypercall_page = UNSET,
                             .virt_base = UNSET,
                             .paddr_offset = UNSET,
                             .init_p2m = UNSET,
                             .mod_start_pfn = UNSET};
    p.note = take_note;
    p.note_ctx = &p.notes;
    rc = read_headers(&p);
    if (rc == 0)
        rc = take_notes(&p);
    if (rc == 0)
        rc = place_segments(&p);
    if (rc < 0)
        return rc;
    if (!inside(image, image->entry, 1))
        return refuse(&p, "kernel %s: its entry point %#llx lies outside of it", file->name,
                      (unsigned long long)image->entry);
    if (image->has_hypercall_page &&
        (image->hypercall_page & 4095 || !inside(image, image->hypercall_page, 4096)))
        return refuse(&p, "kernel %s: its hypercall page %#llx is no page of it", file->name,
                      (unsigned long long)image->hypercall_page);
    return 0;
}
