/* SPDX-License-Identifier: MIT */
/*
 * The boot device tree: blobs are made with libfdt's writing functions from small descriptions, so
 * that each case can bend one thing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libfdt.h>
#include <xen/errno.h>

#include "hv/config.h"
#include "hv/devtree.h"

static const struct boot_module modules[4] = {
    {.start = 0x1000, .end = 0x2000},
    {.start = 0x100000, .end = 0x180000},
    {.start = 0x200000, .end = 0x280001},
    {.start = 0x300000, .end = 0x300100},
};

static struct devtree_domain domain;
static struct devtree_error err;

/* What one case wants to differ from a good tree; zero or NULL: as usual. */
struct variant {
    bool bare;              /* the domain below /chosen */
    const char *kernel;     /* compatible of the kernel's module */
    const char *index_name; /* property that names it */
    int no_kernel, no_index, two_domains, two_kernels, no_domain, no_chosen, reg;
    uint32_t index, cpus, domid;
    bool has_cpus, has_domid, has_index;
    uint64_t memory;
    int memory_bytes;        /* 4 or 8; 0: absent */
    const char *bootargs;    /* of the domain */
    const char *module_args; /* of the kernel's module */
    uint32_t ramdisk;        /* 0: none */
    const char *extra;       /* one more property of the domain */
};

static void put_module(void *fdt, const struct variant *v, const char *name, const char *compatible,
                       uint32_t index)
{
    assert_int_equal(fdt_begin_node(fdt, name), 0);
    assert_int_equal(fdt_property_string(fdt, "compatible", compatible), 0);
    if (v->reg) {
        uint64_t reg[2] = {cpu_to_fdt64(modules[index].start),
                           cpu_to_fdt64(modules[index].end - modules[index].start)};

        if (v->reg == 2)
            reg[1] += 1;
        assert_int_equal(fdt_property(fdt, "reg", reg, sizeof reg), 0);
    } else if (!v->no_index) {
        assert_int_equal(
            fdt_property_u32(fdt, v->index_name ? v->index_name : "module-index", index), 0);
    }
    if (v->module_args)
        assert_int_equal(fdt_property_string(fdt, "bootargs", v->module_args), 0);
    assert_int_equal(fdt_end_node(fdt), 0);
}

static void put_domain(void *fdt, const struct variant *v, const char *name)
{
    const char *kernel = v->kernel ? v->kernel : "multiboot,kernel";

    fdt_begin_node(fdt, name);
    fdt_property_string(fdt, "compatible", "xen,domain");
    if (v->has_domid)
        fdt_property_u32(fdt, "domid", v->domid);
    if (v->memory_bytes == 4)
        fdt_property_u32(fdt, "memory", (uint32_t)v->memory);
    else if (v->memory_bytes == 8)
        fdt_property_u64(fdt, "memory", v->memory);
    else if (v->memory_bytes)
        fdt_property(fdt, "memory", "123456789", v->memory_bytes);
    if (v->has_cpus)
        fdt_property_u32(fdt, "cpus", v->cpus);
    if (v->bootargs)
        fdt_property_string(fdt, "bootargs", v->bootargs);
    if (v->extra)
        fdt_property_u32(fdt, v->extra, 1);
    if (!v->no_kernel)
        put_module(fdt, v, "module@1", kernel, v->has_index ? v->index : 1);
    if (v->two_kernels)
        put_module(fdt, v, "module@9", kernel, 2);
    if (v->ramdisk)
        put_module(fdt, v, "module@2", "multiboot,ramdisk", v->ramdisk);
    fdt_end_node(fdt);
}

static size_t make(uint8_t *blob, size_t size, const struct variant *v)
{
    assert_int_equal(fdt_create(blob, size), 0);
    fdt_finish_reservemap(blob);
    fdt_begin_node(blob, "");
    if (!v->no_chosen) {
        fdt_begin_node(blob, "chosen");
        if (!v->bare)
            fdt_begin_node(blob, "hypervisor");
        if (!v->no_domain)
            put_domain(blob, v, "domain@0");
        if (v->two_domains)
            put_domain(blob, v, "domain@1");
        if (!v->bare)
            fdt_end_node(blob);
        fdt_end_node(blob);
    }
    fdt_end_node(blob);
    assert_int_equal(fdt_finish(blob), 0);
    return fdt_totalsize(blob);
}

static long parse(const struct variant *v)
{
    uint8_t *blob = calloc(1, 4096);
    size_t size = make(blob, 4096, v);
    long rc;

    blob = realloc(blob, size); /* exact: reads beyond the end are seen */
    rc = devtree_parse(&domain, blob, size, modules, 4, &err);
    free(blob);
    return rc;
}

static void refuse(const struct variant *v, const char *text)
{
    assert_int_equal(parse(v), -XEN_EINVAL);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not contain \"%s\"", err.text, text);
    assert_true(strlen(err.text) < sizeof err.text - 1);
}

#define GOOD(...)      assert_int_equal(parse(&(struct variant){__VA_ARGS__}), 0)
#define REFUSE(t, ...) refuse(&(struct variant){__VA_ARGS__}, t)

static void test_spellings(void **state)
{
    (void)state;
    GOOD(.memory_bytes = 0);
    assert_int_equal(domain.memory_kib, 0);
    assert_int_equal(domain.cpus, 1);
    assert_int_equal(domain.kernel, 1);
    assert_int_equal(domain.ramdisk, DEVTREE_NO_MODULE);
    assert_string_equal(domain.bootargs, "");
    assert_string_equal(domain.ignored, "");

    GOOD(.bare = true, .memory_bytes = 4, .memory = 65536, .has_cpus = true, .cpus = 4,
         .bootargs = "a b");
    assert_int_equal(domain.memory_kib, 65536);
    assert_int_equal(domain.cpus, 4);
    assert_string_equal(domain.bootargs, "a b");

    GOOD(.memory_bytes = 8, .memory = 1UL << 33, .index_name = "mb-index",
         .kernel = "module,kernel", .ramdisk = 3);
    assert_int_equal(domain.memory_kib, 1UL << 33);
    assert_int_equal(domain.ramdisk, 3);

    GOOD(.reg = 1, .ramdisk = 2);
    assert_int_equal(domain.kernel, 1);
    assert_int_equal(domain.ramdisk, 2);
}

static void test_bootargs(void **state)
{
    (void)state;
    GOOD(.module_args = "from the module");
    assert_string_equal(domain.bootargs, "from the module");
    GOOD(.module_args = "from the module", .bootargs = "from the domain");
    assert_string_equal(domain.bootargs, "from the domain");
}

static void test_ignored(void **state)
{
    (void)state;
    GOOD(.extra = "passthrough");
    assert_string_equal(domain.ignored, "passthrough");
}

static void test_refusals(void **state)
{
    (void)state;
    REFUSE("there is no node /chosen", .no_chosen = 1);
    REFUSE("no domain is described", .no_domain = 1);
    REFUSE("2 domains are described", .two_domains = 1);
    REFUSE("has no kernel", .no_kernel = 1);
    REFUSE("two kernels", .two_kernels = 1);
    REFUSE("exactly one of module-index", .no_index = 1);
    REFUSE("names boot module 4, but the boot loader passed only 4", .has_index = true, .index = 4);
    REFUSE("names boot module 4294967295", .has_index = true, .index = ~0U);
    REFUSE("the device tree itself", .has_index = true, .index = 0);
    REFUSE("the same boot module", .ramdisk = 1);
    REFUSE("no boot module lies at 'reg'", .reg = 2);
    REFUSE("cpus is 0", .has_cpus = true, .cpus = 0);
    REFUSE("cpus is 33", .has_cpus = true, .cpus = VCPU_MAX + 1);
    REFUSE("domid 1", .has_domid = true, .domid = 1);
    REFUSE("memory is 0 KiB", .memory_bytes = 4, .memory = 0);
    REFUSE("memory is 4095 KiB", .memory_bytes = 8, .memory = 4095);
    REFUSE("memory is 18446744073709551615 KiB", .memory_bytes = 8, .memory = ~0UL);
    REFUSE("'memory' of node 'domain@0' is not one or two", .memory_bytes = 3);
}

static void test_no_tree(void **state)
{
    static const char text[64] = "\177ELF";

    (void)state;
    assert_int_equal(devtree_parse(&domain, text, sizeof text, modules, 4, &err), -XEN_EINVAL);
    assert_non_null(strstr(err.text, "no device tree"));
    assert_int_equal(devtree_parse(&domain, text, 0, modules, 4, &err), -XEN_EINVAL);
}

/* Every cut and thousands of flipped bytes: refused or read, never a read beyond the end. */
static void test_damage(void **state)
{
    uint8_t good[4096];
    struct variant v = {.memory_bytes = 8,
                        .memory = 65536,
                        .bootargs = "x y z",
                        .ramdisk = 2,
                        .has_cpus = true,
                        .cpus = 2};
    size_t size = make(good, sizeof good, &v);
    unsigned accepted = 0;
    uint64_t seed = 1;

    (void)state;
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *blob = malloc(cut ? cut : 1);

        memcpy(blob, good, cut);
        assert_int_equal(devtree_parse(&domain, blob, cut, modules, 4, &err), -XEN_EINVAL);
        assert_true(err.text[0]);
        free(blob);
    }
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t *blob = malloc(size);

        memcpy(blob, good, size);
        for (unsigned n = round % 3 + 1; n; n--) {
            seed = seed * 6364136223846793005UL + 1442695040888963407UL;
            blob[(seed >> 33) % size] = (uint8_t)(seed >> 20);
        }
        err.text[0] = 0;
        if (devtree_parse(&domain, blob, size, modules, 4, &err) == 0) {
            accepted++;
            assert_in_range(domain.kernel, 1, 3);
            assert_in_range(domain.cpus, 1, VCPU_MAX);
        } else {
            assert_true(err.text[0]);
        }
        free(blob);
    }
    assert_in_range(accepted, 100, 19900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings), cmocka_unit_test(test_bootargs),
        cmocka_unit_test(test_ignored),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_tree),   cmocka_unit_test(test_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
