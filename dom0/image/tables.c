/* SPDX-License-Identifier: MIT */
#include "dom0/image/tables.h"

#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/imgfile.h"

#define ROOM_READ  30
#define ROOM_WRITE 120
/* With 4 KiB units, a block of so many and malloc's header fill 64 KiB. */
#define BLOCK_SLOTS 15

struct tables_slot {
    struct tables_slot *next; /* of all */
    struct tables_slot *next_hash;
    uint64_t offset; /* in the file; UINT64_MAX: empty */
    uint64_t used;
    uint8_t *data;
    uint8_t kind;
    bool dirty;
};

#define EMPTY UINT64_MAX

void tables_init(struct tables *t, struct image_file *file, uint32_t unit)
{
    memset(t, 0, sizeof *t);
    t->file = file;
    t->unit = unit;
    t->room = file->writable ? ROOM_WRITE : ROOM_READ;
}

/* Two blocks a time: the slots, whose first is the list's link, and their data. */
void tables_free(struct tables *t)
{
    while (t->blocks) {
        struct tables_slot *block = t->blocks;

        t->blocks = (void *)block->next_hash;
        free(block[0].data);
        free(block);
    }
    memset(t, 0, sizeof *t);
}

/* More slots. Slot 0 of a block is none: it links the blocks and owns their data. */
static bool grow(struct tables *t)
{
    struct tables_slot *block = calloc(BLOCK_SLOTS + 1, sizeof *block);
    uint8_t *data = malloc((size_t)BLOCK_SLOTS * t->unit);

    if (!block || !data) {
        free(block);
        free(data);
        return false;
    }
    block[0].data = data;
    block[0].next_hash = t->blocks;
    t->blocks = block;
    for (unsigned i = 1; i <= BLOCK_SLOTS; i++) {
        block[i].data = data + (size_t)(i - 1) * t->unit;
        block[i].offset = EMPTY;
        block[i].next = t->slots;
        t->slots = &block[i];
    }
    t->count += BLOCK_SLOTS;
    return true;
}

static struct tables_slot **bucket(struct tables *t, uint64_t offset)
{
    return &t->hash[offset / t->unit % (sizeof t->hash / sizeof t->hash[0])];
}

static void empty(struct tables *t, struct tables_slot *s)
{
    struct tables_slot **link = bucket(t, s->offset);

    while (*link != s)
        link = &(*link)->next_hash;
    *link = s->next_hash;
    s->offset = EMPTY;
    s->used = 0;
    if (s->dirty) {
        s->dirty = false;
        t->dirty[s->kind]--;
        t->all_dirty--;
    }
}

/* An empty slot: a new one, or the one that was used longest ago among those that are clean. */
static struct tables_slot *take(struct tables *t)
{
    struct tables_slot *oldest = NULL;

    for (int round = 0; round < 2; round++) {
        for (struct tables_slot *s = t->slots; s; s = s->next)
            if (!s->dirty && (!oldest || s->used < oldest->used))
                oldest = s;
        if ((oldest && oldest->offset == EMPTY) || t->count >= t->room || !grow(t))
            break;
        oldest = NULL;
    }
    if (oldest && oldest->offset != EMPTY)
        empty(t, oldest);
    return oldest;
}

static int load(struct tables *t, unsigned kind, uint64_t offset, struct tables_slot **out)
{
    struct tables_slot *s = take(t);
    int rc;

    if (!s)
        return t->count ? -XEN_ENOSPC : -XEN_ENOMEM;
    /* The file may end inside of a table. */
    rc = offset < t->file->size ? imgfile_read_zero(t->file, offset, s->data, t->unit) : -XEN_EIO;
    if (rc < 0)
        return rc;
    s->offset = offset;
    s->kind = (uint8_t)kind;
    s->next_hash = *bucket(t, offset);
    *bucket(t, offset) = s;
    *out = s;
    return 0;
}

int tables_at(struct tables *t, unsigned kind, uint64_t offset, bool write, uint8_t **at)
{
    uint64_t start = offset & ~(uint64_t)(t->unit - 1);
    struct tables_slot *s = *bucket(t, start);
    int rc = 0;

    while (s && s->offset != start)
        s = s->next_hash;
    if (!s)
        rc = load(t, kind, start, &s);
    else if (s->kind != kind)
        rc = -XEN_EIO;
    if (rc < 0)
        return rc;
    s->used = ++t->clock;
    if (write && !s->dirty) {
        s->dirty = true;
        t->dirty[kind]++;
        t->all_dirty++;
    }
    *at = s->data + (offset - start);
    return 0;
}

int tables_write(struct tables *t, unsigned kind)
{
    for (struct tables_slot *s = t->slots; s && t->dirty[kind] > 0; s = s->next) {
        int rc;

        if (!s->dirty || s->kind != kind)
            continue;
        rc = imgfile_write(t->file, s->offset, s->data, t->unit);
        if (rc < 0)
            return rc;
        s->dirty = false;
        t->dirty[kind]--;
        t->all_dirty--;
    }
    return 0;
}

void tables_forget(struct tables *t, uint64_t offset, uint64_t len)
{
    for (struct tables_slot *s = t->slots; s; s = s->next)
        if (s->offset != EMPTY && s->offset >= offset && s->offset - offset < len)
            empty(t, s);
}
