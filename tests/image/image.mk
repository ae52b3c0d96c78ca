# SPDX-License-Identifier: MIT
# build/imgtool: domain 0's disk images as a program of the host, under AddressSanitizer and UBSan. It shares the unit tests' objects.

imgtool_srcs := $(wildcard tests/image/*.c dom0/image/*.c dom0/unpack/*.c) dom0/fs/vfs_strerror.c tests/unit/image_host.c

build/imgtool: $(patsubst %.c,build/unit/obj/%.o,$(imgtool_srcs))
	@mkdir -p $(@D)
	@echo "  HOSTLD  $@"
	@$(HOSTCC) $(UNIT_CFLAGS) -o $@ $(filter %.o,$^)
