# SPDX-License-Identifier: MIT
# build/imgtool: domain 0's disk images as a program of the host, under AddressSanitizer and UBSan.

image_srcs := $(wildcard dom0/image/*.c dom0/unpack/*.c) dom0/fs/vfs_strerror.c
imgtool_srcs := $(wildcard tests/image/*.c) tests/unit/image_host.c $(image_srcs)

build/imgtool: $(imgtool_srcs) $(wildcard dom0/image/*.h dom0/unpack/*.h tests/image/*.h) tests/unit/image_host.h
	@mkdir -p $(@D)
	@echo "  HOSTLD  $@"
	@$(HOSTCC) $(UNIT_CFLAGS) -o $@ $(imgtool_srcs)
