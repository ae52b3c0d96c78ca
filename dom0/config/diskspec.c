/* SPDX-License-Identifier: MIT */
#include "dom0/config/diskspec.h"

#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/cli/size.h"
#include "dom0/config/nearest.h"

/* The parts, the first ones in their order by position; target also has its own rule. */
enum part {
    PART_TARGET,
    PART_FORMAT,
    PART_VDEV,
    PART_ACCESS,
    PART_DEVTYPE,
    PART_WEIGHT,
    PART_IOPS,
    PART_BPS,
    PART_DISCARD,
    PART_COUNT
};
#define PART_POSITIONS PART_DEVTYPE

static const char *const part_names[PART_COUNT] = {"target", "format", "vdev", "access", "devtype",
                                                   "weight", "iops",   "bps",  "discard"};

/* Words that need no key: that of the part is known. */
static const struct {
    const char *word;
    enum part part;
} alone[] = {{"cdrom", PART_DEVTYPE}, {"discard", PART_DISCARD}, {"no-discard", PART_DISCARD}};

#define PART_MAX DISKSPEC_PATH_MAX

struct parts {
    char text[PART_COUNT][PART_MAX];
    bool given[PART_COUNT];
};

/* xvd devices: major 202, sixteen minors per disk (see Linux' and Xen's vbd numbering). */
int diskspec_vdev_number(const char *vdev)
{
    unsigned disk, partition = 0;
    const char *s;

    if (strncmp(vdev, "xvd", 3) || vdev[3] < 'a' || vdev[3] > 'p')
        return -1;
    s = vdev + 4;
    disk = (unsigned)(vdev[3] - 'a');
    if (*s == '0')
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -1;
        partition = partition * 10 + (unsigned)(*s - '0');
        if (partition > 15)
            return -1;
    }
    return (int)(202 * 256 + disk * 16 + partition);
}

static const char *trim(const char *s, size_t *len)
{
    while (*len && (*s == ' ' || *s == '\t'))
        s++, (*len)--;
    while (*len && (s[*len - 1] == ' ' || s[*len - 1] == '\t'))
        (*len)--;
    return s;
}

static int set_part(struct parts *parts, unsigned which, const char *s, size_t len,
                    struct cfg_error *err)
{
    s = trim(s, &len);
    if (parts->given[which]) {
        cfg_error_set(err, "disk: %s is given twice", part_names[which]);
        return -XEN_EINVAL;
    }
    if (len >= PART_MAX) {
        cfg_error_set(err, "disk: %s is too long: %d bytes at most", part_names[which],
                      PART_MAX - 1);
        return -XEN_EINVAL;
    }
    memcpy(parts->text[which], s, len);
    parts->text[which][len] = 0;
    parts->given[which] = true;
    return 0;
}

static int set_keyword(struct parts *parts, const char *s, size_t key_len, size_t len,
                       struct cfg_error *err)
{
    char key[16];
    size_t trimmed = key_len;
    const char *k = trim(s, &trimmed);

    if (trimmed < sizeof key) {
        memcpy(key, k, trimmed);
        key[trimmed] = 0;
        for (unsigned i = 0; i < PART_COUNT; i++)
            if (!strcmp(key, part_names[i]))
                return set_part(parts, i, s + key_len + 1, len - key_len - 1, err);
    } else {
        snprintf(key, sizeof key, "%.12s...", k);
    }
    cfg_error_set(err, "disk: unknown word '%s': nearest known one is '%s'", key,
                  nearest_word(key, part_names, PART_COUNT, sizeof part_names[0]));
    return -XEN_EINVAL;
}

/* The next unset part by position, or PART_POSITIONS. */
static unsigned next_position(const struct parts *parts, unsigned from)
{
    while (from < PART_POSITIONS && parts->given[from])
        from++;
    return from;
}

/* The part that such a word belongs to, or PART_COUNT. */
static unsigned part_alone(const char *s, size_t len)
{
    s = trim(s, &len);
    for (unsigned i = 0; i < sizeof alone / sizeof alone[0]; i++)
        if (strlen(alone[i].word) == len && !strncmp(s, alone[i].word, len))
            return alone[i].part;
    return PART_COUNT;
}

static int split(const char *text, struct parts *parts, struct cfg_error *err)
{
    unsigned position = 0, part;

    for (const char *s = text;;) {
        size_t len = strcspn(s, ","), key_len = strcspn(s, ",=");
        int rc;

        while (*s == ' ' || *s == '\t')
            s++, len -= len > 0, key_len -= key_len > 0;
        if (!strncmp(s, "target=", 7))
            return set_part(parts, PART_TARGET, s + 7, strlen(s + 7), err);
        if (key_len < len) {
            rc = set_keyword(parts, s, key_len, len, err);
        } else if ((part = part_alone(s, len)) != PART_COUNT) {
            rc = set_part(parts, part, s, len, err);
        } else {
            position = next_position(parts, position);
            if (position == PART_POSITIONS) {
                cfg_error_set(err,
                              "disk: too many parts in '%.80s': write "
                              "'target,raw,xvda,rw'",
                              text);
                return -XEN_EINVAL;
            }
            rc = set_part(parts, position, s, len, err);
            position++;
        }
        if (rc < 0 || !s[len])
            return rc;
        s += len + 1;
    }
}

static int check_access(const char *access, bool *readonly, struct cfg_error *err)
{
    if (!strcmp(access, "r") || !strcmp(access, "ro")) {
        *readonly = true;
    } else if (!*access || !strcmp(access, "w") || !strcmp(access, "rw")) {
        *readonly = false;
    } else {
        cfg_error_set(err, "disk: unknown access '%.16s': write r or rw", access);
        return -XEN_EINVAL;
    }
    return 0;
}

static int check_format(const struct parts *parts, enum image_format *format, struct cfg_error *err)
{
    const char *word = parts->text[PART_FORMAT];
    int known = *word ? image_format_parse(word) : (int)image_format_by_name(parts->text[0]);

    if (known < 0) {
        cfg_error_set(err,
                      "disk: format '%.16s' is not known: write raw, qcow2 or vmdk, or convert the "
                      "image with qemu-img convert",
                      word);
        return -XEN_EINVAL;
    }
    *format = (enum image_format)known;
    return 0;
}

static int check_devtype(const char *word, bool *cdrom, struct cfg_error *err)
{
    *cdrom = !strcmp(word, "cdrom");
    if (!*word || *cdrom || !strcmp(word, "disk"))
        return 0;
    cfg_error_set(err, "disk: unknown devtype '%.16s': write disk or cdrom", word);
    return -XEN_EINVAL;
}

static int check_discard(const char *word, bool *no_discard, struct cfg_error *err)
{
    *no_discard = !strcmp(word, "no-discard");
    if (!*word || *no_discard || !strcmp(word, "discard"))
        return 0;
    cfg_error_set(err, "disk: discard has no value: write discard or no-discard");
    return -XEN_EINVAL;
}

static int check_number(const struct parts *parts, enum part which, uint64_t max, uint64_t *number,
                        struct cfg_error *err)
{
    const char *word = parts->text[which];
    uint64_t n = 0;

    *number = 0;
    for (const char *s = word; *s; s++) {
        n = *s >= '0' && *s <= '9' && n <= max ? n * 10 + (unsigned)(*s - '0') : max + 1;
        if (n > max)
            break;
    }
    if (parts->given[which] && (n == 0 || n > max)) {
        cfg_error_set(err, "disk: bad %s '%.16s': write a number from 1 to %llu", part_names[which],
                      word, (unsigned long long)max);
        return -XEN_EINVAL;
    }
    *number = n;
    return 0;
}

static int check_share(const struct parts *parts, struct diskspec *disk, struct cfg_error *err)
{
    uint64_t weight;
    int rc = check_number(parts, PART_WEIGHT, 65535, &weight, err);

    disk->weight = (unsigned)weight;
    if (rc == 0)
        rc = check_number(parts, PART_IOPS, UINT32_MAX, &disk->iops, err);
    disk->bps = 0;
    if (rc == 0 && parts->given[PART_BPS] && size_parse(parts->text[PART_BPS], &disk->bps) < 0) {
        cfg_error_set(err, "disk: bad bps '%.16s': write bytes a second, like 512K or 10M",
                      parts->text[PART_BPS]);
        rc = -XEN_EINVAL;
    }
    return rc;
}

int diskspec_parse(const char *text, struct diskspec *disk, struct cfg_error *err)
{
    struct parts parts = {0};
    int rc = split(text, &parts, err), number;

    if (rc == 0)
        rc = check_devtype(parts.text[PART_DEVTYPE], &disk->cdrom, err);
    if (rc == 0)
        rc = check_discard(parts.text[PART_DISCARD], &disk->no_discard, err);
    if (rc == 0)
        rc = check_share(&parts, disk, err);
    if (rc < 0)
        return rc;
    if (!parts.text[PART_TARGET][0] && !disk->cdrom) {
        cfg_error_set(err, "disk: no target in '%.80s': name a file like /disks/my.img", text);
        return -XEN_EINVAL;
    }
    rc = check_format(&parts, &disk->format, err);
    if (rc < 0)
        return rc;
    number = diskspec_vdev_number(parts.text[PART_VDEV]);
    if (number < 0) {
        cfg_error_set(err,
                      "disk: bad vdev '%.16s': the third part names the guest's disk, xvda "
                      "to xvdp",
                      parts.text[PART_VDEV]);
        return -XEN_EINVAL;
    }
    memcpy(disk->target, parts.text[PART_TARGET], sizeof disk->target);
    snprintf(disk->vdev, sizeof disk->vdev, "%.8s", parts.text[PART_VDEV]);
    disk->vdev_number = (unsigned)number;
    rc = check_access(parts.text[PART_ACCESS], &disk->readonly, err);
    disk->readonly |= disk->cdrom;
    return rc;
}
