/* SPDX-License-Identifier: MIT */
#include "dom0/image/format.h"

#include <string.h>

static const char *const names[IMAGE_FORMATS] = {"raw", "qcow2", "vmdk"};

const char *image_format_name(enum image_format format)
{
    return names[format];
}

int image_format_parse(const char *word)
{
    for (int i = 0; i < IMAGE_FORMATS; i++)
        if (!strcmp(word, names[i]))
            return i;
    return -1;
}

enum image_format image_format_by_name(const char *path)
{
    size_t len = strlen(path);

    for (int i = IMAGE_RAW + 1; i < IMAGE_FORMATS; i++) {
        size_t n = strlen(names[i]);

        if (len > n + 1 && path[len - n - 1] == '.' && !strcmp(path + len - n, names[i]))
            return (enum image_format)i;
    }
    return IMAGE_RAW;
}

enum image_format image_format_by_content(const void *head, size_t len)
{
    if (len >= 4 && !memcmp(head, "QFI\xfb", 4))
        return IMAGE_QCOW2;
    if ((len >= 4 && !memcmp(head, "KDMV", 4)) ||
        (len >= 21 && !memcmp(head, "# Disk DescriptorFile", 21)))
        return IMAGE_VMDK;
    return IMAGE_RAW;
}
