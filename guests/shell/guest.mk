# SPDX-License-Identifier: MIT
# The shell's user programs: guests/shell/user/NAME.c, linked with lib.c and the small C library
# into a static ELF of its own; programs.S collects them in the kernel's read-only data.

user_dir   := guests/shell/user
user_out   := $(GUEST_OUT)/user
user_names := $(filter-out lib,$(patsubst $(user_dir)/%.c,%,$(wildcard $(user_dir)/*.c)))
user_elfs  := $(patsubst %,$(user_out)/%.elf,$(user_names))
user_lib   := $(patsubst %.c,$(user_out)/%.o,$(user_dir)/lib.c $(wildcard hv/lib/*.c))

USER_CFLAGS := $(filter-out -mcmodel=kernel,$(GUEST_CFLAGS))

$(user_out)/%.o: %.c guests/shell/guest.mk
	@mkdir -p $(@D)
	@echo "  CC      $< (user)"
	@$(CC) $(USER_CFLAGS) -MMD -MP -c -o $@ $<

$(user_out)/%.elf: $(user_out)/$(user_dir)/%.o $(user_lib) $(user_dir)/user.lds
	@echo "  LD      $@"
	@$(LD) -nostdlib -static -z max-page-size=0x1000 -z noexecstack --gc-sections --build-id=none -s \
	    -T $(user_dir)/user.lds -o $@ $< $(user_lib)

$(user_out)/programs.S: guests/shell/guest.mk $(wildcard $(user_dir)/*.c)
	@mkdir -p $(@D)
	@{ echo '.section .rodata'; \
	   for n in $(user_names); do \
	       echo ".balign 16"; echo "image_$$n: .incbin \"$(user_out)/$$n.elf\""; echo "end_$$n:"; echo "name_$$n: .asciz \"$$n\""; \
	   done; \
	   echo '.balign 8'; echo '.globl program_table'; echo 'program_table:'; \
	   for n in $(user_names); do echo ".quad name_$$n, image_$$n, end_$$n"; done; \
	   echo '.quad 0, 0, 0'; echo '.section .note.GNU-stack, "", @progbits'; } > $@

$(user_out)/programs.o: $(user_out)/programs.S $(user_elfs)
	@$(CC) $(GUEST_CFLAGS) -c -o $@ $<

.PRECIOUS: $(user_out)/%.o

guest_shell_extra := $(user_out)/programs.o
