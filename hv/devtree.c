/* SPDX-License-Identifier: MIT */
/*
 * What is understood, after Xen's docs/designs/launch/hyperlaunch-devicetree.rst and
 * docs/misc/arm/device-tree/booting.txt:
 *
 *     / { chosen { hypervisor {                              the node hypervisor may be left out
 *         domain {
 *             compatible = "xen,domain";
 *             domid = <0>;                                   optional
 *             memory = <262144>;                             KiB, one or two cells; optional
 *             cpus = <2>;                                    optional, 1
 *             bootargs = "...";                              optional; here or in module@1
 *             module@1 {
 *                 compatible = "multiboot,kernel", "multiboot,module";     or "module,kernel"
 *                 module-index = <1>;              or mb-index, or reg = <address size>,
 *             };                                   two cells each
 *             module@2 {                                     optional
 *                 compatible = "multiboot,ramdisk", "multiboot,module";    or "module,ramdisk"
 *                 module-index = <2>;
 *             };
 *         };
 *     }; }; };
 *
 * Module 0 is the tree itself. Whatever else stands in these nodes is remembered in `ignored`, not
 * refused: a tree made for Xen shall work here.
 */
#include "hv/devtree.h"

#include <libfdt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <xen/errno.h>
#include "hv/config.h"

struct reader {
    const void *fdt;
    const struct boot_module *modules;
    unsigned module_count;
    struct devtree_domain *domain;
    struct devtree_error *err;
    int kernel_node; /* -1: not seen yet */
};

__attribute__((format(printf, 2, 3))) static long tree_refuse(struct devtree_error *err,
                                                              const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return -XEN_EINVAL;
}

static const char *node_name(const struct reader *r, int node)
{
    const char *name = fdt_get_name(r->fdt, node, NULL);

    return name && *name ? name : "/";
}

/* Remembers a name that has no meaning here; a full list just ends. */
static void tree_ignore(struct reader *r, const char *name)
{
    size_t used = strlen(r->domain->ignored), room = sizeof r->domain->ignored - used;

    if (strlen(name) + 3 <= room)
        snprintf(r->domain->ignored + used, room, "%s%s", used ? ", " : "", name);
}

static bool node_is(const struct reader *r, int node, const char *compatible)
{
    return fdt_node_check_compatible(r->fdt, node, compatible) == 0;
}

/* An integer of one or two cells. 0: absent, 1: *value is set, negative: malformed. */
static long read_number(const struct reader *r, int node, const char *name, uint64_t *value)
{
    int bytes;
    const uint8_t *p = fdt_getprop(r->fdt, node, name, &bytes);

    if (!p)
        return 0;
    if (bytes != 4 && bytes != 8)
        return tree_refuse(r->err, "device tree: '%s' of node '%s' is not one or two 32-bit cells",
                           name, node_name(r, node));
    *value = 0;
    for (int i = 0; i < bytes; i++)
        *value = *value << 8 | p[i];
    return 1;
}

/* A string property into the domain's boot arguments, if there is one. */
static long read_bootargs(struct reader *r, int node)
{
    int bytes;
    const char *text = fdt_getprop(r->fdt, node, "bootargs", &bytes);

    if (!text)
        return 0;
    if (!bytes || text[bytes - 1])
        return tree_refuse(r->err, "device tree: 'bootargs' of node '%s' is not a string",
                           node_name(r, node));
    if (strlen(text) >= sizeof r->domain->bootargs)
        return tree_refuse(r->err,
                           "device tree: 'bootargs' of node '%s' is longer than %zu characters",
                           node_name(r, node), sizeof r->domain->bootargs - 1);
    strcpy(r->domain->bootargs, text);
    return 0;
}

/* reg = <address size>, two cells each: the module that lies exactly there. */
static long module_by_reg(const struct reader *r, int node, const uint8_t *reg, int bytes,
                          uint64_t *index)
{
    uint64_t address = 0, size = 0;

    if (bytes != 16)
        return tree_refuse(
            r->err,
            "device tree: 'reg' of node '%s' is not an address and a size of two cells each",
            node_name(r, node));
    for (int i = 0; i < 8; i++) {
        address = address << 8 | reg[i];
        size = size << 8 | reg[8 + i];
    }
    for (unsigned i = 0; i < r->module_count; i++)
        if (r->modules[i].start == address && r->modules[i].end - r->modules[i].start == size) {
            *index = i;
            return 0;
        }
    return tree_refuse(
        r->err, "device tree: no boot module lies at 'reg' of node '%s': use module-index instead",
        node_name(r, node));
}

/* Which of the loader's modules does the node name? */
static long read_module_index(const struct reader *r, int node, unsigned *index)
{
    uint64_t by_index = 0, by_mb = 0, value = 0;
    long has_index = read_number(r, node, "module-index", &by_index);
    long has_mb = read_number(r, node, "mb-index", &by_mb);
    int reg_bytes;
    const void *reg = fdt_getprop(r->fdt, node, "reg", &reg_bytes);

    if (has_index < 0 || has_mb < 0)
        return -XEN_EINVAL;
    if (has_index + has_mb + (reg != NULL) != 1)
        return tree_refuse(
            r->err,
            "device tree: node '%s' must have exactly one of module-index, mb-index and reg",
            node_name(r, node));
    value = has_index ? by_index : by_mb;
    if (reg) {
        long rc = module_by_reg(r, node, reg, reg_bytes, &value);

        if (rc)
            return rc;
    }
    if (value == 0)
        return tree_refuse(r->err,
                           "device tree: node '%s' names module 0, which is the device tree itself",
                           node_name(r, node));
    if (value >= r->module_count)
        return tree_refuse(r->err,
                           "device tree: node '%s' names boot module %llu, but the boot loader "
                           "passed only %u (0 is the "
                           "tree): add the module to its menu entry",
                           node_name(r, node), (unsigned long long)value, r->module_count);
    *index = (unsigned)value;
    return 0;
}

static void ignore_properties(struct reader *r, int node, const char *const *known)
{
    int prop;

    fdt_for_each_property_offset(prop, r->fdt, node)
    {
        const char *name;
        bool found = false;

        if (!fdt_getprop_by_offset(r->fdt, prop, &name, NULL))
            continue;
        for (const char *const *k = known; *k; k++)
            found |= !strcmp(*k, name);
        if (!found)
            tree_ignore(r, name);
    }
}

static long read_module(struct reader *r, int node)
{
    static const char *const known[] = {"compatible", "module-index", "mb-index", "reg",
                                        "bootargs",   "phandle",      NULL};
    bool kernel = node_is(r, node, "multiboot,kernel") || node_is(r, node, "module,kernel");
    bool ramdisk = node_is(r, node, "multiboot,ramdisk") || node_is(r, node, "module,ramdisk");
    unsigned *slot = kernel ? &r->domain->kernel : &r->domain->ramdisk;
    long rc;

    if (!kernel && !ramdisk) {
        tree_ignore(r, node_name(r, node));
        return 0;
    }
    if (*slot != DEVTREE_NO_MODULE)
        return tree_refuse(r->err, "device tree: the domain has two %ss: remove node '%s'",
                           kernel ? "kernel" : "ramdisk", node_name(r, node));
    if (kernel)
        r->kernel_node = node;
    ignore_properties(r, node, known);
    rc = read_module_index(r, node, slot);
    return rc;
}

static long read_limits(struct reader *r, int node)
{
    uint64_t value = 0;
    long rc = read_number(r, node, "domid", &value);

    if (rc < 0)
        return rc;
    if (rc && value)
        return tree_refuse(
            r->err,
            "device tree: domid %llu: the domain made at boot has number 0, change domid to <0>",
            (unsigned long long)value);
    rc = read_number(r, node, "memory", &r->domain->memory_kib);
    if (rc < 0)
        return rc;
    if (rc && (r->domain->memory_kib < 4096 || r->domain->memory_kib >> 40))
        return tree_refuse(
            r->err,
            "device tree: memory is %llu KiB: give at least 4096 (4 MiB) and what the machine has",
            (unsigned long long)r->domain->memory_kib);
    r->domain->cpus = 1;
    rc = read_number(r, node, "cpus", &value);
    if (rc < 0)
        return rc;
    if (rc && (value < 1 || value > VCPU_MAX))
        return tree_refuse(r->err, "device tree: cpus is %llu: a number from 1 to %u is wanted",
                           (unsigned long long)value, VCPU_MAX);
    if (rc)
        r->domain->cpus = (unsigned)value;
    return 0;
}

static long read_domain(struct reader *r, int node)
{
    static const char *const known[] = {
        "compatible",  "domid",        "memory",      "cpus",      "bootargs", "#address-cells",
        "#size-cells", "capabilities", "permissions", "functions", "mode",     "phandle",
        NULL};
    int child;
    long rc = read_limits(r, node);

    if (rc)
        return rc;
    ignore_properties(r, node, known);
    fdt_for_each_subnode(child, r->fdt, node)
    {
        rc = read_module(r, child);
        if (rc)
            return rc;
    }
    if (r->domain->kernel == DEVTREE_NO_MODULE)
        return tree_refuse(
            r->err,
            "device tree: domain '%s' has no kernel: add a module node with compatible = "
            "\"multiboot,kernel\" and module-index",
            node_name(r, node));
    if (r->domain->ramdisk == r->domain->kernel)
        return tree_refuse(r->err, "device tree: kernel and ramdisk are the same boot module %u",
                           r->domain->kernel);
    /* The domain's own words win over those of the kernel's module. */
    rc = read_bootargs(r, r->kernel_node);
    return rc ? rc : read_bootargs(r, node);
}

/* Counts the domain nodes below `parent`; *found is the last. */
static unsigned find_domains(struct reader *r, int parent, int *found)
{
    unsigned count = 0;
    int node;

    fdt_for_each_subnode(node, r->fdt, parent)
    {
        if (node_is(r, node, "xen,domain")) {
            *found = node;
            count++;
        } else if (strcmp(node_name(r, node), "hypervisor")) {
            tree_ignore(r, node_name(r, node));
        }
    }
    return count;
}

static long read_chosen(struct reader *r)
{
    int chosen = fdt_path_offset(r->fdt, "/chosen"), hypervisor, node = -1;
    unsigned count;

    if (chosen < 0)
        return tree_refuse(
            r->err,
            "device tree: there is no node /chosen: describe domain 0 in /chosen/hypervisor");
    count = find_domains(r, chosen, &node);
    hypervisor = fdt_subnode_offset(r->fdt, chosen, "hypervisor");
    if (hypervisor >= 0)
        count += find_domains(r, hypervisor, &node);
    if (!count)
        return tree_refuse(
            r->err,
            "device tree: no domain is described: add a node with compatible = \"xen,domain\" to "
            "/chosen/hypervisor");
    if (count > 1)
        return tree_refuse(r->err,
                           "device tree: %u domains are described: only domain 0 is made at boot, "
                           "remove the others",
                           count);
    return read_domain(r, node);
}

long devtree_parse(struct devtree_domain *domain, const void *blob, size_t size,
                   const struct boot_module *modules, unsigned module_count,
                   struct devtree_error *err)
{
    struct reader r = {blob, modules, module_count, domain, err, -1};
    int rc;

    memset(domain, 0, sizeof *domain);
    domain->kernel = domain->ramdisk = DEVTREE_NO_MODULE;
    err->text[0] = 0;

    if (size < sizeof(struct fdt_header) || fdt_magic(blob) != FDT_MAGIC)
        return tree_refuse(
            err,
            "the first boot module is no device tree: make the .dtb (dtc -I dts -O dtb) the first "
            "module, before domain 0's kernel");
    rc = fdt_check_full(blob, size);
    if (rc)
        return tree_refuse(err, "device tree: it is damaged (%s, %zu bytes): make it anew with dtc",
                           fdt_strerror(rc), size);
    return read_chosen(&r);
}
