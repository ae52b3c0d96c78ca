/* SPDX-License-Identifier: MIT */
/* The content of one image into another: convert, flatten, commit. */
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/impl.h"

#define GRAIN 4096u /* zeros are looked for in parts of that size */

static bool all_zero(const uint8_t *bytes, size_t len)
{
    return !bytes[0] && !memcmp(bytes, bytes + 1, len - 1);
}

/* The parts of the buffer that are not zero, or all of it. */
static int copy_buffer(struct image *to, uint64_t offset, const uint8_t *bytes, size_t len,
                       bool zeros_too)
{
    for (size_t at = 0; at < len;) {
        size_t n = at;
        int rc;

        while (n < len) {
            size_t part = len - n < GRAIN ? len - n : GRAIN;

            if (!zeros_too && all_zero(bytes + n, part))
                break;
            n += part;
        }
        rc = n > at ? image_write(to, offset + at, bytes + at, n - at) : 0;
        if (rc < 0)
            return rc;
        at = n > at ? n : at + (len - at < GRAIN ? len - at : GRAIN);
    }
    return 0;
}

int image_copy(struct image *from, struct image *to, bool own)
{
    uint8_t *buffer = image_buffer(from);

    if (!buffer)
        return -XEN_ENOMEM;
    for (uint64_t offset = 0; offset < from->size;) {
        struct image_extent e;
        uint64_t left = from->size - offset;
        int rc = own ? image_map_own(from, offset, left, &e) : image_map(from, offset, left, &e);
        bool skip;

        if (rc < 0)
            return rc;
        image_find_hole(&e);
        skip = (int)e.kind == IMAGE_BELOW || (e.kind == IMAGE_ZERO && !own);
        if (!skip && e.len > IMAGE_BUFFER)
            e.len = IMAGE_BUFFER;
        if (!skip) {
            rc = image_read(from, offset, buffer, (size_t)e.len);
            if (rc == 0)
                rc = copy_buffer(to, offset, buffer, (size_t)e.len, own);
        }
        if (rc == 0 && image_pause(from->env))
            rc = -XEN_EAGAIN;
        if (rc < 0)
            return rc;
        offset += e.len;
    }
    return 0;
}
