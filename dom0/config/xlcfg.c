/* SPDX-License-Identifier: MIT */
#include "dom0/config/xlcfg.h"

#include <stdio.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/config/cpulist.h"
#include "dom0/config/nearest.h"
#include "hv/public/penumbra.h"

/*
 * One known key. `set` gets the value; `offset` and `limit` are for the setters that serve several
 * keys: where the field lies, and its size (strings) or largest value (numbers).
 */
struct key {
    const char *name;
    int (*set)(struct xlcfg *cfg, const struct key *key, const struct cfgtext_value *value,
               struct cfg_error *err);
    size_t offset;
    size_t limit;
};

static int bad(struct cfg_error *err, const struct key *key, const char *want)
{
    cfg_error_set(err, "%s: %s", key->name, want);
    return -XEN_EINVAL;
}

static int set_string(struct xlcfg *cfg, const struct key *key, const struct cfgtext_value *value,
                      struct cfg_error *err)
{
    size_t len;

    if (value->kind != CFGTEXT_STRING)
        return bad(err, key, "a string in quotes is wanted");
    len = strlen(value->items[0]);
    if (len >= key->limit) {
        cfg_error_set(err, "%s: too long: %zu bytes at most", key->name, key->limit - 1);
        return -XEN_EINVAL;
    }
    memcpy((char *)cfg + key->offset, value->items[0], len + 1);
    return 0;
}

static int set_cmdline(struct xlcfg *cfg, const struct key *key, const struct cfgtext_value *value,
                       struct cfg_error *err)
{
    cfg->has_cmdline = true;
    return set_string(cfg, key, value, err);
}

/* A pool's number may be written without quotes. */
static int set_pool(struct xlcfg *cfg, const struct key *key, const struct cfgtext_value *value,
                    struct cfg_error *err)
{
    struct cfgtext_value text = *value;

    if (text.kind == CFGTEXT_NUMBER)
        text.kind = CFGTEXT_STRING;
    return set_string(cfg, key, &text, err);
}

static int set_name(struct xlcfg *cfg, const struct key *key, const struct cfgtext_value *value,
                    struct cfg_error *err)
{
    /* A number is a string without quotes here, so that the message is about the name. */
    if (value->kind == CFGTEXT_LIST)
        return bad(err, key, "a string in quotes is wanted");
    if (!xlcfg_name_valid(value->items[0])) {
        cfg_error_set(err,
                      "name: \"%.70s\" cannot be a name: use up to 63 letters, digits and _.-+:, "
                      "not digits alone and not Domain-0",
                      value->items[0]);
        return -XEN_EINVAL;
    }
    memcpy(cfg->name, value->items[0], strlen(value->items[0]) + 1);
    return 0;
}

/* The number of a value; a quoted one counts too, as in xl. */
static bool get_number(const struct cfgtext_value *value, uint64_t *number)
{
    uint64_t n = 0;
    const char *s = value->items[0];

    if (value->kind == CFGTEXT_NUMBER) {
        *number = value->number;
        return true;
    }
    if (value->kind == CFGTEXT_LIST || !*s)
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || n > UINT32_MAX)
            return false;
        n = n * 10 + (unsigned)(*s - '0');
    }
    *number = n;
    return true;
}

/* Numbers from 1 to the key's limit; a cap may also be 0, which means none. */
static int set_number(struct xlcfg *cfg, const struct key *key, const struct cfgtext_value *value,
                      struct cfg_error *err)
{
    unsigned lowest = strcmp(key->name, "cap") ? 1 : 0, field;
    uint64_t number;

    if (!get_number(value, &number) || number < lowest || number > key->limit) {
        cfg_error_set(err, "%s: a number from %u to %zu is wanted", key->name, lowest, key->limit);
        return -XEN_EINVAL;
    }
    field = (unsigned)number;
    memcpy((char *)cfg + key->offset, &field, sizeof field);
    return 0;
}

/* xl's key, in MiB; the other one counts tables. They set the same thing: the later one wins. */
static int set_shadow_memory(struct xlcfg *cfg, const struct key *key,
                             const struct cfgtext_value *value, struct cfg_error *err)
{
    int rc = set_number(cfg, key, value, err);

    if (rc == 0)
        cfg->shadow_tables = cfg->shadow_tables * 1024 / XLCFG_SHADOW_KIB;
    return rc;
}

static int set_type(struct xlcfg *cfg, const struct key *key, const struct cfgtext_value *value,
                    struct cfg_error *err)
{
    (void)cfg;
    if (value->kind != CFGTEXT_STRING || strcmp(value->items[0], "pv"))
        return bad(err, key, "only \"pv\" guests exist here: write type = \"pv\" or leave it out");
    return 0;
}

static int set_action(struct xlcfg *cfg, const struct key *key, const struct cfgtext_value *value,
                      struct cfg_error *err)
{
    static const char *const names[] = {"destroy", "restart", "rename-restart", "preserve"};
    const char *text = value->items[0];

    if (value->kind != CFGTEXT_STRING)
        return bad(err, key, "a string in quotes is wanted, such as \"destroy\"");
    for (unsigned i = 0; i < 4; i++) {
        enum xlcfg_action action = (enum xlcfg_action)i;

        if (!strcmp(text, names[i])) {
            memcpy((char *)cfg + key->offset, &action, sizeof action);
            return 0;
        }
    }
    if (!strncmp(text, "coredump-", 9))
        cfg_error_set(err, "%s: core dumps do not exist here: write \"%s\"", key->name,
                      !strcmp(text, "coredump-restart") ? "restart" : "destroy");
    else
        cfg_error_set(err,
                      "%s: unknown action \"%.32s\", did you mean \"%s\"? Known are destroy, "
                      "restart, rename-restart, preserve",
                      key->name, text, nearest_word(text, names, 4, sizeof names[0]));
    return -XEN_EINVAL;
}

static const char *const store_modes[] = {
    [PENUMBRA_STORES_emulate] = "emulate",
    [PENUMBRA_STORES_drop] = "drop",
    [PENUMBRA_STORES_refuse] = "refuse",
};

int xlcfg_store_mode(const char *word)
{
    for (unsigned i = 0; i < PENUMBRA_STORES_MODES; i++)
        if (!strcmp(word, store_modes[i]))
            return (int)i;
    return -1;
}

const char *xlcfg_store_mode_name(unsigned mode)
{
    return mode < PENUMBRA_STORES_MODES ? store_modes[mode] : "unknown";
}

static int set_store_mode(struct xlcfg *cfg, const struct key *key,
                          const struct cfgtext_value *value, struct cfg_error *err)
{
    const char *text = value->items[0];
    int mode;

    if (value->kind != CFGTEXT_STRING)
        return bad(err, key, "a string in quotes is wanted, such as \"emulate\"");
    mode = xlcfg_store_mode(text);
    if (mode < 0) {
        cfg_error_set(
            err, "%s: unknown word \"%.32s\", did you mean \"%s\"? Known are " XLCFG_STORE_MODES,
            key->name, text,
            nearest_word(text, store_modes, PENUMBRA_STORES_MODES, sizeof store_modes[0]));
        return -XEN_EINVAL;
    }
    cfg->store_mode = (unsigned)mode;
    return 0;
}

/* Hard or soft affinity: one list for all vCPUs, or a list of one for each. */
static int set_cpus(struct xlcfg *cfg, const struct key *key, const struct cfgtext_value *value,
                    struct cfg_error *err)
{
    uint64_t *masks = (uint64_t *)((char *)cfg + key->offset), mask;
    int rc;

    if (value->kind == CFGTEXT_LIST && value->item_count > XLCFG_VCPUS_MAX)
        return bad(err, key, "the list has more members than there can be vCPUs (32)");
    memset(masks, 0, XLCFG_VCPUS_MAX * sizeof *masks);
    if (value->kind == CFGTEXT_LIST) {
        for (unsigned i = 0; i < value->item_count; i++) {
            rc = cpulist_parse(value->items[i], &masks[i], err);
            if (rc < 0)
                return rc;
        }
        return 0;
    }
    rc = cpulist_parse(value->items[0], &mask, err);
    for (unsigned i = 0; rc == 0 && i < XLCFG_VCPUS_MAX; i++)
        masks[i] = mask;
    return rc;
}

static int set_disk(struct xlcfg *cfg, const struct key *key, const struct cfgtext_value *value,
                    struct cfg_error *err)
{
    if (value->kind != CFGTEXT_LIST)
        return bad(err, key, "a list is wanted: disk = ['/disks/my.img,raw,xvda,w']");
    if (value->item_count > XLCFG_DISKS_MAX)
        return bad(err, key, "16 disks at most");
    cfg->disk_count = 0;
    for (unsigned i = 0; i < value->item_count; i++) {
        int rc = diskspec_parse(value->items[i], &cfg->disks[i], err);

        if (rc < 0)
            return rc;
        for (unsigned j = 0; j < i; j++)
            if (cfg->disks[j].vdev_number == cfg->disks[i].vdev_number) {
                cfg_error_set(err, "disk: vdev %s is given to two disks", cfg->disks[i].vdev);
                return -XEN_EINVAL;
            }
        cfg->disk_count = i + 1;
    }
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int set_uuid(struct xlcfg *cfg, const struct key *key, const struct cfgtext_value *value,
                    struct cfg_error *err)
{
    static const char want[] = "a UUID is wanted, like \"01234567-89ab-cdef-0123-456789abcdef\"";
    const char *s = value->items[0];
    uint8_t uuid[16];

    if (value->kind != CFGTEXT_STRING || strlen(s) != 36)
        return bad(err, key, want);
    for (unsigned i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-')
            return bad(err, key, want);
        if (hex_value(s[0]) < 0 || hex_value(s[1]) < 0)
            return bad(err, key, want);
        uuid[i] = (uint8_t)(hex_value(s[0]) << 4 | hex_value(s[1]));
        s += 2;
    }
    memcpy(cfg->uuid, uuid, sizeof uuid);
    return 0;
}

#define STRING_KEY(field) \
#field, set_string, offsetof(struct xlcfg, field), sizeof((struct xlcfg *)0)->field
#define ACTION_KEY(field) #field, set_action, offsetof(struct xlcfg, field), 0

static const struct key keys[] = {
    {"name", set_name, 0, 0},
    {"type", set_type, 0, 0},
    {STRING_KEY(kernel)},
    {STRING_KEY(ramdisk)},
    {"cmdline", set_cmdline, offsetof(struct xlcfg, cmdline), XLCFG_CMDLINE_MAX},
    {STRING_KEY(root)},
    {STRING_KEY(extra)},
    {"memory", set_number, offsetof(struct xlcfg, memory_mib), XLCFG_MEMORY_MAX},
    {"maxmem", set_number, offsetof(struct xlcfg, maxmem_mib), XLCFG_MEMORY_MAX},
    {"shadow_memory", set_shadow_memory, offsetof(struct xlcfg, shadow_tables),
     XLCFG_SHADOW_MAX / 1024 * XLCFG_SHADOW_KIB},
    {"shadow_pages", set_number, offsetof(struct xlcfg, shadow_tables), XLCFG_SHADOW_MAX},
    {"vcpus", set_number, offsetof(struct xlcfg, vcpus), XLCFG_VCPUS_MAX},
    {"maxvcpus", set_number, offsetof(struct xlcfg, maxvcpus), XLCFG_VCPUS_MAX},
    {"cpus", set_cpus, offsetof(struct xlcfg, affinity), 0},
    {"cpus_soft", set_cpus, offsetof(struct xlcfg, soft_affinity), 0},
    {"pool", set_pool, offsetof(struct xlcfg, pool), XLCFG_POOL_MAX},
    {"cpu_weight", set_number, offsetof(struct xlcfg, cpu_weight), 65535},
    {"cap", set_number, offsetof(struct xlcfg, cap), 100 * XLCFG_VCPUS_MAX},
    {"disk", set_disk, 0, 0},
    {ACTION_KEY(on_poweroff)},
    {ACTION_KEY(on_reboot)},
    {ACTION_KEY(on_crash)},
    {"uuid", set_uuid, 0, 0},
    {"pagetable_writes", set_store_mode, 0, 0},
};

#define KEY_COUNT (sizeof keys / sizeof keys[0])

/* Keys that xl knows and this control kernel does not; an answer of its own is kinder. */
static const char *const later_keys[] = {
    "vif",     "vfb",      "pci",         "bootloader", "firmware", "builder", "on_watchdog",
    "vnc",     "seclabel", "device_tree", "nomigrate",  "tsc_mode", "cpuid",   "usbdev",
    "channel", "console",  "boot",        "vtpm",       "p9",
};

static int set_key(void *ctx, const char *name, const struct cfgtext_value *value,
                   struct cfg_error *err)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (!strcmp(name, keys[i].name))
            return keys[i].set(ctx, &keys[i], value, err);
    for (size_t i = 0; i < sizeof later_keys / sizeof later_keys[0]; i++)
        if (!strcmp(name, later_keys[i])) {
            cfg_error_set(err, "'%s' is not supported here: take it out", name);
            return -XEN_EINVAL;
        }
    cfg_error_set(err, "unknown key '%s': nearest known key is '%s'", name,
                  nearest_word(name, &keys[0].name, KEY_COUNT, sizeof keys[0]));
    return -XEN_EINVAL;
}

bool xlcfg_name_valid(const char *name)
{
    bool all_digits = true;
    size_t len = strlen(name);

    if (!len || len >= XLCFG_NAME_MAX || !strcmp(name, "Domain-0"))
        return false;
    /* A leading dash would be taken for an option, dots for a path in the console's logs. */
    if (name[0] == '-' || name[0] == '.')
        return false;
    for (; *name; name++) {
        bool digit = *name >= '0' && *name <= '9';

        all_digits &= digit;
        if (!digit && !(*name >= 'a' && *name <= 'z') && !(*name >= 'A' && *name <= 'Z') &&
            !strchr("_.-+:", *name))
            return false;
    }
    return !all_digits;
}

void xlcfg_init(struct xlcfg *cfg)
{
    memset(cfg, 0, sizeof *cfg);
    cfg->vcpus = 1;
    cfg->store_mode = PENUMBRA_STORES_emulate;
    cfg->on_poweroff = XLCFG_DESTROY;
    cfg->on_reboot = XLCFG_RESTART;
    cfg->on_crash = XLCFG_DESTROY;
}

int xlcfg_parse(struct xlcfg *cfg, const char *name, const char *text, size_t len,
                struct cfg_error *err)
{
    return cfgtext_parse(name, text, len, set_key, cfg, err);
}

int xlcfg_override(struct xlcfg *cfg, const char *word, struct cfg_error *err)
{
    return cfgtext_parse_word(word, set_key, cfg, err);
}

static int missing(const char *file, const char *key, const char *example, struct cfg_error *err)
{
    cfg_error_set(err, "%s: '%s' is missing: add a line like: %s = %s", file, key, key, example);
    return -XEN_EINVAL;
}

/* root= and extra= make the command line unless cmdline= is there, as in xl. */
static int join_cmdline(struct xlcfg *cfg, const char *file, struct cfg_error *err)
{
    int n;

    if (cfg->has_cmdline || (!cfg->root[0] && !cfg->extra[0]))
        return 0;
    n = snprintf(cfg->cmdline, sizeof cfg->cmdline, "%s%s%s%s", cfg->root[0] ? "root=" : "",
                 cfg->root, cfg->root[0] && cfg->extra[0] ? " " : "", cfg->extra);
    if (n < 0 || (size_t)n >= sizeof cfg->cmdline) {
        cfg_error_set(err, "%s: root and extra together are too long: 1023 bytes at most", file);
        return -XEN_EINVAL;
    }
    return 0;
}

static int check_shadow(const struct xlcfg *cfg, const char *name, struct cfg_error *err)
{
    unsigned least = XLCFG_SHADOW_MIN + XLCFG_SHADOW_MIN_VCPU * (cfg->maxvcpus - 1);

    if (!cfg->shadow_tables || cfg->shadow_tables >= least)
        return 0;
    cfg_error_set(
        err,
        "%s: %u shadow tables are too few for %u vCPU%s: write shadow_pages = %u or more, "
        "shadow_memory = %u or more (MiB), or leave both out",
        name, cfg->shadow_tables, cfg->maxvcpus, cfg->maxvcpus == 1 ? "" : "s", least,
        (least * XLCFG_SHADOW_KIB + 1023) / 1024);
    return -XEN_EINVAL;
}

int xlcfg_finish(struct xlcfg *cfg, const char *name, struct cfg_error *err)
{
    if (!cfg->name[0])
        return missing(name, "name", "\"web1\"", err);
    if (!cfg->kernel[0])
        return missing(name, "kernel", "\"/boot/hello.elf\"", err);
    if (!cfg->memory_mib && !cfg->maxmem_mib)
        return missing(name, "memory", "32", err);
    if (!cfg->memory_mib)
        cfg->memory_mib = cfg->maxmem_mib;
    if (!cfg->maxmem_mib)
        cfg->maxmem_mib = cfg->memory_mib;
    if (cfg->maxmem_mib < cfg->memory_mib) {
        cfg_error_set(err, "%s: maxmem (%u) is less than memory (%u): raise it or leave it out",
                      name, cfg->maxmem_mib, cfg->memory_mib);
        return -XEN_EINVAL;
    }
    if (!cfg->maxvcpus)
        cfg->maxvcpus = cfg->vcpus;
    if (cfg->maxvcpus < cfg->vcpus) {
        cfg_error_set(err, "%s: maxvcpus (%u) is less than vcpus (%u): raise it or leave it out",
                      name, cfg->maxvcpus, cfg->vcpus);
        return -XEN_EINVAL;
    }
    if (check_shadow(cfg, name, err) < 0)
        return -XEN_EINVAL;
    return join_cmdline(cfg, name, err);
}
