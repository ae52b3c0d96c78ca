/* SPDX-License-Identifier: MIT */
/* The names of image formats, for configurations, the command line and images themselves. Pure. */
#ifndef DOM0_IMAGE_FORMAT_H
#define DOM0_IMAGE_FORMAT_H

#include <stddef.h>

enum image_format { IMAGE_RAW, IMAGE_QCOW2, IMAGE_VMDK, IMAGE_FORMATS };

/* "raw", "qcow2", "vmdk". */
const char *image_format_name(enum image_format format);
/* The format of that name, or -1. */
int image_format_parse(const char *word);
/*
 * By the end of a file's name: .qcow2, .vmdk; all others are raw. A file's content never decides: a
 * guest whose disk is raw could write another format's header there, and name any file as its base.
 */
enum image_format image_format_by_name(const char *path);
/* What content looks like, for messages only. `len` bytes of its begin. */
enum image_format image_format_by_content(const void *head, size_t len);

#endif
