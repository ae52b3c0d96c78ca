/* SPDX-License-Identifier: MIT */
/*
 * A domain's configuration in xl.cfg's words: what each key means, its range, its default. Pure;
 * the command line reads files with it, the builder and the life cycle take the result.
 *
 * Use: xlcfg_init, then xlcfg_parse (the file), then xlcfg_override (each word behind it), then
 * xlcfg_finish, which checks what must be there and fills in what follows from other keys.
 */
#ifndef DOM0_CONFIG_XLCFG_H
#define DOM0_CONFIG_XLCFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dom0/config/cfgtext.h"
#include "dom0/config/diskspec.h"

#define XLCFG_NAME_MAX    64
#define XLCFG_PATH_MAX    256
#define XLCFG_CMDLINE_MAX 1024 /* start_info holds as much */
#define XLCFG_VCPUS_MAX   32   /* shared_info holds as many vcpu_info */
#define XLCFG_DISKS_MAX   16
#define XLCFG_POOL_MAX    32
#define XLCFG_MEMORY_MAX  (1u << 20) /* MiB: a tebibyte */

/* A shadow table with its reverse map, and the fewest that a domain can run with. The hypervisor
 * has the last word (docs/abi.md, XEN_DOMCTL_set_paging_mempool_size); these are for a better
 * message. */
#define XLCFG_SHADOW_KIB      16
#define XLCFG_SHADOW_MIN      64
#define XLCFG_SHADOW_MIN_VCPU 24 /* more for each vCPU after the first */
#define XLCFG_SHADOW_MAX      (1u << 20)

/* What happens when the domain ends. */
enum xlcfg_action {
    XLCFG_DESTROY,
    XLCFG_RESTART,
    XLCFG_RENAME_RESTART, /* keep the dead one under another name, start a new one */
    XLCFG_PRESERVE,       /* keep the dead one for a look */
};

/* How the domain's stores to its page tables are caught: the words of PENUMBRA_STORES_*. */
#define XLCFG_STORE_MODES "emulate, drop, refuse"

struct xlcfg {
    char name[XLCFG_NAME_MAX];
    char kernel[XLCFG_PATH_MAX];
    char ramdisk[XLCFG_PATH_MAX]; /* empty: none */
    char cmdline[XLCFG_CMDLINE_MAX];
    char root[XLCFG_PATH_MAX], extra[XLCFG_CMDLINE_MAX]; /* parts of cmdline until finished */
    bool has_cmdline;
    unsigned memory_mib, maxmem_mib;
    unsigned
        shadow_tables; /* the domain's pool of shadow page tables; 0: the hypervisor's default */
    unsigned vcpus, maxvcpus;
    /* per vCPU, bit n: may run on CPU n (hard), likes to run there (soft); 0: all are alike */
    uint64_t affinity[XLCFG_VCPUS_MAX], soft_affinity[XLCFG_VCPUS_MAX];
    char pool[XLCFG_POOL_MAX]; /* of CPUs: name or number; empty: the first */
    unsigned cpu_weight;       /* 1 to 65535, 0: the scheduler's default */
    unsigned cap;              /* percent of one CPU, 0: none */
    unsigned store_mode;       /* PENUMBRA_STORES_* */
    enum xlcfg_action on_poweroff, on_reboot, on_crash;
    uint8_t uuid[16]; /* all zero: to be chosen */
    struct diskspec disks[XLCFG_DISKS_MAX];
    unsigned disk_count;
};

/* PENUMBRA_STORES_* of a word, -1 if there is none; and the word. */
int xlcfg_store_mode(const char *word);
const char *xlcfg_store_mode_name(unsigned mode);

/* Set every key to its default. */
void xlcfg_init(struct xlcfg *cfg);

/*
 * Take the settings of a file's text; `name` is the file's name for messages. Later settings win.
 * Returns 0, or a negative error with one line for the user in err.
 */
int xlcfg_parse(struct xlcfg *cfg, const char *name, const char *text, size_t len,
                struct cfg_error *err);

/* Take one `key=value` word. Returns as xlcfg_parse. */
int xlcfg_override(struct xlcfg *cfg, const char *word, struct cfg_error *err);

/* Check that the whole makes a domain. `name` is for messages. Returns as xlcfg_parse. */
int xlcfg_finish(struct xlcfg *cfg, const char *name, struct cfg_error *err);

/* True if `name` may be a domain's: no number, no blanks or slashes, not Domain-0, not too long. */
bool xlcfg_name_valid(const char *name);

#endif
