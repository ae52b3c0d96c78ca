/* SPDX-License-Identifier: MIT */
/* What image.c and the formats share. For this folder. */
#ifndef DOM0_IMAGE_IMPL_H
#define DOM0_IMAGE_IMPL_H

#include "dom0/image/image.h"
#include "dom0/unpack/unpack.h"

/* A driver's answer for what the image does not hold itself: look into its base. */
#define IMAGE_BELOW 3

struct image {
    const struct image_driver *driver;
    const struct image_env *env;
    struct image_file *file; /* the one that was named */
    struct image *base;
    void *state; /* the driver's */
    uint64_t size;
    uint32_t unit;
    enum image_format format, base_format;
    bool writable, same;
    const char *variant;
    void (*settle)(void *arg);
    void *settle_arg;
    uint8_t *buffer; /* IMAGE_BUFFER bytes, once it is needed */
    char path[IMAGE_PATH_MAX];
    char base_path[IMAGE_PATH_MAX]; /* as it can be opened; "": none */
    char note[IMAGE_WHY_MAX];
};

#define IMAGE_BUFFER (64u << 10)

/*
 * A format. `open` gets path, file, env, writable as wanted, and sets size, unit, variant,
 * base_path (which is "" before), note; if the note is not empty the image can only be read. On
 * error it leaves nothing behind, and why is about the file, without its name. The others are as in
 * image.h, for a part that lies inside the disk; `map` may answer IMAGE_BELOW. `based` looks at the
 * base, once it is open. All but open, close, map and create may be NULL: nothing to
 * do, if nothing else is said.
 */
struct image_driver {
    int (*open)(struct image *im, unsigned flags, char *why);
    int (*based)(struct image *im, char *why);
    int (*close)(struct image *im);
    int (*map)(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e);
    int (*map_write)(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e);
    int (*read_packed)(struct image *im, uint64_t offset, void *buf, size_t len);
    int (*prepare)(struct image *im);
    bool (*is_dirty)(const struct image *im);
    int (*flush)(struct image *im);
    int (*resize)(struct image *im, uint64_t size); /* to more; NULL: it cannot be */
    int (*check)(struct image *im, bool repair, void (*report)(const char *),
                 struct image_check *result);
    /* Its files beside im->file: number i, or NULL behind the last one. */
    struct image_file *(*file_at)(const struct image *im, unsigned i);
    int (*create)(const struct image_env *env, const char *path, const struct image_params *params,
                  char *why);
};

extern const struct image_driver raw_driver, qcow2_driver, vmdk_driver;

/* In between long work; true: it is to be given up. */
static inline bool image_pause(const struct image_env *env)
{
    env->yield();
    return env->stopped && env->stopped();
}

/* Puts a reason into why (IMAGE_WHY_MAX bytes), and returns rc. */
int image_fail(char *why, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* `name` as it stands in the file `child`, as a path: relative names begin at the child's folder.
 * -XEN_EOPNOTSUPP with why: it is no plain path. */
int image_base_path(const char *child, const char *name, char path[IMAGE_PATH_MAX], char *why);

/* image_map() in this image alone, inside the disk. */
int image_map_own(struct image *im, uint64_t offset, uint64_t len, struct image_extent *e);

/* A file's hole at the begin of an extent makes it one of zeros, as long as the hole: there may be
 * terabytes of them. */
void image_find_hole(struct image_extent *e);

/*
 * What the disk shows at `offset` (whole sectors) goes to the file at `at`. `fresh`: zeros are
 * there already and are not written.
 */
int image_fill(struct image *im, uint64_t offset, uint64_t len, struct image_file *to, uint64_t at,
               bool fresh);
/*
 * Waits for guests' writes in flight if what is written by ourselves at `at` might share a block of
 * the file system with them: that writes whole blocks, and would undo theirs.
 */
#define IMAGE_BLOCK 4096u
void image_settle(struct image *im, uint64_t at);
/* The buffer, or NULL: no memory. */
uint8_t *image_buffer(struct image *im);

/* One line of a check, while there were not too many. */
#define IMAGE_FINDINGS 20
struct image_findings {
    void (*report)(const char *line);
    unsigned count;
};
void image_finding(struct image_findings *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* --- packed.c: the compressed parts of images --- */

/* Where one lies, and what it becomes. */
struct packed_part {
    struct image_file *file;
    uint64_t offset;
    uint32_t len;   /* at most so many bytes */
    uint32_t size;  /* what it becomes: so many bytes at most */
    uint32_t least; /* and so many at least */
    enum unpack_format format;
};

/* The one that was unpacked last. */
struct packed {
    struct unpack_host host;
    struct unpack_data data;
    uint64_t offset; /* in the file; of none if data.count is 0 */
};

/* Copies bytes of an unpacked part, from the memory of the last one if it is that. -XEN_EIO: it is
 * damaged. */
int packed_read(struct packed *p, const struct image_env *env, const struct packed_part *part,
                uint32_t from, void *buf, size_t len);
void packed_free(struct packed *p);

#endif
