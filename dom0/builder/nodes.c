/* SPDX-License-Identifier: MIT */
#include "dom0/builder/nodes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <xen/errno.h>

#include "dom0/config/xlcfg.h"
#include "dom0/store/store.h"

#define PATH_BYTES 96

/* Output that the console service keeps for a guest that says xenconsoled, as xl writes it. */
#define CONSOLE_LIMIT 1048576

char *nodes_uuid_text(const uint8_t u[16], char text[NODES_UUID_MAX])
{
    snprintf(text, NODES_UUID_MAX,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
             u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
             u[15]);
    return text;
}

/* A batch of nodes below one directory; the first error stops it and is kept. */
struct batch {
    domid_t domid;
    char home[PATH_BYTES / 2];
    int rc;
};

static void put(struct batch *b, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void put(struct batch *b, const char *name, const char *format, ...)
{
    char path[PATH_BYTES], value[PATH_BYTES];
    va_list args;

    if (b->rc < 0)
        return;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%s/%s", b->home, name);
    b->rc = store_write(path, value);
}

/* Nodes made below inherit: so this comes before them. */
static void permit(struct batch *b, const char *name, bool guest_owns)
{
    const struct store_perm reads[2] = {{0, STORE_NONE}, {b->domid, STORE_READ}};
    const struct store_perm owns[1] = {{b->domid, STORE_NONE}};
    char path[PATH_BYTES];

    if (b->rc < 0)
        return;
    snprintf(path, sizeof path, "%s%s%s", b->home, *name ? "/" : "", name);
    b->rc = store_mkdir(path);
    if (b->rc == 0)
        b->rc = guest_owns ? store_set_perms(path, owns, 1) : store_set_perms(path, reads, 2);
}

static void put_vcpus(struct batch *b, unsigned count, unsigned max)
{
    char name[32];

    for (unsigned i = 0; i < max; i++) {
        snprintf(name, sizeof name, "cpu/%u/availability", i);
        put(b, name, "%s", i < count ? "online" : "offline");
    }
}

static void put_domain(struct batch *b, const struct xlcfg *cfg, const struct build_result *built)
{
    char uuid[NODES_UUID_MAX];

    put(b, "name", "%s", cfg->name);
    put(b, "vm", "/vm/%s", nodes_uuid_text(cfg->uuid, uuid));
    put(b, "domid", "%u", b->domid);
    put(b, "memory/static-max", "%llu", (unsigned long long)cfg->maxmem_mib << 10);
    put(b, "memory/target", "%llu", (unsigned long long)cfg->memory_mib << 10);
    put(b, "store/port", "%u", built->store_port);
    put(b, "store/ring-ref", "%llu", (unsigned long long)built->store_mfn);
    put(b, "console/port", "%u", built->console_port);
    put(b, "console/ring-ref", "%llu", (unsigned long long)built->console_mfn);
    put(b, "console/type", "xenconsoled");
    put(b, "console/limit", "%u", CONSOLE_LIMIT);
    put(b, "console/output", "pty");
    put_vcpus(b, cfg->vcpus, cfg->maxvcpus);
    put(b, "control/platform-feature-multiprocessor-suspend", "1");
    put(b, "control/platform-feature-xs_reset_watches", "1");
}

/* What the guest itself may write; the list is xl's. */
static void permit_guest(struct batch *b)
{
    static const char *const names[] = {
        "control/shutdown",
        "control/feature-poweroff",
        "control/feature-reboot",
        "control/feature-suspend",
        "control/sysrq",
        "device/suspend/event-channel",
        "data",
        "drivers",
        "feature",
        "attr",
        "error",
    };

    permit(b, "device", false);
    permit(b, "control", false);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        permit(b, names[i], true);
}

static void vm_home(char *home, size_t size, const uint8_t uuid[16])
{
    char text[NODES_UUID_MAX];

    snprintf(home, size, "/vm/%s", nodes_uuid_text(uuid, text));
}

int nodes_create(const struct xlcfg *cfg, const struct build_result *built)
{
    struct batch b = {.domid = built->domid}, vm = b;
    char uuid[NODES_UUID_MAX];

    snprintf(b.home, sizeof b.home, "/local/domain/%u", b.domid);
    permit(&b, "", false);
    permit_guest(&b);
    put_domain(&b, cfg, built);
    vm_home(vm.home, sizeof vm.home, cfg->uuid);
    permit(&vm, "", false);
    put(&vm, "name", "%s", cfg->name);
    put(&vm, "uuid", "%s", nodes_uuid_text(cfg->uuid, uuid));
    if (b.rc == 0 && vm.rc == 0)
        return 0;
    nodes_remove(built->domid, cfg->uuid);
    return b.rc < 0 ? b.rc : vm.rc;
}

void nodes_remove(domid_t domid, const uint8_t uuid[16])
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "/local/domain/%u", domid);
    store_rm(path);
    vm_home(path, sizeof path, uuid);
    store_rm(path);
}

int nodes_rename(domid_t domid, const uint8_t uuid[16], const char *name)
{
    struct batch b = {.domid = domid}, vm = b;

    snprintf(b.home, sizeof b.home, "/local/domain/%u", domid);
    put(&b, "name", "%s", name);
    vm_home(vm.home, sizeof vm.home, uuid);
    put(&vm, "name", "%s", name);
    return b.rc < 0 ? b.rc : vm.rc;
}

int nodes_memory(domid_t domid, uint64_t *target, uint64_t *max)
{
    static const char *const names[] = {"target", "static-max"};
    uint64_t values[2];

    for (unsigned i = 0; i < 2; i++) {
        char path[PATH_BYTES], *text;

        snprintf(path, sizeof path, "/local/domain/%u/memory/%s", domid, names[i]);
        text = store_read(path);
        if (!text)
            return -XEN_ENOENT;
        values[i] = strtoull(text, NULL, 10);
        free(text);
    }
    *target = values[0];
    *max = values[1];
    return 0;
}

static int put_kib(domid_t domid, const char *name, uint64_t kib)
{
    struct batch b = {.domid = domid};

    snprintf(b.home, sizeof b.home, "/local/domain/%u", domid);
    put(&b, name, "%llu", (unsigned long long)kib);
    return b.rc;
}

int nodes_set_target(domid_t domid, uint64_t kib)
{
    return put_kib(domid, "memory/target", kib);
}

int nodes_set_max(domid_t domid, uint64_t kib)
{
    return put_kib(domid, "memory/static-max", kib);
}

int nodes_shutdown(domid_t domid, const char *how)
{
    struct batch b = {.domid = domid};

    snprintf(b.home, sizeof b.home, "/local/domain/%u", domid);
    put(&b, "control/shutdown", "%s", how);
    return b.rc;
}

int nodes_set_vcpus(domid_t domid, unsigned count, unsigned max)
{
    struct batch b = {.domid = domid};

    snprintf(b.home, sizeof b.home, "/local/domain/%u", domid);
    put_vcpus(&b, count, max);
    return b.rc;
}

int nodes_create_dom0(void)
{
    struct batch b = {.home = "/local/domain/0"};

    put(&b, "name", "Domain-0");
    put(&b, "domid", "0");
    if (b.rc < 0)
        return b.rc;
    return store_write("/tool/xenstored/domid", "0");
}
