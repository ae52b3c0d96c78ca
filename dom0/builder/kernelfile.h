/* SPDX-License-Identifier: MIT */
/*
 * A kernel's file as people have it: an ELF file, a compressed one, or Linux's bzImage, which holds
 * a compressed ELF file. Finds out which and gives the ELF file inside. Pure; for the builder and
 * for the command that explains kernels.
 */
#ifndef DOM0_BUILDER_KERNELFILE_H
#define DOM0_BUILDER_KERNELFILE_H

#include "dom0/builder/elfimage.h"
#include "dom0/unpack/unpack.h"

struct kernelfile_host {
    struct unpack_host unpack;
    uint64_t (*spare)(void); /* bytes that unpacking may take */
};

struct kernelfile {
    struct elfimage_file raw; /* the file itself */
    bool bzimage;
    unsigned protocol;         /* of the bzImage's boot protocol: major << 8 | minor */
    char version[128];         /* what the bzImage says that it is, printable; may be empty */
    bool is_elf;               /* begins as an ELF file does, not being packed */
    enum unpack_format format; /* UNPACK_NONE: the ELF file is there as it is */
    uint64_t offset, size;     /* of the ELF file, or of what it is packed in, in `raw` */
    uint64_t unpacked_size;    /* as stated by a bzImage; 0 if nothing says it */
    struct elfimage_file elf;  /* to be read, once kernelfile_unpack() has succeeded */
    struct unpack_data data;
};

/*
 * Look at the file's first bytes. Returns 0, or with one line in err -XEN_ENOEXEC (a bzImage that
 * has no payload where it says) or what `read` returned. A file of no known kind counts as ELF:
 * whoever parses it says what it is.
 */
int kernelfile_identify(struct kernelfile *k, const struct elfimage_file *raw,
                        struct cfg_error *err);

/*
 * Make k->elf readable, unpacking if need be, which takes seconds. raw and host must live as long
 * as k. Returns 0, or with one line in err -XEN_EOPNOTSUPP, -XEN_ENOEXEC, -XEN_ENOMEM or what
 * `read` returned. kernelfile_close() in any case.
 */
int kernelfile_unpack(struct kernelfile *k, const struct kernelfile_host *host,
                      struct cfg_error *err);

void kernelfile_close(struct kernelfile *k);

#endif
