# SPDX-License-Identifier: MIT
# The control kernel, build/dom0.elf: all of dom0/, linked with the guests' runtime. Works from the top Makefile and
# alone: `make -f dom0/dom0.mk`.

ifndef GUEST_LIB
include guests/guests.mk
endif

DOM0      ?= build/dom0.elf
DOM0_OBJ  := $(GUEST_OUT)
dom0_srcs := $(wildcard dom0/*.c dom0/*/*.c)
dom0_objs := $(patsubst %.c,$(DOM0_OBJ)/%.o,$(dom0_srcs))

.PHONY: dom0
dom0: $(DOM0)

# Linked again when a source file comes or goes.
ifneq ($(shell cat $(DOM0_OBJ)/dom0.srcs 2>/dev/null),$(dom0_srcs))
$(shell mkdir -p $(DOM0_OBJ) && echo '$(dom0_srcs)' > $(DOM0_OBJ)/dom0.srcs)
endif

$(DOM0): $(dom0_objs) $(GUEST_LIB) $(GUEST_LDS) $(DOM0_OBJ)/dom0.srcs
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(LD) $(GUEST_LDFLAGS) -o $@ $(dom0_objs) $(GUEST_LIB)
