/* SPDX-License-Identifier: MIT */
/*
 * The protocol of <xen/io/xs_wire.h>: one function per request, called with the payload copied and
 * NUL-terminated. Each returns 0 when it has replied, or an error that becomes the reply.
 */

#include "dom0/store/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int error;
    const char *name;
} errors[] = {
    {XEN_EINVAL, "EINVAL"}, {XEN_EACCES, "EACCES"},   {XEN_EEXIST, "EEXIST"},
    {XEN_EISDIR, "EISDIR"}, {XEN_ENOENT, "ENOENT"},   {XEN_ENOMEM, "ENOMEM"},
    {XEN_ENOSPC, "ENOSPC"}, {XEN_EIO, "EIO"},         {XEN_ENOTEMPTY, "ENOTEMPTY"},
    {XEN_ENOSYS, "ENOSYS"}, {XEN_EROFS, "EROFS"},     {XEN_EBUSY, "EBUSY"},
    {XEN_EAGAIN, "EAGAIN"}, {XEN_EISCONN, "EISCONN"}, {XEN_E2BIG, "E2BIG"},
    {XEN_EPERM, "EPERM"},
};

const char *store_wire_error(int error)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (errors[i].error == -error) {
            return errors[i].name;
        }
    }
    return "EINVAL";
}

static int reply_ok(struct store_conn *conn)
{
    store_conn_reply(conn, conn->header.type, "OK", 3);
    return 0;
}

static int reply_text(struct store_conn *conn, const char *text)
{
    store_conn_reply(conn, conn->header.type, text, strlen(text) + 1);
    return 0;
}

/* The i-th NUL-terminated string of the payload, NULL if there is none. */
static const char *arg(const struct store_conn *conn, unsigned i)
{
    const char *p = conn->payload, *end = p + conn->header.len;

    for (; p < end; i--) {
        size_t len = strlen(p); /* ends at the NUL behind the payload at the latest */

        if (p + len >= end) {
            return NULL;
        }
        if (i == 0) {
            return p;
        }
        p += len + 1;
    }
    return NULL;
}

static bool args_are(const struct store_conn *conn, unsigned n)
{
    return arg(conn, n - 1) &&
           arg(conn, n - 1) + strlen(arg(conn, n - 1)) + 1 == conn->payload + conn->header.len;
}

/* The first string as an absolute path, into conn->path. */
static int path_arg(struct store_conn *conn)
{
    const char *in = arg(conn, 0);

    if (!in) {
        return -XEN_EINVAL;
    }
    if (strlen(in) > (in[0] == '/' ? XENSTORE_ABS_PATH_MAX : XENSTORE_REL_PATH_MAX)) {
        return store_refuse(conn->store, conn->domid, STORE_Q_PATH, in, -XEN_EINVAL);
    }
    return store_path_resolve(conn->domid, in, conn->path);
}

/* The node named by the only argument, to be read now. */
static const struct store_node *node_arg(struct store_conn *conn, unsigned args, int *error)
{
    *error = args_are(conn, args) ? path_arg(conn) : -XEN_EINVAL;
    return *error ? NULL : store_node_read(conn, conn->header.tx_id, conn->path, error);
}

static int do_read(struct store_conn *conn)
{
    int error;
    const struct store_node *n = node_arg(conn, 1, &error);

    if (error) {
        return error;
    }
    if (n->len > XENSTORE_PAYLOAD_MAX) {
        return -XEN_E2BIG;
    }
    store_conn_reply(conn, XS_READ, n->len ? n->value : "", n->len);
    return 0;
}

static int do_directory(struct store_conn *conn)
{
    int error;
    const struct store_node *n = node_arg(conn, 1, &error);
    char *list, *p;

    if (error) {
        return error;
    }
    if (n->names_len > XENSTORE_PAYLOAD_MAX) {
        return -XEN_E2BIG; /* the client goes on with DIRECTORY_PART */
    }
    list = p = malloc(n->names_len + 1);
    if (!list) {
        return -XEN_ENOMEM;
    }
    for (uint32_t i = 0; i < n->nchildren; i++) {
        size_t size = strlen(n->children[i]->name) + 1;

        memcpy(p, n->children[i]->name, size);
        p += size;
    }
    store_conn_reply(conn, XS_DIRECTORY, list, n->names_len);
    free(list);
    return 0;
}

static bool parse_offset(const char *text, uint32_t *offset)
{
    uint64_t value = 0;

    if (*text == '\0') {
        return false;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > UINT32_MAX) {
            return false;
        }
    }
    *offset = (uint32_t)value;
    return true;
}

/* Generation, then whole names from a byte offset on; an empty one after the last of all. */
static int do_directory_part(struct store_conn *conn)
{
    int error;
    const struct store_node *n = node_arg(conn, 2, &error);
    uint32_t offset, at = 0;

    if (error) {
        return error;
    }
    if (!parse_offset(arg(conn, 1), &offset)) {
        return -XEN_EINVAL;
    }
    char *out = malloc(XENSTORE_PAYLOAD_MAX);
    if (!out) {
        return -XEN_ENOMEM;
    }
    size_t used = (size_t)snprintf(out, 32, "%llu", (unsigned long long)n->gen) + 1;
    bool all = true;
    for (uint32_t i = 0; i < n->nchildren && all; i++) {
        size_t size = strlen(n->children[i]->name) + 1;

        if (at >= offset) {
            all = used + size < XENSTORE_PAYLOAD_MAX;
            if (all) {
                memcpy(out + used, n->children[i]->name, size);
                used += size;
            }
        }
        at += (uint32_t)size;
    }
    if (all) {
        out[used++] = '\0';
    }
    store_conn_reply(conn, XS_DIRECTORY_PART, out, used);
    free(out);
    return 0;
}

static int do_get_perms(struct store_conn *conn)
{
    char out[STORE_PERMS_MAX * 8];
    size_t used = 0;
    int error;
    const struct store_node *n = node_arg(conn, 1, &error);

    if (error) {
        return error;
    }
    for (unsigned i = 0; i < n->nperms; i++) {
        used += (size_t)snprintf(out + used, sizeof(out) - used, "%c%u",
                                 store_perm_letter(n->perms[i].access), n->perms[i].domid) +
                1;
    }
    store_conn_reply(conn, XS_GET_PERMS, out, used);
    return 0;
}

static int do_set_perms(struct store_conn *conn)
{
    struct store_change c = {.what = STORE_DO_PERMS, .path = conn->path};
    const char *text;
    int error = path_arg(conn);

    if (error) {
        return error;
    }
    while ((text = arg(conn, c.nperms + 1)) != NULL) {
        if (c.nperms == STORE_PERMS_MAX) {
            return store_refuse(conn->store, conn->domid, STORE_Q_PERMS, conn->path, -XEN_ENOSPC);
        }
        if (!store_perm_parse(text, &c.perms[c.nperms++])) {
            return -XEN_EINVAL;
        }
    }
    if (c.nperms == 0 || !args_are(conn, c.nperms + 1)) {
        return -XEN_EINVAL;
    }
    error = store_change(conn, conn->header.tx_id, &c);
    return error ? error : reply_ok(conn);
}

static int do_write(struct store_conn *conn)
{
    struct store_change c = {.what = STORE_DO_WRITE, .path = conn->path};
    int error = path_arg(conn);

    if (error) {
        return error;
    }
    c.value = conn->payload + strlen(conn->payload) + 1;
    c.len = (size_t)(conn->payload + conn->header.len - c.value);
    error = store_change(conn, conn->header.tx_id, &c);
    return error ? error : reply_ok(conn);
}

static int change_one(struct store_conn *conn, struct store_change c)
{
    int error = args_are(conn, 1) ? path_arg(conn) : -XEN_EINVAL;

    c.path = conn->path;
    error = error ? error : store_change(conn, conn->header.tx_id, &c);
    return error ? error : reply_ok(conn);
}

static int do_mkdir(struct store_conn *conn)
{
    return change_one(conn, (struct store_change){.what = STORE_DO_MKDIR});
}

static int do_rm(struct store_conn *conn)
{
    return change_one(conn, (struct store_change){.what = STORE_DO_RM});
}

/* A watch may be for a path or one of the two special names. */
static int watch_args(struct store_conn *conn)
{
    const char *path = arg(conn, 0);

    if (!args_are(conn, 2)) {
        return -XEN_EINVAL;
    }
    if (path[0] != '@') {
        return path_arg(conn);
    }
    if (strcmp(path, "@introduceDomain") != 0 && strcmp(path, "@releaseDomain") != 0) {
        return -XEN_EINVAL;
    }
    strcpy(conn->path, path);
    return 0;
}

static int do_watch(struct store_conn *conn)
{
    struct store_watch *w;
    int error = watch_args(conn);

    error = error ? error : store_watch_add(conn, conn->path, arg(conn, 1), NULL, NULL, &w);
    if (error) {
        return error;
    }
    w->relative = arg(conn, 0)[0] != '/' && arg(conn, 0)[0] != '@';
    reply_ok(conn);
    store_watch_first(w);
    return 0;
}

static int do_unwatch(struct store_conn *conn)
{
    int error = watch_args(conn);

    error = error ? error : store_watch_remove(conn, conn->path, arg(conn, 1));
    return error ? error : reply_ok(conn);
}

static int do_transaction_start(struct store_conn *conn)
{
    char text[16];
    uint32_t id;
    int error = conn->header.tx_id ? -XEN_EBUSY : store_txn_start(conn, &id);

    if (error) {
        return error;
    }
    snprintf(text, sizeof(text), "%u", id);
    return reply_text(conn, text);
}

static int do_transaction_end(struct store_conn *conn)
{
    const char *how = arg(conn, 0);

    if (!args_are(conn, 1) || (strcmp(how, "T") != 0 && strcmp(how, "F") != 0)) {
        return -XEN_EINVAL;
    }
    int error = store_txn_end(conn, conn->header.tx_id, how[0] == 'T');
    return error ? error : reply_ok(conn);
}

static int do_get_domain_path(struct store_conn *conn)
{
    char text[32];
    domid_t domid;

    if (!args_are(conn, 1) || !store_parse_domid(arg(conn, 0), &domid)) {
        return -XEN_EINVAL;
    }
    snprintf(text, sizeof(text), "/local/domain/%u", domid);
    return reply_text(conn, text);
}

static int do_is_introduced(struct store_conn *conn)
{
    domid_t domid;

    if (!args_are(conn, 1) || !store_parse_domid(arg(conn, 0), &domid)) {
        return -XEN_EINVAL;
    }
    struct store_domain *d = store_domain_find(conn->store, domid);
    return reply_text(conn, domid == 0 || (d && d->introduced) ? "T" : "F");
}

static int do_reset_watches(struct store_conn *conn)
{
    store_watch_drop_all(conn);
    store_txn_drop_all(conn);
    return reply_ok(conn);
}

/* Domain 0 uses calls of C for these, and nobody else may. */
static int do_refused(struct store_conn *conn)
{
    (void)conn;
    return -XEN_EACCES;
}

static int (*const requests[XS_TYPE_COUNT])(struct store_conn *) = {
    [XS_CONTROL] = do_refused,
    [XS_DIRECTORY] = do_directory,
    [XS_READ] = do_read,
    [XS_GET_PERMS] = do_get_perms,
    [XS_WATCH] = do_watch,
    [XS_UNWATCH] = do_unwatch,
    [XS_TRANSACTION_START] = do_transaction_start,
    [XS_TRANSACTION_END] = do_transaction_end,
    [XS_INTRODUCE] = do_refused,
    [XS_RELEASE] = do_refused,
    [XS_GET_DOMAIN_PATH] = do_get_domain_path,
    [XS_WRITE] = do_write,
    [XS_MKDIR] = do_mkdir,
    [XS_RM] = do_rm,
    [XS_SET_PERMS] = do_set_perms,
    [XS_IS_DOMAIN_INTRODUCED] = do_is_introduced,
    [XS_RESUME] = do_refused,
    [XS_SET_TARGET] = do_refused,
    [XS_RESET_WATCHES] = do_reset_watches,
    [XS_DIRECTORY_PART] = do_directory_part,
};

void store_wire_handle(struct store_conn *conn)
{
    uint32_t type = conn->header.type;
    int error = -XEN_ENOSYS;

    if (type < XS_TYPE_COUNT && requests[type]) {
        error = requests[type](conn);
    }
    if (error) {
        const char *name = store_wire_error(error);

        store_conn_reply(conn, XS_ERROR, name, strlen(name) + 1);
    }
}
