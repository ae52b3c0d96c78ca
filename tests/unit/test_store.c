/* SPDX-License-Identifier: MIT */
/* The store: through its protocol for guests, through store.h for domain 0. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dom0/store/api.h"
#include "dom0/store/core.h"
#include "dom0/store/transport.h"

static struct store *s;
static char last_log[300];
static unsigned log_lines;

static void take_log(const char *line)
{
    snprintf(last_log, sizeof(last_log), "%s", line);
    log_lines++;
}

static int setup(void **state)
{
    (void)state;
    s = store_instance();
    log_lines = 0;
    return store_init(s, take_log);
}

static int teardown(void **state)
{
    (void)state;
    store_fini(s);
    return 0;
}

/* ring.c has the real one, which also unmaps. */
void store_release(domid_t domid)
{
    store_domain_release(s, domid);
}

/* ---- a client ---- */

struct answer {
    struct xsd_sockmsg head;
    char data[XENSTORE_PAYLOAD_MAX + 1];
};
static struct answer ans;

static void send(struct store_conn *c, uint32_t type, uint32_t tx, const void *data, size_t len)
{
    struct xsd_sockmsg h = {.type = type, .req_id = 7, .tx_id = tx, .len = (uint32_t)len};
    const char *p = (const char *)&h;
    size_t left = sizeof(h);

    for (unsigned part = 0; part < 2; part++) {
        while (left > 0) {
            size_t want = store_conn_wants(c);
            size_t n = want < left ? want : left;

            assert_true(n > 0);
            n = n > 5 ? 5 : n; /* in bits and pieces, as a ring gives them */
            assert_int_equal(store_conn_input(c, p, n), 0);
            p += n;
            left -= n;
        }
        p = data;
        left = len;
    }
}

/* The next message out; false if there is none. */
static bool receive(struct store_conn *c)
{
    const void *data;
    size_t n = store_conn_output(c, &data);

    if (n == 0) {
        return false;
    }
    assert_true(n >= sizeof(ans.head));
    memcpy(&ans.head, data, sizeof(ans.head));
    assert_int_equal(n, sizeof(ans.head) + ans.head.len);
    memcpy(ans.data, (const char *)data + sizeof(ans.head), ans.head.len);
    ans.data[ans.head.len] = '\0';
    store_conn_sent(c, n);
    return true;
}

/* Sends, and takes the reply; events before it are thrown away. Returns "OK", data or the error. */
static const char *ask_len(struct store_conn *c, uint32_t type, uint32_t tx, const void *data,
                           size_t len)
{
    send(c, type, tx, data, len);
    do {
        assert_true(receive(c));
    } while (ans.head.type == XS_WATCH_EVENT);
    assert_int_equal(ans.head.req_id, 7);
    assert_int_equal(ans.head.tx_id, tx);
    return ans.data;
}

static const char *ask(struct store_conn *c, uint32_t type, uint32_t tx, const char *data)
{
    return ask_len(c, type, tx, data, strlen(data) + 1);
}

/* "path|value" with the bar for a NUL, no NUL at the end. */
static const char *put(struct store_conn *c, uint32_t tx, const char *text)
{
    char copy[5000];
    size_t len = strlen(text);

    memcpy(copy, text, len + 1);
    *strchr(copy, '|') = '\0';
    return ask_len(c, XS_WRITE, tx, copy, len);
}

static const char *two(struct store_conn *c, uint32_t type, const char *a, const char *b)
{
    char text[5000];
    int n = snprintf(text, sizeof(text), "%s%c%s", a, 0, b);

    return ask_len(c, type, 0, text, (size_t)n + 1);
}

static void expect_event(struct store_conn *c, const char *path, const char *token)
{
    assert_true(receive(c));
    assert_int_equal(ans.head.type, XS_WATCH_EVENT);
    assert_string_equal(ans.data, path);
    assert_string_equal(ans.data + strlen(path) + 1, token);
}

static uint32_t start(struct store_conn *c)
{
    return (uint32_t)strtoul(ask(c, XS_TRANSACTION_START, 0, ""), NULL, 10);
}

/* A domain as the builder makes it. */
static struct store_conn *guest(domid_t id)
{
    struct store_conn *c;
    char path[64];
    struct store_perm home[] = {{0, STORE_NONE}, {id, STORE_READ}};
    struct store_perm own[] = {{id, STORE_NONE}};

    snprintf(path, sizeof(path), "/local/domain/%u", id);
    assert_int_equal(store_mkdir(path), 0);
    assert_int_equal(store_set_perms(path, home, 2), 0);
    snprintf(path, sizeof(path), "/local/domain/%u/data", id);
    assert_int_equal(store_mkdir(path), 0);
    assert_int_equal(store_set_perms(path, own, 1), 0);
    assert_int_equal(store_domain_introduce(s, id, &c), 0);
    return c;
}

/* ---- tests ---- */

static void test_read_write(void **state)
{
    (void)state;
    struct store_conn *c = guest(5);

    assert_string_equal(put(c, 0, "data/a|hello"), "OK");
    assert_string_equal(ask(c, XS_READ, 0, "data/a"), "hello");
    assert_int_equal(ans.head.len, 5);
    assert_string_equal(ask(c, XS_READ, 0, "/local/domain/5/data/a"), "hello");
    assert_string_equal(put(c, 0, "data/x/y/z|"), "OK");
    assert_string_equal(ask(c, XS_READ, 0, "data/x/y/z"), "");
    assert_string_equal(ask(c, XS_READ, 0, "data/none"), "ENOENT");
    assert_string_equal(ask(c, XS_MKDIR, 0, "data/b"), "OK");
    assert_string_equal(ask(c, XS_MKDIR, 0, "data/a"), "OK");
    assert_string_equal(ask(c, XS_READ, 0, "data/a"), "hello");
    ask(c, XS_DIRECTORY, 0, "data");
    assert_int_equal(ans.head.len, 6);
    assert_memory_equal(ans.data, "a\0b\0x", 6);
    assert_string_equal(ask(c, XS_RM, 0, "data/x"), "OK");
    assert_string_equal(ask(c, XS_RM, 0, "data/x"), "OK");
    assert_string_equal(ask(c, XS_RM, 0, "data/x/y"), "ENOENT");
    assert_string_equal(ask(c, XS_READ, 0, "data/x/y/z"), "ENOENT");
    assert_string_equal(ask(c, XS_RM, 0, "/"), "EINVAL");
    assert_int_equal(store_rm("/"), -XEN_EINVAL);
}

static void test_values_are_bytes(void **state)
{
    (void)state;
    struct store_conn *c = guest(5);

    assert_string_equal(ask_len(c, XS_WRITE, 0, "data/a\0x\0y", 10), "OK");
    ask(c, XS_READ, 0, "data/a");
    assert_int_equal(ans.head.len, 3);
    assert_memory_equal(ans.data, "x\0y", 3);
}

static void test_bad_requests(void **state)
{
    (void)state;
    struct store_conn *c = guest(5);
    static const char *const paths[] = {"",         "data/",   "/local//domain",
                                        "data/a b", "data/\n", "data/a:b",
                                        "@other",   "data/a*", "//"};
    char deep[200] = "data";

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_string_equal(ask(c, XS_READ, 0, paths[i]), "EINVAL");
    }
    for (unsigned i = 0; i < 40; i++) {
        strcat(deep, "/d");
    }
    assert_string_equal(ask(c, XS_MKDIR, 0, deep), "EINVAL");
    assert_string_equal(ask_len(c, XS_READ, 0, "data", 4), "EINVAL");  /* no NUL */
    assert_string_equal(ask_len(c, XS_READ, 0, "a\0b", 4), "EINVAL");  /* two strings */
    assert_string_equal(ask_len(c, XS_WRITE, 0, "data", 4), "EINVAL"); /* no value */
    assert_string_equal(ask_len(c, XS_READ, 0, "", 0), "EINVAL");
    assert_string_equal(ask(c, XS_READ, 99, "data"), "ENOENT");
    assert_string_equal(ask(c, XS_TRANSACTION_END, 99, "T"), "ENOENT");
    for (uint32_t type = 0; type < 300; type++) {
        if (type != XS_TRANSACTION_START && type != XS_RESET_WATCHES) {
            ask(c, type, 0, "?");
            assert_int_equal(ans.head.type, XS_ERROR);
        }
    }
    assert_string_equal(ask(c, XS_INVALID, 0, ""), "ENOSYS");
    assert_string_equal(ask(c, XS_WATCH_EVENT, 0, ""), "ENOSYS");
    assert_string_equal(ask(c, XS_INTRODUCE, 0, "6"), "EACCES");
    assert_string_equal(ask(c, XS_CONTROL, 0, "check"), "EACCES");
}

static void test_domain_queries(void **state)
{
    (void)state;
    struct store_conn *c = guest(5);

    assert_string_equal(ask(c, XS_GET_DOMAIN_PATH, 0, "12"), "/local/domain/12");
    assert_string_equal(ask(c, XS_GET_DOMAIN_PATH, 0, "40000"), "EINVAL");
    assert_string_equal(ask(c, XS_GET_DOMAIN_PATH, 0, "-1"), "EINVAL");
    assert_string_equal(ask(c, XS_IS_DOMAIN_INTRODUCED, 0, "5"), "T");
    assert_string_equal(ask(c, XS_IS_DOMAIN_INTRODUCED, 0, "0"), "T");
    assert_string_equal(ask(c, XS_IS_DOMAIN_INTRODUCED, 0, "6"), "F");
}

static void test_long_message(void **state)
{
    (void)state;
    struct store_conn *c = guest(5);
    struct xsd_sockmsg h = {.type = XS_WRITE, .len = XENSTORE_PAYLOAD_MAX + 1};

    assert_int_equal(store_conn_input(c, &h, sizeof(h)), -XEN_EMSGSIZE);
}

static void test_permissions(void **state)
{
    (void)state;
    struct store_conn *a = guest(5), *b = guest(6);
    struct store_perm shared[] = {{0, STORE_NONE}, {5, STORE_READ}, {6, STORE_BOTH}};

    put(a, 0, "data/secret|1");
    assert_string_equal(ask(b, XS_READ, 0, "/local/domain/5/data/secret"), "EACCES");
    assert_string_equal(ask(b, XS_READ, 0, "/local/domain/5/data/none"), "EACCES");
    assert_string_equal(ask(b, XS_DIRECTORY, 0, "/local/domain/5"), "EACCES");
    assert_string_equal(put(b, 0, "/local/domain/5/data/secret|2"), "EACCES");
    assert_string_equal(put(b, 0, "/local/domain/5/data/new|2"), "EACCES");
    assert_string_equal(put(a, 0, "name|x"), "EACCES");
    assert_string_equal(ask(a, XS_RM, 0, "/local/domain/5"), "EACCES");
    assert_string_equal(ask(a, XS_READ, 0, "/"), "EACCES");

    store_write("/shared", "0");
    store_set_perms("/shared", shared, 3);
    assert_string_equal(ask(a, XS_READ, 0, "/shared"), "0");
    assert_string_equal(put(a, 0, "/shared|1"), "EACCES");
    assert_string_equal(put(b, 0, "/shared|2"), "OK");
    ask(a, XS_GET_PERMS, 0, "/shared");
    assert_int_equal(ans.head.len, 9);
    assert_memory_equal(ans.data, "n0\0r5\0b6", 9);
    assert_string_equal(two(b, XS_SET_PERMS, "/shared", "b6"), "EACCES");

    /* What a guest makes is its own; it opens it to whom it likes, but cannot give it away. */
    ask(a, XS_GET_PERMS, 0, "data/secret");
    assert_string_equal(ans.data, "n5");
    assert_string_equal(two(a, XS_SET_PERMS, "data/secret", "n6"), "EPERM");
    assert_string_equal(two(a, XS_SET_PERMS, "data/secret", "x5"), "EINVAL");
    assert_string_equal(ask(a, XS_SET_PERMS, 0, "data/secret"), "EINVAL");
    assert_string_equal(two(a, XS_SET_PERMS, "data/secret", "r5"), "OK");
    assert_string_equal(ask(b, XS_READ, 0, "/local/domain/5/data/secret"), "1");
}

static void test_watch(void **state)
{
    (void)state;
    struct store_conn *a = guest(5), *b = guest(6);

    /* It fires at once, after the reply. */
    two(a, XS_WATCH, "data", "tok");
    assert_string_equal(ans.data, "OK");
    expect_event(a, "data", "tok");
    assert_false(receive(a));
    assert_string_equal(two(a, XS_WATCH, "data", "tok"), "EEXIST");
    two(a, XS_WATCH, "/local/domain/5/data", "abs");
    expect_event(a, "/local/domain/5/data", "abs");

    store_write("/local/domain/5/data/x/y", "1");
    expect_event(a, "/local/domain/5/data/x/y", "abs");
    expect_event(a, "data/x/y", "tok");
    store_write("/local/domain/5/database", "1");
    assert_false(receive(a));
    assert_string_equal(two(a, XS_UNWATCH, "data", "other"), "ENOENT");
    assert_string_equal(two(a, XS_UNWATCH, "data", "tok"), "OK");

    /* Its own writes are told too, the same event waiting once only. */
    put(a, 0, "data/z|1");
    store_write("/local/domain/5/data/z", "2");
    expect_event(a, "/local/domain/5/data/z", "abs");
    assert_false(receive(a));

    /* Nobody hears of what it may not read. */
    two(b, XS_WATCH, "/local/domain/5/data", "spy");
    expect_event(b, "/local/domain/5/data", "spy");
    put(a, 0, "data/z|3");
    assert_false(receive(b));
    assert_string_equal(ask(a, XS_RESET_WATCHES, 0, ""), "OK");
    put(a, 0, "data/z|4");
    assert_false(receive(a));
    assert_string_equal(two(a, XS_WATCH, "@somethingElse", "t"), "EINVAL");
}

static void test_watch_removed_above(void **state)
{
    (void)state;
    struct store_conn *a = guest(5);

    put(a, 0, "data/x/y|1");
    two(a, XS_WATCH, "data/x/y", "below");
    expect_event(a, "data/x/y", "below");
    two(a, XS_WATCH, "data/x/none", "never");
    expect_event(a, "data/x/none", "never");
    store_rm("/local/domain/5/data/x");
    expect_event(a, "data/x/y", "below");
    assert_false(receive(a));
}

static void test_event_queue_bound(void **state)
{
    (void)state;
    struct store_conn *a = guest(5);
    char path[600], name[500];
    unsigned got = 0;

    two(a, XS_WATCH, "data", "t");
    expect_event(a, "data", "t");
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    for (unsigned i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "/local/domain/5/data/%u/%s", i, name);
        assert_int_equal(store_write(path, ""), 0);
    }
    assert_true(a->event_bytes <= STORE_QUOTA_EVENT_BYTES);
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(last_log, "d5 refused"));
    assert_non_null(strstr(last_log, "unread events"));
    while (receive(a)) {
        got++;
    }
    /* What was lost comes as one event of the watch itself. */
    assert_true(got > 50 && got < 300);
    assert_string_equal(ans.data, "data");
}

static unsigned calls;
static char called_with[64];
static struct store_watch *self_removing;

static void callback(const char *path, void *arg)
{
    assert_ptr_equal(arg, &calls);
    calls++;
    snprintf(called_with, sizeof(called_with), "%s", path);
}

static void remove_itself(const char *path, void *arg)
{
    (void)path, (void)arg;
    store_unwatch(self_removing);
}

static void test_own_watches(void **state)
{
    (void)state;
    calls = 0;
    struct store_watch *w = store_watch("/a/b", callback, &calls);
    struct store_watch *r = store_watch("@releaseDomain", callback, &calls);

    assert_int_equal(calls, 0); /* never called from inside of another call */
    assert_true(store_watch_dispatch(s));
    assert_int_equal(calls, 2);
    assert_false(store_watch_dispatch(s));
    store_write("/a/b/c", "1");
    store_write("/a/b/c", "2");
    store_watch_dispatch(s);
    assert_int_equal(calls, 3);
    assert_string_equal(called_with, "/a/b/c");
    guest(5);
    store_release(5);
    store_watch_dispatch(s);
    assert_int_equal(calls, 4);
    assert_string_equal(called_with, "@releaseDomain");
    store_write("/a/b/c", "3");
    store_unwatch(w);
    assert_false(store_watch_dispatch(s));
    store_unwatch(r);
    self_removing = store_watch("/a", remove_itself, NULL);
    store_write("/a/b/c", "4");
    store_watch_dispatch(s);
    assert_int_equal(s->self->nwatches, 0);
}

static void test_transaction(void **state)
{
    (void)state;
    struct store_conn *a = guest(5);

    put(a, 0, "data/x|1");
    two(a, XS_WATCH, "data", "t");
    expect_event(a, "data", "t");
    uint32_t tx = start(a);
    assert_int_not_equal(tx, 0);
    assert_string_equal(put(a, tx, "data/x|2"), "OK");
    assert_string_equal(put(a, tx, "data/new|n"), "OK");
    assert_string_equal(ask(a, XS_READ, tx, "data/x"), "2");
    assert_string_equal(ask(a, XS_READ, 0, "data/x"), "1");
    assert_string_equal(ask(a, XS_READ, 0, "data/new"), "ENOENT");
    ask(a, XS_DIRECTORY, tx, "data");
    assert_memory_equal(ans.data, "new\0x", 6);
    send(a, XS_TRANSACTION_END, tx, "T", 2);
    expect_event(a, "data/x", "t"); /* before the reply, as Xen's */
    expect_event(a, "data/new", "t");
    assert_true(receive(a));
    assert_string_equal(ans.data, "OK");
    assert_string_equal(ask(a, XS_READ, 0, "data/x"), "2");
    assert_string_equal(ask(a, XS_READ, tx, "data/x"), "ENOENT");

    tx = start(a);
    put(a, tx, "data/x|3");
    ask(a, XS_RM, tx, "data/new");
    assert_string_equal(ask(a, XS_TRANSACTION_END, tx, "x"), "EINVAL");
    assert_string_equal(ask(a, XS_TRANSACTION_END, tx, "F"), "OK");
    assert_string_equal(ask(a, XS_READ, 0, "data/x"), "2");
    assert_string_equal(ask(a, XS_READ, 0, "data/new"), "n");
    assert_int_equal(store_domain_nodes(5), 3);
    assert_int_equal(a->txn_bytes, 0);
}

static void test_transaction_conflict(void **state)
{
    (void)state;
    struct store_conn *a = guest(5);
    uint32_t tx;

    put(a, 0, "data/x|1");
    /* Read here, written there. */
    tx = start(a);
    ask(a, XS_READ, tx, "data/x");
    put(a, tx, "data/y|1");
    store_write("/local/domain/5/data/x", "2");
    assert_string_equal(ask(a, XS_TRANSACTION_END, tx, "T"), "EAGAIN");
    assert_string_equal(ask(a, XS_READ, 0, "data/y"), "ENOENT");
    /* Missing here, made there. */
    tx = start(a);
    assert_string_equal(ask(a, XS_READ, tx, "data/z"), "ENOENT");
    store_write("/local/domain/5/data/z", "2");
    assert_string_equal(ask(a, XS_TRANSACTION_END, tx, "T"), "EAGAIN");
    /* Removed and made anew there: not what it was. */
    tx = start(a);
    ask(a, XS_READ, tx, "data/z");
    store_rm("/local/domain/5/data/z");
    store_write("/local/domain/5/data/z", "2");
    assert_string_equal(ask(a, XS_TRANSACTION_END, tx, "T"), "EAGAIN");
    /* Permission withdrawn meanwhile. */
    struct store_perm ro[] = {{0, STORE_READ}};
    tx = start(a);
    put(a, tx, "data/fresh|1");
    store_set_perms("/local/domain/5/data", ro, 1);
    assert_string_equal(ask(a, XS_TRANSACTION_END, tx, "T"), "EAGAIN");
    assert_string_equal(ask(a, XS_READ, 0, "data/fresh"), "ENOENT");
}

static void test_transactions_apart(void **state)
{
    (void)state;
    struct store_conn *a = guest(5);
    uint32_t t1, t2;

    /* Two that touch different nodes of one directory both succeed, the changes are merged. */
    t1 = start(a);
    t2 = start(a);
    assert_int_not_equal(t1, t2);
    put(a, t1, "data/one|1");
    put(a, t2, "data/two|2");
    assert_string_equal(ask(a, XS_READ, t2, "data/one"), "ENOENT");
    assert_string_equal(ask(a, XS_TRANSACTION_END, t1, "T"), "OK");
    /* t2 has looked for data/one, which is there now. */
    assert_string_equal(ask(a, XS_TRANSACTION_END, t2, "T"), "EAGAIN");
    t1 = start(a);
    t2 = start(a);
    put(a, t1, "data/three|1");
    put(a, t2, "data/four|2");
    assert_string_equal(ask(a, XS_TRANSACTION_END, t1, "T"), "OK");
    assert_string_equal(ask(a, XS_TRANSACTION_END, t2, "T"), "OK");
    assert_string_equal(ask(a, XS_READ, 0, "data/three"), "1");
    assert_string_equal(ask(a, XS_READ, 0, "data/four"), "2");
    assert_int_equal(store_domain_nodes(5), 4);
    /* A write, then a look at the directory that it has changed, is no conflict with itself. */
    t1 = start(a);
    put(a, t1, "data/five|5");
    ask(a, XS_DIRECTORY, t1, "data");
    assert_string_equal(ask(a, XS_TRANSACTION_END, t1, "T"), "OK");
}

static void test_quota_nodes(void **state)
{
    (void)state;
    struct store_conn *a = guest(5), *b = guest(6);
    char text[64];
    unsigned made = 0, more = 0;

    for (unsigned i = 0; i < 1200; i++) {
        snprintf(text, sizeof(text), "data/%u/%u|x", i % 30, i);
        made += strcmp(put(a, 0, text), "OK") == 0;
    }
    assert_int_equal(store_domain_nodes(5), STORE_QUOTA_NODES);
    assert_string_equal(ans.data, "ENOSPC");
    assert_int_equal(made, STORE_QUOTA_NODES - 31);
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(last_log, "d5"));
    assert_non_null(strstr(last_log, "1000 nodes"));
    assert_non_null(strstr(last_log, "/local/domain/5/data/"));
    assert_string_equal(put(b, 0, "data/mine|x"), "OK");

    /* In a transaction as well, and what is removed can be used again. */
    uint32_t tx = start(a);
    assert_string_equal(put(a, tx, "data/extra|x"), "ENOSPC");
    ask(a, XS_TRANSACTION_END, tx, "T");
    ask(a, XS_RM, 0, "data/7");
    tx = start(a);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "data/again%u|x", i);
        more += strcmp(put(a, tx, text), "OK") == 0;
    }
    unsigned had = STORE_QUOTA_NODES - store_domain_nodes(5);
    assert_int_equal(more, had);
    assert_string_equal(ask(a, XS_TRANSACTION_END, tx, "T"), "OK");
    assert_int_equal(store_domain_nodes(5), STORE_QUOTA_NODES);
    unsigned all = store_node_count();
    store_recount(s);
    assert_int_equal(store_domain_nodes(5), STORE_QUOTA_NODES);
    assert_int_equal(all, store_domain_nodes(0) + store_domain_nodes(5) + store_domain_nodes(6));
}

static void test_quota_two_transactions(void **state)
{
    (void)state;
    struct store_conn *a = guest(5);
    char text[64];

    /* Each fits alone, together they do not: the second commit changes nothing. */
    uint32_t t1 = start(a), t2 = start(a);
    for (unsigned i = 0; i < 501; i++) {
        snprintf(text, sizeof(text), "data/a%u/%u|", i % 5, i);
        assert_string_equal(put(a, t1, text), "OK");
        snprintf(text, sizeof(text), "data/b%u/%u|", i % 5, i);
        if (i < 100) {
            assert_string_equal(put(a, t2, text), "OK");
        }
    }
    assert_string_equal(ask(a, XS_TRANSACTION_END, t1, "T"), "OK");
    assert_string_equal(ask(a, XS_TRANSACTION_END, t2, "T"), "EAGAIN"); /* too old by then */
    assert_int_equal(store_domain_nodes(5), 1 + 5 + 501);
    t1 = start(a);
    t2 = start(a);
    for (unsigned i = 0; i < 250; i++) {
        snprintf(text, sizeof(text), "data/c%u/%u|", i % 5, i);
        put(a, t1, text);
        snprintf(text, sizeof(text), "data/d%u/%u|", i % 5, i);
        put(a, t2, text);
    }
    assert_string_equal(put(a, t2, "data/d-last|"), "OK");
    assert_string_equal(ask(a, XS_TRANSACTION_END, t1, "T"), "OK");
    assert_string_equal(ask(a, XS_TRANSACTION_END, t2, "T"), "ENOSPC");
    assert_int_equal(store_domain_nodes(5), 507 + 5 + 250);
    assert_string_equal(ask(a, XS_READ, 0, "data/d0/0"), "ENOENT");
}

static void test_other_quotas(void **state)
{
    (void)state;
    struct store_conn *a = guest(5);
    char text[4000];

    for (unsigned i = 0; i < STORE_QUOTA_WATCHES; i++) {
        snprintf(text, sizeof(text), "%u", i);
        assert_string_equal(two(a, XS_WATCH, "data", text), "OK");
    }
    assert_string_equal(two(a, XS_WATCH, "data", "more"), "E2BIG");
    assert_int_equal(log_lines, 1);
    for (unsigned i = 0; i < STORE_QUOTA_TRANSACTIONS; i++) {
        start(a);
        assert_int_equal(ans.head.type, XS_TRANSACTION_START);
    }
    assert_string_equal(ask(a, XS_TRANSACTION_START, 0, ""), "ENOSPC");
    assert_int_equal(log_lines, 2);
    assert_string_equal(ask(a, XS_TRANSACTION_START, 0, ""), "ENOSPC");
    assert_int_equal(log_lines, 2); /* once */
    ask(a, XS_RESET_WATCHES, 0, "");
    assert_int_equal(a->ntxns + a->nwatches, 0);

    strcpy(text, "data/a|");
    memset(text + 7, 'v', 2048);
    text[7 + 2048] = '\0';
    assert_string_equal(put(a, 0, text), "OK");
    strcat(text, "v");
    assert_string_equal(put(a, 0, text), "ENOSPC");
    memset(text, 'p', sizeof(text));
    text[0] = '/';
    text[3100] = '\0';
    assert_string_equal(ask(a, XS_READ, 0, text), "EINVAL");
    text[3000] = '\0';
    assert_string_equal(ask(a, XS_READ, 0, text), "EACCES");
    for (unsigned i = 0; i < 6; i++) {
        snprintf(text + i * 3, 8, "n5");
    }
    memmove(text + 7, text, 18);
    memcpy(text, "data/a", 7);
    assert_string_equal(ask_len(a, XS_SET_PERMS, 0, text, 7 + 18), "ENOSPC");
    assert_string_equal(ask_len(a, XS_SET_PERMS, 0, text, 7 + 15), "OK");
}

static void test_replies_bound(void **state)
{
    (void)state;
    struct store_conn *a = guest(5);
    unsigned sent = 0;

    while (store_conn_wants(a) > 0 && sent < 1000) {
        send(a, XS_READ, 0, "data", 5);
        sent++;
    }
    assert_int_equal(sent, STORE_QUOTA_REPLIES);
    assert_true(receive(a));
    assert_true(store_conn_wants(a) > 0);
}

static void test_directory_part(void **state)
{
    (void)state;
    struct store_conn *a = guest(5);
    char path[300], offset[16];
    unsigned names = 0, parts = 0;
    size_t at = 0;
    bool last = false;

    for (unsigned i = 0; i < 100; i++) {
        snprintf(path, sizeof(path), "/local/domain/5/many/%03u-%0100u", i, i);
        store_write(path, "");
    }
    assert_string_equal(ask(a, XS_DIRECTORY, 0, "many"), "E2BIG");
    while (!last) {
        snprintf(offset, sizeof(offset), "%zu", at);
        two(a, XS_DIRECTORY_PART, "many", offset);
        assert_int_equal(ans.head.type, XS_DIRECTORY_PART);
        assert_true(ans.head.len <= XENSTORE_PAYLOAD_MAX);
        const char *p = ans.data + strlen(ans.data) + 1, *end = ans.data + ans.head.len;
        for (; p < end; p += strlen(p) + 1) {
            last = *p == '\0';
            names += !last;
            at += last ? 0 : strlen(p) + 1;
        }
        parts++;
    }
    assert_int_equal(names, 100);
    assert_int_equal(parts, 3);
    assert_string_equal(two(a, XS_DIRECTORY_PART, "many", "x"), "EINVAL");
    assert_string_equal(two(a, XS_DIRECTORY_PART, "many", "99999999999"), "EINVAL");
    two(a, XS_DIRECTORY_PART, "many", "4000000000");
    assert_int_equal(ans.head.type, XS_DIRECTORY_PART);
}

static void test_release(void **state)
{
    (void)state;
    struct store_conn *a = guest(5), *b = guest(6);
    unsigned before = store_node_count();
    struct store_perm shared[] = {{0, STORE_NONE}, {5, STORE_READ}, {6, STORE_BOTH}};
    char *value;

    store_write("/shared/deep", "0");
    store_set_perms("/shared/deep", shared, 3);
    put(a, 0, "data/x/y/z|1");
    put(b, 0, "data/open|1");
    two(b, XS_SET_PERMS, "data/open", "n6");
    assert_string_equal(ask_len(b, XS_SET_PERMS, 0, "data/open\0n6\0r5\0r9", 19), "OK");
    ask(b, XS_GET_PERMS, 0, "data/open");
    assert_int_equal(ans.head.len, 6); /* no domain 9: not kept for the one to come */
    assert_memory_equal(ans.data, "n6\0r5", 6);
    two(a, XS_WATCH, "/shared", "t");
    uint32_t ta = start(a), tb = start(b);
    put(a, ta, "data/q|1");
    assert_string_equal(ask_len(b, XS_SET_PERMS, tb, "data/open\0n6\0b5", 16), "OK");

    store_release(5);
    assert_int_equal(store_domain_nodes(5), 0);
    assert_null(store_read("/local/domain/5/data"));
    value = store_read("/local/domain/5");
    assert_non_null(value); /* domain 0's */
    free(value);
    ask(b, XS_GET_PERMS, 0, "/shared/deep");
    assert_int_equal(ans.head.len, 6);
    assert_memory_equal(ans.data, "n0\0b6", 6);
    ask(b, XS_GET_PERMS, 0, "data/open");
    assert_int_equal(ans.head.len, 3);
    /* What was prepared with the old number is not let in. */
    assert_string_equal(ask(b, XS_TRANSACTION_END, tb, "T"), "EAGAIN");
    assert_string_equal(ask(b, XS_IS_DOMAIN_INTRODUCED, 0, "5"), "F");

    store_rm("/local/domain/5");
    store_rm("/shared");
    a = guest(5);
    ask(b, XS_RM, 0, "data/open");
    assert_int_equal(store_node_count(), before);
    assert_string_equal(ask(a, XS_READ, 0, "/local/domain/6/data"), "EACCES");
    store_release(77); /* nobody */
    store_release(0);
    assert_string_equal(put(a, 0, "data/fine|1"), "OK");
}

static void test_release_home(void **state)
{
    (void)state;
    struct store_perm own[] = {{8, STORE_NONE}};

    /* Sixteen nodes in a row that it owns, with others of domain 0 between and below. */
    for (unsigned i = 0; i < 32; i++) {
        char path[32];

        snprintf(path, sizeof(path), "/dir/%02u/sub", i);
        store_write(path, "");
        path[7] = '\0';
        if (i % 2) {
            store_set_perms(path, own, 1);
        }
    }
    assert_int_equal(store_domain_nodes(8), 16);
    store_release(8);
    assert_int_equal(store_domain_nodes(8), 0);
    assert_int_equal(store_node_count(), 1 + 1 + 32);
}

static void test_api(void **state)
{
    (void)state;
    char **names, *value;
    unsigned count;

    assert_int_equal(store_printf("/a/n", "%d", 42), 0);
    value = store_read("/a/n");
    assert_string_equal(value, "42");
    free(value);
    store_mkdir("/a/m");
    assert_int_equal(store_ls("/a", &names, &count), 0);
    assert_int_equal(count, 2);
    assert_string_equal(names[0], "m");
    assert_string_equal(names[1], "n");
    free(names);
    assert_int_equal(store_ls("/b", &names, &count), -XEN_ENOENT);
    assert_null(store_read("/b"));
    assert_int_equal(store_write("/a b", "x"), -XEN_EINVAL);
    assert_int_equal(store_rm("/a"), 0);
    assert_int_equal(store_node_count(), 1);
}

/* ---- the ring ---- */

static struct xenstore_domain_interface page;

static void guest_sends(uint32_t type, const char *data, size_t len)
{
    struct xsd_sockmsg h = {.type = type, .req_id = 1, .len = (uint32_t)len};
    char all[5000];

    memcpy(all, &h, sizeof(h));
    memcpy(all + sizeof(h), data, len);
    for (size_t i = 0; i < sizeof(h) + len; i++) {
        page.req[MASK_XENSTORE_IDX(page.req_prod++)] = all[i];
    }
}

static void test_ring(void **state)
{
    (void)state;
    struct store_conn *a = guest(5);
    struct store_ring ring;

    memset(&page, 0, sizeof(page));
    page.req_prod = page.req_cons = 0xfffffff0u; /* across the wrap */
    page.rsp_prod = page.rsp_cons = 0xfffffffau;
    assert_int_equal(store_ring_start(&ring, &page, a), 0);
    guest_sends(XS_READ, "data", 5);
    assert_int_equal(store_ring_pump(&ring), STORE_RING_MOVED);
    assert_int_equal(page.req_cons, page.req_prod);
    assert_int_equal(page.rsp_prod - page.rsp_cons, 16);
    assert_int_equal(store_ring_pump(&ring), STORE_RING_IDLE);
    uint32_t type = 0;
    for (unsigned i = 0; i < 4; i++) {
        type |= (uint32_t)(unsigned char)page.rsp[MASK_XENSTORE_IDX(page.rsp_cons + i)] << i * 8;
    }
    assert_int_equal(type, XS_READ);

    /* It takes no replies: at some point its requests stay where they are. */
    for (unsigned i = 0; i < 400; i++) {
        if (page.req_prod - page.req_cons + 21 <= XENSTORE_RING_SIZE) {
            guest_sends(XS_READ, "data", 5);
        }
        assert_true(store_ring_pump(&ring) >= 0);
    }
    assert_int_equal(page.rsp_prod - page.rsp_cons, XENSTORE_RING_SIZE);
    assert_true(page.req_prod - page.req_cons > XENSTORE_RING_SIZE - 21);
    assert_int_equal(a->replies, STORE_QUOTA_REPLIES);
    page.rsp_cons = page.rsp_prod;
    assert_int_equal(store_ring_pump(&ring), STORE_RING_MOVED);
}

static void test_ring_broken(void **state)
{
    (void)state;
    struct store_conn *a = guest(5);
    struct store_ring ring;

    memset(&page, 0, sizeof(page));
    page.req_prod = XENSTORE_RING_SIZE + 1;
    assert_int_equal(store_ring_start(&ring, &page, a), -XEN_EINVAL);
    page.req_prod = 0;
    assert_int_equal(store_ring_start(&ring, &page, a), 0);
    page.req_prod = XENSTORE_RING_SIZE + 1;
    assert_int_equal(store_ring_pump(&ring), STORE_RING_BROKEN);
    assert_int_equal(page.error, XENSTORE_ERROR_RINGIDX);
    assert_non_null(strstr(last_log, "d5"));
    page.req_prod = 0;
    assert_int_equal(store_ring_pump(&ring), STORE_RING_BROKEN); /* for good */

    memset(&page, 0, sizeof(page));
    assert_int_equal(store_ring_start(&ring, &page, a), 0);
    page.rsp_cons = 1;
    assert_int_equal(store_ring_pump(&ring), STORE_RING_BROKEN);

    memset(&page, 0, sizeof(page));
    assert_int_equal(store_ring_start(&ring, &page, a), 0);
    struct xsd_sockmsg h = {.type = XS_READ, .len = 5000};
    memcpy(page.req, &h, sizeof(h));
    page.req_prod = sizeof(h);
    assert_int_equal(store_ring_pump(&ring), STORE_RING_BROKEN);
    assert_int_equal(page.error, XENSTORE_ERROR_PROTO);
}

/* ---- everything at once ---- */

static uint32_t seed = 1;

static uint32_t dice(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* Random requests of three domains that come and go; then the accounts must agree with the tree. */
static void test_random(void **state)
{
    (void)state;
    struct store_conn *c[3] = {guest(1), guest(2), guest(3)};
    static const uint32_t types[] = {XS_READ,
                                     XS_WRITE,
                                     XS_WRITE,
                                     XS_MKDIR,
                                     XS_RM,
                                     XS_WATCH,
                                     XS_RM,
                                     XS_WRITE,
                                     XS_DIRECTORY,
                                     XS_UNWATCH,
                                     XS_TRANSACTION_START,
                                     XS_TRANSACTION_END,
                                     XS_SET_PERMS};

    for (unsigned i = 0; i < 60000; i++) {
        unsigned g = dice(3);
        char text[100];
        uint32_t type = types[dice(sizeof(types) / sizeof(types[0]))];
        uint32_t tx = dice(2) && c[g]->txns ? c[g]->txns->id : 0;
        int n = snprintf(text, sizeof(text), "/local/domain/%u/data/%c/%c%cn%u", 1 + dice(3),
                         'a' + dice(4), 'a' + dice(4), 0, 1 + dice(3));

        if (type == XS_TRANSACTION_END) {
            n = snprintf(text, sizeof(text), dice(4) ? "T" : "F");
        } else if (type != XS_WRITE && type != XS_WATCH && type != XS_UNWATCH &&
                   type != XS_SET_PERMS) {
            n = (int)strlen(text);
        }
        send(c[g], type, tx, text, (size_t)n + 1);
        while (receive(c[g])) {
        }
        if (dice(2000) == 0) {
            store_release((domid_t)(g + 1));
            snprintf(text, sizeof(text), "/local/domain/%u", g + 1);
            store_rm(text);
            c[g] = guest((domid_t)(g + 1));
        }
    }
    unsigned counted[4];
    for (domid_t d = 0; d < 4; d++) {
        counted[d] = store_domain_nodes(d);
    }
    store_recount(s);
    for (domid_t d = 0; d < 4; d++) {
        assert_int_equal(counted[d], store_domain_nodes(d));
    }
    assert_int_equal(store_node_count(), counted[0] + counted[1] + counted[2] + counted[3]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_read_write),
        TEST(test_values_are_bytes),
        TEST(test_bad_requests),
        TEST(test_domain_queries),
        TEST(test_long_message),
        TEST(test_permissions),
        TEST(test_watch),
        TEST(test_watch_removed_above),
        TEST(test_event_queue_bound),
        TEST(test_own_watches),
        TEST(test_transaction),
        TEST(test_transaction_conflict),
        TEST(test_transactions_apart),
        TEST(test_quota_nodes),
        TEST(test_quota_two_transactions),
        TEST(test_other_quotas),
        TEST(test_replies_bound),
        TEST(test_directory_part),
        TEST(test_release),
        TEST(test_release_home),
        TEST(test_api),
        TEST(test_ring),
        TEST(test_ring_broken),
        TEST(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
