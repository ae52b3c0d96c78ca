/* SPDX-License-Identifier: MIT */
/* Paths of the store: "/" or "/a/b", components of letters, digits and "-_@". */

#include "dom0/store/core.h"

#include <stdio.h>
#include <string.h>

static bool path_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '@' || c == '/';
}

/* Is it well formed? Absolute, or the rest of a relative one. */
static bool path_valid(const char *path)
{
    size_t len = strlen(path);
    unsigned depth = 0;

    if (len == 0) {
        return false;
    }
    if (strcmp(path, "/") == 0) {
        return true;
    }
    for (size_t i = 0; i < len; i++) {
        if (!path_char(path[i])) {
            return false;
        }
        if (path[i] == '/') {
            if (i + 1 == len || path[i + 1] == '/') {
                return false;
            }
            depth++;
        }
    }
    return depth <= STORE_DEPTH_MAX;
}

int store_path_resolve(domid_t domid, const char *in, char *out)
{
    size_t len = strlen(in);

    if (in[0] == '/') {
        if (len > XENSTORE_ABS_PATH_MAX || !path_valid(in)) {
            return -XEN_EINVAL;
        }
        memcpy(out, in, len + 1);
        return 0;
    }
    if (len == 0 || len > XENSTORE_REL_PATH_MAX || in[0] == '@') {
        return -XEN_EINVAL;
    }
    snprintf(out, STORE_PATH_ROOM, "/local/domain/%u/%s", domid, in);
    return path_valid(out) ? 0 : -XEN_EINVAL;
}

bool store_path_within(const char *path, const char *top)
{
    size_t len = strlen(top);

    if (strcmp(top, "/") == 0) {
        return path[0] == '/';
    }
    return strncmp(path, top, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

const char *store_path_next(const char **path, size_t *len)
{
    const char *start = *path;

    if (*start == '/') {
        start++;
    }
    if (*start == '\0') {
        return NULL;
    }
    const char *end = start;
    while (*end != '\0' && *end != '/') {
        end++;
    }
    *len = (size_t)(end - start);
    *path = end;
    return start;
}

unsigned store_path_depth(const char *path)
{
    unsigned depth = 0;
    size_t len;

    while (store_path_next(&path, &len)) {
        depth++;
    }
    return depth;
}

bool store_parse_domid(const char *text, domid_t *domid)
{
    unsigned long value = 0;

    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        value = value * 10 + (unsigned long)(*text - '0');
        if (value >= DOMID_FIRST_RESERVED) {
            return false;
        }
    }
    *domid = (domid_t)value;
    return true;
}
