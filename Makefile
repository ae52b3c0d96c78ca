# SPDX-License-Identifier: MIT
# Penumbra: `make help` lists the targets.

CROSS_COMPILE ?=
DEBUG         ?= 0

CC      := $(CROSS_COMPILE)gcc
LD      := $(CROSS_COMPILE)ld
NM      := $(CROSS_COMPILE)nm
OBJCOPY := $(CROSS_COMPILE)objcopy

# `make run`
CPUS      ?= 2
MEM       ?= 1G
LINUX     ?= 1
DEBIAN    ?= 0
debian    := $(filter-out 0,$(DEBIAN))
DISK      ?= build/dom0$(if $(debian),-debian).img
KVM       ?= 0
QEMU      ?= qemu-system-x86_64
QEMU_ARGS ?=
# A file that becomes the host's drive, for `import` and `export`
HOST      ?=

# Debian's own, which has the packages that we install.
PYTHON := /usr/bin/python3

, := ,

OUT      := build
HV       := $(OUT)/penumbra.elf
ISO      := $(OUT)/penumbra.iso
DTB      := $(OUT)/boot.dtb
DOM0     := $(OUT)/dom0.elf

.PHONY: all
all: $(HV) $(DTB)

include $(wildcard guests/guests.mk) $(wildcard dom0/dom0.mk)
all: $(if $(wildcard guests/guests.mk),guests) $(if $(wildcard dom0/dom0.mk),$(DOM0))

# --- the hypervisor ----------------------------------------------------------------------------

# -fpie: the top 2 GiB, which -mcmodel=kernel wants, are the guest's; hidden symbols need no table then.
# General registers only: the vector registers are the guest's.
HV_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fpie -mno-red-zone -mgeneral-regs-only \
             -fvisibility=hidden -fno-stack-protector -fcf-protection=none -fno-strict-aliasing \
             -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -U_FORTIFY_SOURCE \
             -Wall -Wextra -Werror -I. -include hv/hidden.h \
             -D__XEN_INTERFACE_VERSION__=0x00040e00 -D__XEN_TOOLS__ -DCONFIG_DEBUG=$(DEBUG)
HV_LDFLAGS := -nostdlib -static -z max-page-size=0x1000 -z noexecstack -z norelro --build-id=none \
              --fatal-warnings --no-warn-rwx-segments

HV_OBJ  := $(OUT)/hv/debug$(DEBUG)
hv_dirs := arch/x86 hv hv/lib mm sched io
hv_srcs := $(wildcard $(addsuffix /*.c,$(hv_dirs)) $(addsuffix /*.S,$(hv_dirs)))
hv_objs := $(patsubst %,$(HV_OBJ)/%.o,$(basename $(hv_srcs)))
hv_libs  = $(shell $(CC) -print-file-name=libfdt.a)

# The image is linked again when DEBUG changes, or a source file comes or goes.
ifneq ($(shell cat $(OUT)/hv/config 2>/dev/null),$(DEBUG) $(hv_srcs))
$(shell mkdir -p $(OUT)/hv && echo '$(DEBUG) $(hv_srcs)' > $(OUT)/hv/config)
endif

$(HV_OBJ)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(HV_CFLAGS) -MMD -MP -c -o $@ $<

$(HV_OBJ)/%.o: %.S
	@mkdir -p $(@D)
	@echo "  AS      $<"
	@$(CC) $(HV_CFLAGS) -MMD -MP -c -o $@ $<

$(HV_OBJ)/linker.ld: linker.ld arch/x86/layout.h
	@mkdir -p $(@D)
	@$(CC) -E -P -x c -D__ASSEMBLER__ -I. -o $@ $<

# Two passes: the table of functions for panic() is made from the first one. It lies behind the text, so no function
# moves.
$(HV): $(hv_objs) $(HV_OBJ)/linker.ld arch/x86/symbols.sh $(OUT)/hv/config
	@echo "  LD      $@"
	@arch/x86/symbols.sh < /dev/null > $(HV_OBJ)/symbols0.S
	@$(CC) -c -o $(HV_OBJ)/symbols0.o $(HV_OBJ)/symbols0.S
	@$(LD) $(HV_LDFLAGS) -T $(HV_OBJ)/linker.ld -o $(HV_OBJ)/pass1.elf $(hv_objs) $(HV_OBJ)/symbols0.o $(hv_libs)
	@$(NM) -n $(HV_OBJ)/pass1.elf | arch/x86/symbols.sh > $(HV_OBJ)/symbols.S
	@$(CC) -c -o $(HV_OBJ)/symbols.o $(HV_OBJ)/symbols.S
	@$(LD) $(HV_LDFLAGS) -T $(HV_OBJ)/linker.ld -Map $(OUT)/penumbra.map -o $@ $(hv_objs) $(HV_OBJ)/symbols.o $(hv_libs)
	@test $$(readelf -lW $@ | while read type offset va pa rest; do \
	        [ "$$type" != LOAD ] || echo $$((pa - offset)); done | uniq | wc -l) = 1 || \
	    { echo "$@: file offsets do not run with the addresses: QEMU's -kernel could not load it" >&2; rm -f $@; exit 1; }

-include $(hv_objs:.o=.d)

# --- boot image and disk --------------------------------------------------------------------------

$(DTB): hv/boot.dts
	@mkdir -p $(@D)
	@echo "  DTC     $@"
	@dtc -q -I dts -O dtb -o $@ $<

.PHONY: iso disk
iso: $(ISO)
$(ISO): $(HV) $(DTB) $(DOM0) hv/grub.cfg
	@echo "  ISO     $@"
	@rm -rf $(OUT)/iso && mkdir -p $(OUT)/iso/boot/grub
	@$(OBJCOPY) -S $(HV) $(OUT)/iso/boot/penumbra.elf
	@grub-file --is-x86-multiboot2 $(OUT)/iso/boot/penumbra.elf || \
	    { echo "$(HV) has no multiboot2 header within its first 32 KiB" >&2; exit 1; }
	@cp $(DTB) $(OUT)/iso/boot/boot.dtb
	@$(OBJCOPY) -S $(DOM0) $(OUT)/iso/boot/dom0.elf
	@cp hv/grub.cfg $(OUT)/iso/boot/grub/grub.cfg
	@grub-mkrescue -o $@ $(OUT)/iso > $(OUT)/iso.log 2>&1 || { cat $(OUT)/iso.log >&2; rm -f $@; exit 1; }

# Made once: what domain 0 has written to it stays. Unmodified guests are on it where Debian's packages can be had.
disk: $(DISK)
$(DISK): | guests $(if $(debian),debian-image)
	@mkdir -p $(@D)
	@echo "  DISK    $@"
	@overlays=; \
	for guest in $(if $(filter-out 0,$(LINUX)),pvgrub linux); do \
	    if why=$$(dom0/debian/$$guest.sh $(OUT)/$$guest); then overlays="$$overlays $(OUT)/$$guest"; \
	    else echo "note: $@ comes without $$guest: $$(echo "$$why" | tail -n 1)"; fi; \
	done; \
	dom0/mkdisk.sh $@ $(if $(debian),1G,512M) $(OUT)/guests $$overlays $(if $(debian),$(OUT)/debian-image)

# A Debian 12 on a virtual disk, for DEBIAN=1.
.PHONY: debian-image
debian-image:
	@tests/deps.sh mmdebstrap
	@dom0/debian/image.sh $(OUT)/debian-image

# --- run and check --------------------------------------------------------------------------------

# What the model has and TCG does not: named, or QEMU warns of each.
qemu_cpu_1 := -accel kvm -cpu host
qemu_cpu_0 := -accel tcg -cpu Haswell,-pcid,-x2apic,-tsc-deadline,-hle,-invpcid,-rtm
# The exit device: a panic of the hypervisor ends QEMU with status 35.
qemu_args  := $(qemu_cpu_$(KVM)) -smp $(CPUS) -m $(MEM) -display none -monitor none -no-reboot -nic none \
              -chardev stdio,id=c,signal=off -serial chardev:c \
              -device isa-debug-exit,iobase=0xf4,iosize=4

.PHONY: deps run test test-long test-linux test-debian soak fuzz fuzz-images lint help clean
deps:
	@tests/deps.sh

run:
	@tests/deps.sh
	@$(MAKE) -s --no-print-directory all iso disk
	@newer=$$(find $(OUT)/guests -maxdepth 1 -name '*.elf' -newer $(DISK) -printf '%f '); [ -z "$$newer" ] || \
	    echo "note: $(DISK) is kept as it is; newer than it: $$newer(rm it for a fresh one)"
	$(QEMU) $(qemu_args) -cdrom $(ISO) -boot d \
	    -drive file=$(DISK),format=raw,if=none,id=disk -device virtio-blk-pci,drive=disk,disable-legacy=on \
	    $(if $(HOST),-drive file=$(HOST)$(,)format=raw$(,)if=none$(,)id=host -device nvme$(,)drive=host$(,)serial=host) $(QEMU_ARGS)

# One more test at a time than there are processors: many wait. They get three times their time for that. What looks closely at the
# host's clock comes afterwards, alone.
TEST_JOBS ?= $$(($$(nproc) + 1))
short     := not long and not linux and not debian
test:
	@tests/deps.sh python3-pytest-xdist
	@$(MAKE) -s --no-print-directory -j$$(nproc) all iso unit $(OUT)/imgtool
	@export TEST_TIME_FACTOR=$${TEST_TIME_FACTOR:-3}; status=0; set -x; \
	$(PYTHON) -m pytest tests/docs tests/trace tests/boot tests/image -m "$(short) and not alone" -n $(TEST_JOBS) --dist loadgroup \
	    --junitxml=$(OUT)/junit.xml || status=$$?; \
	$(PYTHON) -m pytest tests/boot -m "$(short) and alone" --junitxml=$(OUT)/junit-alone.xml || status=$$?; \
	exit $$status

test-long:
	@tests/deps.sh
	@$(MAKE) -s --no-print-directory all iso
	$(PYTHON) -m pytest tests/boot -m long --junitxml=$(OUT)/junit-long.xml

test-linux:
	@tests/deps.sh
	@$(MAKE) -s --no-print-directory all iso
	$(PYTHON) -m pytest tests/boot -m linux --junitxml=$(OUT)/junit-linux.xml

test-debian:
	@tests/deps.sh mmdebstrap
	@$(MAKE) -s --no-print-directory all iso
	$(PYTHON) -m pytest tests/boot -m debian --junitxml=$(OUT)/junit-debian.xml

# The model of the shadow page tables, and workloads of the scheduler, with other seeds each time; then random work at domain
# 0's prompt, on 1, 2 and 4 pCPUs in turn; then Linux, PV-GRUB and toy guests beside each other. A failing seed is printed.
SEED         ?=
MINUTES      ?= 10
SHADOW_STEPS ?= 30000000
SEEDS        ?= 200000
soak:
	@tests/deps.sh
	@$(MAKE) --no-print-directory all build/unit/shadow_random build/unit/sched_random
	build/unit/shadow_random $(or $(SEED),$(shell date +%s)) $(SHADOW_STEPS)
	SEEDS=$(SEEDS) build/unit/sched_random $(or $(SEED),$(shell date +%s))
	$(PYTHON) tests/soak/soak.py $(if $(SEED),--seed $(SEED)) --minutes $(MINUTES)
	$(PYTHON) tests/soak/beside.py $(if $(SEED),--seed $(SEED)) --minutes $(MINUTES)

# The hostile guest's hypercalls by chance, against the build with the costly checks, on 1, 2 and 4 pCPUs.
fuzz:
	@tests/deps.sh
	@$(MAKE) --no-print-directory DEBUG=1 all
	$(PYTHON) tests/fuzz/fuzz.py $(if $(SEED),--seed $(SEED)) --minutes $(MINUTES)

# Damaged images of virtual disks on the host: more of them than `make test` tries.
fuzz-images:
	@tests/deps.sh
	SEED=$(or $(SEED),$(shell date +%s)) FUZZ_COUNT=$(or $(COUNT),5000) $(PYTHON) -m pytest tests/image -k "damaged or power"

lint:
	@tests/deps.sh clang-format clang-tidy cppcheck
	@tests/lint.sh

clean:
	rm -rf $(OUT)

help:
	@echo "make              everything: hypervisor, guests, domain 0, boot device tree"
	@echo "make run          boot it in QEMU through GRUB; the terminal is the serial port. Leave with 'poweroff'"
	@echo "                  CPUS=$(CPUS) MEM=$(MEM) DISK=$(DISK) KVM=$(KVM) HOST=FILE QEMU_ARGS=..."
	@echo "make iso          build/penumbra.iso, bootable from BIOS (and UEFI where grub-efi-amd64-bin is installed)"
	@echo "make disk         DISK, domain 0's file system, if it is not there yet; LINUX=0 leaves out what needs Debian's packages"
	@echo "make debian-image a Debian 12 on a virtual disk, in build/debian-image; DEBIAN=1 puts it on DISK"
	@echo "make test         unit tests, checks of docs/, disk images, boot tests; results in build/junit.xml"
	@echo "make test-long    the boot tests that take minutes; build/junit-long.xml"
	@echo "make test-linux   Debian's Linux as a guest, some ten minutes of it; build/junit-linux.xml"
	@echo "make test-debian  a whole Debian 12 as a guest, with a container in it; build/junit-debian.xml"
	@echo "make test-xen     guests and domain 0 on Debian's Xen 4.17, unpacked into build/xen; build/junit-xen.xml"
	@echo "make soak         SHADOW_STEPS=$(SHADOW_STEPS) of the shadows' model, SEEDS=$(SEEDS) workloads of the scheduler,"
	@echo "                  then random work at the prompt, MINUTES=$(MINUTES) of it, and Linux beside toy guests as long;"
	@echo "                  SEED=N to repeat one"
	@echo "make fuzz         random hypercalls of a hostile guest, against DEBUG=1; MINUTES=$(MINUTES); SEED=N to repeat one"
	@echo "make fuzz-images  damaged disk images and power cuts, on the host; COUNT=5000 of each kind; SEED=N to repeat"
	@echo "make bench        instructions per operation beside Xen 4.17's and the goals; HV=another hypervisor's image"
	@echo "make bench-disk   instructions of a request to a virtual disk"
	@echo "make bench-sched  instructions of a decision under each scheduling policy"
	@echo "make bench-fairness  what guests of several weights, and capped ones, get of a processor"
	@echo "make unit         unit tests on the host (one: make unit-NAME)"
	@echo "make lint         format, static analysis, header and size checks"
	@echo "make deps         install the Debian packages that are missing"
	@echo "make clean        remove build/"
	@echo "DEBUG=1 builds the hypervisor with its costly checks; CROSS_COMPILE=prefix- picks another compiler"

include $(wildcard tests/unit/unit.mk) $(wildcard tests/image/image.mk) $(wildcard tests/xen/xen.mk) $(wildcard tests/bench/bench.mk)
