# SPDX-License-Identifier: MIT
# `make bench`: the benchmark guest, build/bench/pvbench.elf, as the only domain, under -icount, beside the figures of the
# peer. HV=IMAGE runs another hypervisor: build/xen/xen, for example, which `make test-xen` leaves there. BENCH_ARGS: see
# run.py --help.

BENCH_OUT := $(OUT)/bench
BENCH_ELF := $(BENCH_OUT)/pvbench.elf
BENCH_LDS := tests/bench/pvbench/pvbench.lds

# The measured instructions are the guest's own too: no code but its own, nothing turned into calls of memset.
BENCH_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie -mcmodel=kernel \
                -mno-red-zone -mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables \
                -fno-strict-aliasing -fno-tree-loop-distribute-patterns -fcf-protection=none -U_FORTIFY_SOURCE \
                -D__XEN_INTERFACE_VERSION__=0x00040e00
BENCH_LDFLAGS := -nostdlib -static -z max-page-size=0x1000 -z noexecstack --build-id=none --fatal-warnings

bench_srcs := $(wildcard tests/bench/pvbench/*.c tests/bench/pvbench/*.S)
bench_objs := $(patsubst tests/bench/%,$(BENCH_OUT)/%.o,$(bench_srcs))

$(BENCH_OUT)/%.o: tests/bench/% tests/bench/bench.mk
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(BENCH_CFLAGS) -MMD -MP -c -o $@ $<

$(BENCH_ELF): $(bench_objs) $(BENCH_LDS)
	@echo "  LD      $@"
	@$(LD) $(BENCH_LDFLAGS) -T $(BENCH_LDS) -o $@ $(bench_objs)

-include $(bench_objs:.o=.d)

# An image that the user names is not ours to build.
.PHONY: bench
ifeq ($(origin HV),command line)
bench: $(BENCH_ELF)
else
bench: $(BENCH_ELF) $(HV)
endif
	@$(PYTHON) tests/bench/run.py --hv $(HV) $(BENCH_ARGS)

.PHONY: bench-fairness
bench-fairness: all disk
	@$(PYTHON) tests/bench/fairness.py --disk $(DISK) $(BENCH_ARGS)

.PHONY: bench-disk
bench-disk: all
	@$(PYTHON) tests/bench/disk.py $(BENCH_ARGS)

# On the host, with the hypervisor's own flags: single steps are counted.
.PHONY: bench-sched
bench-sched:
	@mkdir -p $(BENCH_OUT)
	@$(HOSTCC) -std=gnu11 -O2 -fno-omit-frame-pointer -mno-red-zone -fno-stack-protector -fcf-protection=none \
	    -fno-strict-aliasing -Wall -Wextra -I. -D__XEN_INTERFACE_VERSION__=0x00040e00 -D__XEN_TOOLS__ \
	    -o $(BENCH_OUT)/sched_cost tests/bench/sched_cost.c $(sched_policies)
	@$(BENCH_OUT)/sched_cost $(BENCH_ARGS)
