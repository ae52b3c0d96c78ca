# SPDX-License-Identifier: MIT
# The PV runtime and the toy guests: every folder guests/NAME with a main.c becomes
# build/guests/NAME.elf, linked with the runtime, build/guests/librt.a. Works from the top Makefile
# and alone: `make -f guests/guests.mk`.
#
# For other kernels on the runtime (dom0): compile with $(GUEST_CFLAGS), link with
#     $(LD) $(GUEST_LDFLAGS) -o X.elf OBJECTS $(GUEST_LIB)      and depend on $(GUEST_LIB) $(GUEST_LDS).

CC      := $(CROSS_COMPILE)gcc
LD      := $(CROSS_COMPILE)ld
AR      := $(CROSS_COMPILE)ar
OBJCOPY := $(CROSS_COMPILE)objcopy

GUEST_OUT := build/guests
GUEST_LIB := $(GUEST_OUT)/librt.a
GUEST_LDS := guests/rt/rt.lds

# The kernel lives in the top 2 GiB (-mcmodel=kernel) and takes event upcalls on the stack it runs
# on, hence no red zone. General registers only: nobody saves a vector register here.
GUEST_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie -mcmodel=kernel \
                -mno-red-zone -mgeneral-regs-only -fno-omit-frame-pointer -fno-stack-protector \
                -fno-asynchronous-unwind-tables -fno-strict-aliasing -fcf-protection=none -U_FORTIFY_SOURCE \
                -ffunction-sections -fdata-sections -I. -Iguests \
                -D__XEN_INTERFACE_VERSION__=0x00040e00 -D__XEN_TOOLS__
GUEST_LDFLAGS := -nostdlib -static -z max-page-size=0x1000 -z noexecstack --gc-sections --build-id=none \
                 --fatal-warnings -T $(GUEST_LDS)

guest_names   := $(filter-out rt,$(patsubst guests/%/main.c,%,$(wildcard guests/*/main.c)))
guest_elfs    := $(patsubst %,$(GUEST_OUT)/%.elf,$(guest_names))
guest_rt_objs := $(patsubst %,$(GUEST_OUT)/%.o,$(basename $(wildcard guests/rt/*.c guests/rt/*.S hv/lib/*.c)))

.PHONY: guests
guests: $(guest_elfs)

$(GUEST_OUT)/%.o: %.c guests/guests.mk
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

$(GUEST_OUT)/%.o: %.S guests/guests.mk
	@mkdir -p $(@D)
	@echo "  AS      $<"
	@$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

$(GUEST_LIB): $(guest_rt_objs)
	@echo "  AR      $@"
	@rm -f $@ && $(AR) crs $@ $^

# A guest with parts of another kind has a guest.mk, which puts their objects into guest_NAME_extra.
-include $(wildcard guests/*/guest.mk)

define guest_rule
guest_$(1)_objs := $$(patsubst %.c,$$(GUEST_OUT)/%.o,$$(wildcard guests/$(1)/*.c))
$$(GUEST_OUT)/$(1).elf: $$(guest_$(1)_objs) $$(guest_$(1)_extra) $$(GUEST_LIB) $$(GUEST_LDS)
	@echo "  LD      $$@"
	@$$(LD) $$(GUEST_LDFLAGS) -o $$@ $$(guest_$(1)_objs) $$(guest_$(1)_extra) $$(GUEST_LIB)
endef
$(foreach name,$(guest_names),$(eval $(call guest_rule,$(name))))

-include $(shell find $(GUEST_OUT) -name '*.d' 2>/dev/null)
