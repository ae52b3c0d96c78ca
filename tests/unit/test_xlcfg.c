/* SPDX-License-Identifier: MIT */
/* xl.cfg: syntax, keys, refusals and their wording, and mutated files (seeded, so repeatable). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xen/errno.h>

#include "dom0/config/cpulist.h"
#include "dom0/config/nearest.h"
#include "dom0/config/xlcfg.h"
#include "hv/public/penumbra.h"

static const char sample[] = "# a guest\n"
                             "name = \"web1\"   # its name\n"
                             "type='pv'\n"
                             "kernel=\"/boot/hello.elf\"; memory = 64\n"
                             "\n"
                             "maxmem=0x80\n"
                             "vcpus=2\r\n"
                             "cpus=\"0-1,3\"\n"
                             "cpu_weight=512\n"
                             "cap=30\n"
                             "disk=['/disks/a.img,raw,xvda,w',\n"
                             "      # the second\n"
                             "      'format=raw, vdev=xvdb, access=ro, target=/disks/b,c.img',\n"
                             "]\n"
                             "on_reboot=\"preserve\"\n"
                             "uuid=\"01234567-89ab-cdef-0123-456789ABCDEF\"\n"
                             "root=\"/dev/xvda1 ro\"\n"
                             "extra=\"quiet \\\"x\\\"\"";

static struct xlcfg cfg;
static struct cfg_error err;

static int load(const char *text)
{
    int rc;

    xlcfg_init(&cfg);
    err.text[0] = 0;
    rc = xlcfg_parse(&cfg, "t.cfg", text, strlen(text), &err);
    return rc ? rc : xlcfg_finish(&cfg, "t.cfg", &err);
}

static void refuse(const char *text, const char *message)
{
    assert_int_equal(load(text), -XEN_EINVAL);
    if (!strstr(err.text, message))
        fail_msg("for <%s> got <%s>, wanted <%s>", text, err.text, message);
}

static void test_shadow_pool(void **state)
{
    static const char base[] = "name='a';kernel='/k';memory=8;";
    char text[200];

    (void)state;
    assert_int_equal(load(base), 0);
    assert_int_equal(cfg.shadow_tables, 0);
    snprintf(text, sizeof text, "%sshadow_pages=64", base);
    assert_int_equal(load(text), 0);
    assert_int_equal(cfg.shadow_tables, 64);
    snprintf(text, sizeof text, "%sshadow_memory=4", base);
    assert_int_equal(load(text), 0);
    assert_int_equal(cfg.shadow_tables, 256);
    snprintf(text, sizeof text, "%sshadow_pages=100;shadow_memory=2", base); /* the later one */
    assert_int_equal(load(text), 0);
    assert_int_equal(cfg.shadow_tables, 128);
    snprintf(text, sizeof text, "%sshadow_pages=88;vcpus=2", base);
    assert_int_equal(load(text), 0);

    snprintf(text, sizeof text, "%sshadow_pages=63", base);
    refuse(text, "63 shadow tables are too few for 1 vCPU: write shadow_pages = 64 or more, "
                 "shadow_memory = 1 or more");
    snprintf(text, sizeof text, "%sshadow_pages=87;maxvcpus=2", base);
    refuse(text, "87 shadow tables are too few for 2 vCPUs: write shadow_pages = 88 or more, "
                 "shadow_memory = 2 or more");
    snprintf(text, sizeof text, "%sshadow_pages=0", base);
    refuse(text, "shadow_pages: a number from 1 to 1048576 is wanted");
    snprintf(text, sizeof text, "%sshadow_memory=99999999", base);
    refuse(text, "shadow_memory: a number from 1 to 16384 is wanted");
}

static void test_whole_file(void **state)
{
    (void)state;
    assert_int_equal(load(sample), 0);
    assert_string_equal(cfg.name, "web1");
    assert_string_equal(cfg.kernel, "/boot/hello.elf");
    assert_string_equal(cfg.cmdline, "root=/dev/xvda1 ro quiet \"x\"");
    assert_int_equal(cfg.memory_mib, 64);
    assert_int_equal(cfg.maxmem_mib, 128);
    assert_int_equal(cfg.vcpus, 2);
    assert_int_equal(cfg.maxvcpus, 2);
    assert_int_equal(cfg.affinity[0], 0xb);
    assert_int_equal(cfg.affinity[31], 0xb);
    assert_int_equal(cfg.cpu_weight, 512);
    assert_int_equal(cfg.cap, 30);
    assert_int_equal(cfg.disk_count, 2);
    assert_string_equal(cfg.disks[0].target, "/disks/a.img");
    assert_int_equal(cfg.disks[0].vdev_number, 51712);
    assert_false(cfg.disks[0].readonly);
    assert_string_equal(cfg.disks[1].target, "/disks/b,c.img");
    assert_int_equal(cfg.disks[1].vdev_number, 51728);
    assert_true(cfg.disks[1].readonly);
    assert_int_equal(cfg.disks[0].format, IMAGE_RAW);
    assert_int_equal(cfg.on_poweroff, XLCFG_DESTROY);
    assert_int_equal(cfg.on_reboot, XLCFG_PRESERVE);
    assert_int_equal(cfg.uuid[15], 0xef);
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(load("name='a'\nkernel='k'\nmemory=8"), 0);
    assert_int_equal(cfg.vcpus, 1);
    assert_int_equal(cfg.maxmem_mib, 8);
    assert_int_equal(cfg.cpu_weight, 0);
    assert_int_equal(cfg.affinity[0], 0);
    assert_int_equal(cfg.on_reboot, XLCFG_RESTART);
    assert_int_equal(cfg.store_mode, PENUMBRA_STORES_emulate);
    assert_string_equal(cfg.cmdline, "");
}

/* As said, else by the name. */
static void test_disk_formats(void **state)
{
    static const struct {
        const char *disk;
        enum image_format format;
    } disks[] = {{"a.img,,xvda", IMAGE_RAW},
                 {"a.qcow2,,xvda", IMAGE_QCOW2},
                 {"a.vmdk,,xvda,r", IMAGE_VMDK},
                 {"a.img,qcow2,xvda", IMAGE_QCOW2},
                 {"a.qcow2,raw,xvda", IMAGE_RAW},
                 {"vdev=xvda,target=a.vmdk", IMAGE_VMDK},
                 {"vdev=xvda,format=vmdk,target=a", IMAGE_VMDK}};

    (void)state;
    for (unsigned i = 0; i < sizeof disks / sizeof disks[0]; i++) {
        char text[120];

        snprintf(text, sizeof text, "name='a'\nkernel='k'\nmemory=8\ndisk=['%s']", disks[i].disk);
        assert_int_equal(load(text), 0);
        assert_int_equal(cfg.disks[0].format, disks[i].format);
    }
}

static void test_store_modes(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < PENUMBRA_STORES_MODES; mode++) {
        char text[96];

        snprintf(text, sizeof text, "name='a'\nkernel='k'\nmemory=8\npagetable_writes='%s'",
                 xlcfg_store_mode_name(mode));
        assert_int_equal(load(text), 0);
        assert_int_equal(cfg.store_mode, mode);
    }
    assert_string_equal(xlcfg_store_mode_name(PENUMBRA_STORES_MODES), "unknown");
}

static void test_later_setting_wins(void **state)
{
    (void)state;
    assert_int_equal(load("name='a'\nkernel='k'\nmemory=8\nmemory=9\ncmdline='c'\nextra='e'"), 0);
    assert_int_equal(cfg.memory_mib, 9);
    assert_string_equal(cfg.cmdline, "c");
}

static void test_per_vcpu_affinity(void **state)
{
    (void)state;
    assert_int_equal(load("name='a'\nkernel='k'\nmemory=8\nvcpus=2\ncpus=['0', \"1-2\",]"), 0);
    assert_int_equal(cfg.affinity[0], 1);
    assert_int_equal(cfg.affinity[1], 6);
    assert_int_equal(cfg.affinity[2], 0);
    assert_int_equal(cfg.soft_affinity[0], 0);
    assert_int_equal(load("name='a'\nkernel='k'\nmemory=8\ncpus_soft=['3']\ncpus='0-1'"), 0);
    assert_int_equal(cfg.affinity[0], 3);
    assert_int_equal(cfg.affinity[1], 3);
    assert_int_equal(cfg.soft_affinity[0], 8);
    assert_int_equal(cfg.soft_affinity[1], 0);
    assert_string_equal(cfg.pool, "");
    assert_int_equal(load("name='a'\nkernel='k'\nmemory=8\npool='hot'"), 0);
    assert_string_equal(cfg.pool, "hot");
    assert_int_equal(load("name='a'\nkernel='k'\nmemory=8\npool=3"), 0);
    assert_string_equal(cfg.pool, "3");
}

static void test_syntax_errors(void **state)
{
    (void)state;
    refuse("name = \"a", "t.cfg:1: the string does not end");
    refuse("\n\nname = 'a\n'", "t.cfg:3: the string does not end on its line");
    refuse("disk = ['a,raw,xvda'\n\n\n", "t.cfg:1: the list that starts here does not end");
    refuse("disk = ['a' 'b']", "separated by commas");
    refuse("name = web1", "put quotes around text");
    refuse("memory = 64M", "a number has a letter in it");
    refuse("memory =\nname='a'", "t.cfg:1: a value is missing");
    refuse("memory 64", "expected '=' after 'memory'");
    refuse("= 64", "expected a setting");
    refuse("memory = 64 65", "one setting per line");
    refuse("name = 'a\\q'", "unknown escape");
    refuse("name = 'a\\x0'", "hexadecimal");
    refuse("memory = 99999999999999999999", "too large");
    assert_int_equal(xlcfg_parse(&cfg, "t.cfg", "na\0me", 5, &err), -XEN_EINVAL);
    assert_non_null(strstr(err.text, "not a text file"));
}

static void test_key_errors(void **state)
{
    (void)state;
    refuse("\nmemry = 64", "t.cfg:2: unknown key 'memry': nearest known key is 'memory'");
    refuse("krenel = 'a'", "'kernel'");
    refuse("vif = ['mac=00:16:3e:00:00:01']", "'vif' is not supported here");
    refuse("type = 'hvm'", "type: only \"pv\"");
    refuse("memory = 'x'", "memory: a number from 1 to");
    refuse("memory = 0", "memory: a number from 1 to");
    refuse("vcpus = 33", "vcpus: a number from 1 to 32");
    refuse("cpu_weight = 65536", "cpu_weight: a number from 1 to 65535");
    refuse("name = 'a b'", "cannot be a name");
    refuse("name = '17'", "cannot be a name");
    refuse("name = 'Domain-0'", "cannot be a name");
    refuse("on_crash = 'coredump-restart'", "core dumps do not exist here: write \"restart\"");
    refuse("on_crash = 'restrt'", "did you mean \"restart\"");
    refuse("pagetable_writes = 'drap'", "unknown word \"drap\", did you mean \"drop\"? Known are");
    refuse("pagetable_writes = 1", "a string in quotes is wanted");
    refuse("cpus = '4-2'", "bad CPU list");
    refuse("cpus = '1,^1'", "leaves no CPU");
    refuse("cpus_soft = '64'", "bad CPU list");
    refuse("pool = ['a']", "pool: a string in quotes");
    refuse("pool = 'a234567890123456789012345678901x'", "pool: too long: 31 bytes at most");
    refuse("uuid = '0123'", "a UUID is wanted");
    refuse("disk = 'a,raw,xvda'", "a list is wanted");
    refuse("disk = ['a,vhd,xvda']", "qemu-img convert");
    refuse("disk = ['a,raw,hda']", "bad vdev 'hda'");
    refuse("disk = ['a,raw']", "bad vdev ''");
    refuse("disk = ['a,raw,xvda,x']", "unknown access 'x'");
    refuse("disk = [',raw,xvda,w']", "no target");
    refuse("disk = ['a,raw,xvda,w,more']", "too many parts");
    refuse("disk = ['a,raw,xvda,mode=w']", "unknown word 'mode': nearest");
    refuse("disk = ['a,raw,xvda,w','b,raw,xvda,w']", "given to two disks");
}

static void test_missing_keys(void **state)
{
    (void)state;
    refuse("", "'name' is missing");
    refuse("name='a'", "'kernel' is missing");
    refuse("name='a'\nkernel='k'", "'memory' is missing");
    refuse("name='a'\nkernel='k'\nmemory=9\nmaxmem=8", "maxmem (8) is less than memory (9)");
    refuse("name='a'\nkernel='k'\nmemory=9\nvcpus=4\nmaxvcpus=2", "maxvcpus (2) is less");
}

static void test_overrides(void **state)
{
    (void)state;
    assert_int_equal(load(sample), 0);
    assert_int_equal(xlcfg_override(&cfg, "name=\"h1\"", &err), 0);
    assert_string_equal(cfg.name, "h1");
    assert_int_equal(xlcfg_override(&cfg, "name=h2", &err), 0);
    assert_string_equal(cfg.name, "h2");
    assert_int_equal(xlcfg_override(&cfg, "memory=96", &err), 0);
    assert_int_equal(cfg.memory_mib, 96);
    assert_int_equal(xlcfg_override(&cfg, "cpus=^2", &err), 0);
    assert_int_equal(cfg.affinity[0], ~4ull);
    assert_int_equal(xlcfg_override(&cfg, "kernel=/boot/x.elf", &err), 0);
    assert_string_equal(cfg.kernel, "/boot/x.elf");
    assert_int_equal(xlcfg_override(&cfg, "disk=['/d,raw,xvdc,r']", &err), 0);
    assert_int_equal(cfg.disk_count, 1);
    assert_int_equal(xlcfg_override(&cfg, "nmae=x", &err), -XEN_EINVAL);
    assert_string_equal(err.text, "unknown key 'nmae': nearest known key is 'name'");
    assert_int_equal(xlcfg_override(&cfg, "name", &err), -XEN_EINVAL);
    assert_int_equal(xlcfg_override(&cfg, "", &err), -XEN_EINVAL);
}

static void test_cpulist(void **state)
{
    uint64_t mask;
    char buf[64];

    (void)state;
    assert_int_equal(cpulist_parse("all,^1", &mask, NULL), 0);
    assert_int_equal(mask, ~2ull);
    assert_int_equal(cpulist_parse(" 0 , 62-63 ", &mask, NULL), 0);
    assert_int_equal(mask, 0xc000000000000001);
    assert_int_equal(cpulist_parse("64", &mask, NULL), -XEN_EINVAL);
    assert_int_equal(cpulist_parse("", &mask, NULL), -XEN_EINVAL);
    assert_int_equal(cpulist_parse("1,", &mask, NULL), -XEN_EINVAL);
    assert_string_equal(cpulist_format(0xb, 4, buf, sizeof buf), "0-1,3");
    assert_string_equal(cpulist_format(~0ull, 4, buf, sizeof buf), "all");
    assert_string_equal(cpulist_format(~0ull, 64, buf, sizeof buf), "all");
    assert_string_equal(cpulist_format(0x10, 4, buf, sizeof buf), "none");
    assert_string_equal(cpulist_format(1ull << 63, 64, buf, sizeof buf), "63");
    cpulist_format(0x5555555555555555, 64, buf, 10);
    assert_true(strlen(buf) < 10);
}

static void test_nearest(void **state)
{
    static const char *const words[] = {"list", "console", "create", "destroy"};

    (void)state;
    assert_int_equal(nearest_distance("", ""), 0);
    assert_int_equal(nearest_distance("abc", ""), 3);
    assert_int_equal(nearest_distance("kitten", "sitting"), 3);
    assert_int_equal(nearest_distance("crate", "caret"), 2);
    assert_int_equal(nearest_distance("ab", "ba"), 1);
    assert_int_equal(nearest_distance("LIST", "list"), 0);
    assert_string_equal(nearest_word("lsit", words, 4, sizeof words[0]), "list");
    assert_string_equal(nearest_word("consle", words, 4, sizeof words[0]), "console");
    assert_null(nearest_word("x", words, 0, sizeof words[0]));
}

static uint64_t seed;

static uint32_t next_random(void)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33);
}

/* Anything may come out, except a crash, an unterminated string or an error without words. */
static void check_sane(int rc)
{
    if (rc < 0) {
        assert_true(err.text[0]);
        return;
    }
    assert_true(xlcfg_name_valid(cfg.name));
    assert_true(strlen(cfg.cmdline) < sizeof cfg.cmdline);
    assert_true(cfg.vcpus >= 1 && cfg.vcpus <= cfg.maxvcpus && cfg.maxvcpus <= XLCFG_VCPUS_MAX);
    assert_true(cfg.memory_mib >= 1 && cfg.memory_mib <= cfg.maxmem_mib);
    assert_true(cfg.disk_count <= XLCFG_DISKS_MAX);
    for (unsigned i = 0; i < cfg.disk_count; i++)
        assert_true(cfg.disks[i].target[0]);
}

static void test_mutations(void **state)
{
    static const char bytes[] = "=\"'[],#;\n\\ \0x^-0a";
    unsigned accepted = 0;

    (void)state;
    for (unsigned round = 0; round < 40000; round++) {
        size_t len = sizeof sample - 1;
        char *text = malloc(len + 8);

        seed = round + 1;
        memcpy(text, sample, len);
        for (unsigned n = next_random() % 4 + 1; n; n--) {
            size_t at = next_random() % len;

            switch (next_random() % 4) {
            case 0:
                text[at] = bytes[next_random() % (sizeof bytes - 1)];
                break;
            case 1:
                text[at] = (char)next_random();
                break;
            case 2:
                memmove(text + at, text + at + 1, len - at - 1);
                len--;
                break;
            default:
                memmove(text + at + 1, text + at, len - at);
                len++;
                text[at] = bytes[next_random() % (sizeof bytes - 1)];
            }
        }
        /* An exact buffer, so that the sanitizer sees a read beyond the end. */
        text = realloc(text, len);
        xlcfg_init(&cfg);
        err.text[0] = 0;
        int rc = xlcfg_parse(&cfg, "t.cfg", text, len, &err);
        if (rc == 0)
            rc = xlcfg_finish(&cfg, "t.cfg", &err);
        check_sane(rc);
        accepted += rc == 0;
        free(text);
    }
    assert_true(accepted > 1000 && accepted < 39000);
}

static void test_random_words(void **state)
{
    (void)state;
    xlcfg_init(&cfg);
    for (unsigned round = 0; round < 20000; round++) {
        char word[24];
        unsigned len;

        seed = round + 1;
        len = next_random() % (sizeof word - 1);
        for (unsigned i = 0; i < len; i++)
            word[i] = "namediskcpu=='\"[]^,-12\\;#"[next_random() % 25];
        word[len] = 0;
        err.text[0] = 0;
        if (xlcfg_override(&cfg, word, &err) < 0)
            assert_true(err.text[0]);
    }
}

static void test_drives(void **state)
{
    static const struct {
        const char *text;
        bool cdrom, readonly;
        const char *target;
    } good[] = {
        {"vdev=xvdc, devtype=cdrom", true, true, ""},
        {",raw,xvdc,cdrom", true, true, ""},
        {"/disks/a.iso,raw,xvdc,w,devtype=cdrom", true, true, "/disks/a.iso"},
        {"vdev=xvdc,cdrom,target=/disks/a,b.iso", true, true, "/disks/a,b.iso"},
        {"/disks/a.img,,xvdc,w,devtype=disk", false, false, "/disks/a.img"},
    };
    static const char *const bad[] = {"vdev=xvdc", "/a,,xvdc,w,devtype=floppy",
                                      "/a,,xvdc,cdrom,devtype=cdrom", "/a,,xvdc,w,disk"};
    struct diskspec disk;
    struct cfg_error err;

    (void)state;
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(diskspec_parse(good[i].text, &disk, &err), 0);
        assert_int_equal(disk.cdrom, good[i].cdrom);
        assert_int_equal(disk.readonly, good[i].readonly);
        assert_string_equal(disk.target, good[i].target);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(diskspec_parse(bad[i], &disk, &err), -XEN_EINVAL);
}

static void test_discard_words(void **state)
{
    static const struct {
        const char *text;
        bool no_discard;
    } good[] = {{"/disks/a.img,raw,xvda,w", false},
                {"/disks/a.img,raw,xvda,w,discard", false},
                {"/disks/a.img,raw,xvda,w,no-discard", true},
                {"no-discard, /disks/a.img, raw, xvda", true},
                {"vdev=xvda, no-discard ,target=/disks/a.img", true}};
    static const char *const bad[] = {"/a,,xvda,w,discard,no-discard", "/a,,xvda,discard=0",
                                      "/a,,xvda,w,nodiscard"};
    struct diskspec disk;
    struct cfg_error err;

    (void)state;
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(diskspec_parse(good[i].text, &disk, &err), 0);
        assert_int_equal(disk.no_discard, good[i].no_discard);
        assert_string_equal(disk.target, "/disks/a.img");
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(diskspec_parse(bad[i], &disk, &err), -XEN_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drives),
        cmocka_unit_test(test_discard_words),
        cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_shadow_pool),
        cmocka_unit_test(test_store_modes),
        cmocka_unit_test(test_disk_formats),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_later_setting_wins),
        cmocka_unit_test(test_per_vcpu_affinity),
        cmocka_unit_test(test_syntax_errors),
        cmocka_unit_test(test_key_errors),
        cmocka_unit_test(test_missing_keys),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_cpulist),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_random_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
