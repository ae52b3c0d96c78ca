# SPDX-License-Identifier: MIT
# Unit tests on the host, under AddressSanitizer and UBSan. A line
#     unit_NAME := list of the .c files under test
# builds tests/unit/test_NAME.c with them into build/unit/NAME. Wanted flags of its own go into
#     unit_NAME_CFLAGS := ...
# and libraries into unit_NAME_LIBS.
# `make unit` builds and runs all of them, `make unit-NAME` one. It works alone as well:
# `make -f tests/unit/unit.mk unit-NAME`.

# --- the tests, one line each ---------------------------------------------------------------
ext2_core := dom0/fs/ext2_alloc.c dom0/fs/ext2_cache.c dom0/fs/ext2_dir.c dom0/fs/ext2_file.c \
             dom0/fs/ext2_inode.c dom0/fs/ext2_journal.c dom0/fs/ext2_map.c dom0/fs/ext2_name.c \
             dom0/fs/ext2_replay.c dom0/fs/ext2_super.c dom0/fs/ext2_trunc.c
unit_nvme := dom0/drivers/nvme_prp.c
unit_nvme_reset := $(addprefix dom0/drivers/,nvme.c nvme_ctrl.c nvme_prp.c blksync.c)
unit_ioshare := dom0/blk/ioshare.c
unit_ext2 := $(ext2_core)
unit_ext2_random := $(ext2_core)
unit_ext2_journal := $(ext2_core)
unit_ext2_damage := $(ext2_core)
unit_ext2_stress := $(ext2_core)
unit_vfs := $(ext2_core) $(addprefix dom0/fs/,vfs.c vfs_map.c vfs_whole.c vfs_strerror.c)

# The library under test gets names of its own beside the host's; no builtins, or the calls vanish.
unit_lib := hv/lib/string.c hv/lib/number.c hv/lib/printf.c
unit_lib_CFLAGS := -fno-builtin $(foreach f, \
    memcpy memmove memset memcmp memchr strlen strnlen strcmp strncmp strchr  \
    strrchr strstr strcpy strncpy strcat strspn strcspn strtol strtoul strtoll  \
    strtoull atoi snprintf vsnprintf,-D$(f)=pn_$(f))
unit_xlcfg := $(addprefix dom0/config/,xlcfg.c cfgtext.c diskspec.c cpulist.c nearest.c) dom0/cli/size.c dom0/image/format.c
unit_elfimage := $(addprefix dom0/builder/,elfimage.c kernelfile.c kernelreport.c layout.c ptbuild.c) \
                 dom0/config/cfgtext.c $(wildcard dom0/unpack/*.c)
unit_kernelfile := dom0/builder/kernelfile.c dom0/config/cfgtext.c $(wildcard dom0/unpack/*.c)
unit_unpack := $(wildcard dom0/unpack/*.c)
unit_layout   := dom0/builder/layout.c dom0/builder/ptbuild.c dom0/config/cfgtext.c
unit_lineedit := dom0/cli/lineedit.c
unit_size := dom0/cli/size.c
unit_cmdoptions := dom0/cli/options.c dom0/cli/words.c
unit_topview := dom0/cli/topview.c dom0/cli/termkeys.c
unit_complete := dom0/cli/complete.c dom0/cli/lineedit.c dom0/cli/words.c
unit_store := $(addprefix dom0/store/,path.c perm.c tree.c quota.c ops.c txn.c watch.c conn.c wire.c domain.c api.c transport.c)
unit_console := $(addprefix dom0/console/,bucket.c conlog.c conring.c filter.c logprint.c)
unit_image := $(wildcard dom0/image/*.c dom0/unpack/*.c) dom0/fs/vfs_strerror.c tests/unit/image_host.c
unit_blkif := dom0/blk/blkreq.c dom0/blk/blkring.c dom0/blk/grantcache.c
unit_devtree := hv/devtree.c
unit_devtree_LIBS := -lfdt
unit_pci := $(addprefix io/,pci.c pci_device.c msix.c irq.c mmio.c)
mm_base  := mm/frame.c mm/heap.c mm/tlb.c tests/unit/fake_arch.c
mm_all   := $(mm_base) $(addprefix mm/,paging.c p2m.c m2p.c rmap.c shadow.c shadow_pool.c \
                shadow_update.c shadow_fault.c walk.c alias.c logdirty.c share.c audit.c inspect.c)
unit_frame := $(mm_base)
unit_heap  := $(mm_base)
unit_p2m   := $(mm_all)
unit_memory := hv/memory.c hv/reservation.c hv/exchange.c hv/memory_map.c $(mm_all)
unit_exchange := $(unit_memory)
unit_dom0 := hv/elf.c hv/dom0_layout.c hv/hypercall_page.c
unit_conline := hv/console_line.c
unit_wallclock := hv/wallclock.c
unit_control := $(addprefix hv/,domctl.c domctl_shadow.c domctl_vcpu.c control.c sysctl.c sysctl_sched.c sysctl_perfc.c debug_keys.c hypercall_page.c wallclock.c) \
                $(mm_all)
unit_shadow := $(mm_all) tests/unit/shadow_world.c
unit_shadow_random := $(unit_shadow)
unit_shadow_frames := $(unit_shadow)
unit_shadow_full := $(unit_shadow)
unit_shadow_full_CFLAGS := -DGFNS=96
unit_share := $(unit_shadow)
unit_inspect := $(unit_shadow) hv/penumbra_op.c
unit_store_mode :=
unit_ptwalk := dom0/cli/ptwalk.c
sched_policies := $(addprefix sched/,policy.c wfq.c tree.c rr.c lottery.c credit.c null.c)
unit_wfq := $(sched_policies)
unit_tree := sched/tree.c
unit_sched_random := $(sched_policies) tests/unit/sched_machine.c
unit_sched_promises := $(sched_policies) tests/unit/sched_machine.c
unit_evtchn := hv/evtchn.c hv/evtchn_op.c $(mm_base) tests/unit/fake_domain.c
unit_grant := $(addprefix hv/,grant.c grant_map.c grant_copy.c) $(mm_all) tests/unit/fake_domain.c tests/unit/shadow_world.c
unit_timer := sched/timer.c tests/unit/fake_arch.c
unit_gantt := dom0/trace/gantt.c dom0/trace/tracefile.c
unit_trace := sched/trace.c hv/trace_op.c $(mm_base)
unit_sched := $(addprefix sched/,sched.c pool.c timer.c trace.c) $(sched_policies) tests/unit/fake_arch.c
unit_acpi := arch/x86/acpi.c
unit_pcid :=
unit_decode := arch/x86/decode.c tests/unit/fake_arch.c
unit_log := hv/log.c hv/lock.c
unit_lock := hv/lock.c
unit_lock_CFLAGS := -DLOCK_PATIENCE=300 -pthread
# MAP_FIXED memory of the test stands for the map of all RAM.
unit_multiboot := arch/x86/multiboot.c arch/x86/bootmem.c
unit_multiboot_CFLAGS := -D_GNU_SOURCE -DLAYOUT_RAM=0x200000000000 -fPIC
unit_multiboot_LIBS := -Wl,--no-relax
unit_options := guests/rt/options.c

# --- how they are built -----------------------------------------------------------------------

HOSTCC      ?= gcc
UNIT_CFLAGS := -std=gnu11 -g -O1 -Wall -Wextra -Werror -fno-omit-frame-pointer \
               -fsanitize=address,undefined -fno-sanitize-recover=all -Itests/unit/fake -I. -Iguests \
               -D__XEN_INTERFACE_VERSION__=0x00040e00 -D__XEN_TOOLS__ -DCONFIG_DEBUG=1

# Lazy, so that it sees the lines of every makefile that was read, before or after this point.
unit_names   = $(patsubst unit_%,%,$(filter-out %_CFLAGS %_LIBS unit_names,$(filter unit_%,$(.VARIABLES))))

.PHONY: unit
.PRECIOUS: build/unit/% build/unit/obj/%.o build/unit/own/%.o
.SECONDEXPANSION:

unit: $$(addprefix unit-,$$(sort $$(unit_names)))

unit-%: build/unit/%
	@echo "unit: $*"
	@timeout 900 $<

# Tests without flags of their own share the objects of the files under test; the others have theirs below own/NAME, so that flags
# never mix.
srcs_of = tests/unit/test_$1.c $(unit_$1)
objs_of = $(patsubst %.c,build/unit/$(if $(unit_$1_CFLAGS),own/$1,obj)/%.o,$(sort $(srcs_of)))
own_name  = $(firstword $(subst /, ,$1))
own_src   = $(patsubst $(own_name)/%,%,$1).c

build/unit/obj/%.o: %.c
	@mkdir -p $(@D)
	@$(HOSTCC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

build/unit/own/%.o: $$(call own_src,$$*)
	@mkdir -p $(@D)
	@$(HOSTCC) $(UNIT_CFLAGS) $(unit_$(call own_name,$*)_CFLAGS) -MMD -MP -c -o $@ $<

build/unit/%: $$(call objs_of,$$*)
	@echo "  UNIT    $*"
	@$(HOSTCC) $(UNIT_CFLAGS) -o $@ $(filter %.o,$^) $(unit_$*_LIBS) -lcmocka

-include $(shell find build/unit/obj build/unit/own -name '*.d' 2> /dev/null)
