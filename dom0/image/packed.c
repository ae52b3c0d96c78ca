/* SPDX-License-Identifier: MIT */
#include <xen/errno.h>

#include "dom0/image/impl.h"

/* Decoders look at a few bytes ahead, and what lies behind a part may be the end of the file. */
#define SLACK 8

static int read_part(void *ctx, uint64_t offset, void *buf, size_t len)
{
    const struct packed_part *part = ctx;

    return imgfile_read_zero(part->file, part->offset + offset, buf, len);
}

static int unpack_part(struct packed *p, const struct image_env *env,
                       const struct packed_part *part)
{
    const struct unpack_source source = {.read = read_part,
                                         .ctx = (void *)part,
                                         .size = part->len + SLACK,
                                         .limit = part->size,
                                         .single = true};
    const char *why;
    int rc;

    packed_free(p);
    p->host = (struct unpack_host){env->piece_alloc, env->piece_free, env->yield};
    p->data.host = &p->host;
    rc = unpack(&source, part->format, &p->data, &why);
    if (rc == 0 && (p->data.size > part->size || p->data.size < part->least)) {
        packed_free(p);
        rc = -XEN_EIO;
    }
    p->offset = part->offset;
    return rc == -XEN_EINVAL ? -XEN_EIO : rc;
}

int packed_read(struct packed *p, const struct image_env *env, const struct packed_part *part,
                uint32_t from, void *buf, size_t len)
{
    int rc = p->data.count && p->offset == part->offset ? 0 : unpack_part(p, env, part);

    if (rc < 0)
        return rc;
    if (!imgfile_inside(p->data.size, from, len))
        return -XEN_EIO;
    unpack_copy(&p->data, from, buf, len);
    return 0;
}

void packed_free(struct packed *p)
{
    if (p->data.count)
        unpack_free(&p->data);
}
