#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes FOLDER, an overlay for domain 0's disk with Debian's Linux as a guest that domain 0 starts itself: the kernel, an initramfs that
# gives a shell, a configuration and an empty virtual disk.
#
#     dom0/debian/linux.sh FOLDER [PACKAGES]      overlay.sh has the arguments
. "$(dirname "$0")/overlay.sh"

# The ELF file in a bzImage that is packed with xz, by the boot protocol: setup sectors at byte 497, payload's offset and length at 584.
unpack_kernel() # BZIMAGE
{
    set -- "$1" $(od -An -tu1 -j497 -N1 "$1") $(od -An -tu4 -j584 -N8 "$1")
    tail -c +$((($2 + 1) * 512 + $3 + 1)) "$1" | head -c "$4" | xz -dc --single-stream
}

# Both as it is in the package and unpacked: domain 0 can unpack it as well, but that takes it seconds at each start.
cp "$packages/vmlinuz" "$out/boot/vmlinuz"
unpack_kernel "$packages/vmlinuz" > "$out/boot/vmlinux" || ln -f "$out/boot/vmlinuz" "$out/boot/vmlinux"
"$here/initramfs.sh" "$packages" "$out/boot/initrd.gz"

cat > "$out/etc/xen/linux.cfg" << 'END'
# Debian's Linux with a shell from BusyBox: `create -c linux`. /boot/vmlinuz, the same kernel as it is in Debian's package, works too.
name = "linux"
kernel = "/boot/vmlinux"
ramdisk = "/boot/initrd.gz"
cmdline = "console=hvc0"
memory = 256
vcpus = 1
disk = ['/disks/linux.img,raw,xvda,w']
END

truncate -s 64M "$out/disks/linux.img"
mke2fs -q -F -t ext4 -L linux -E root_owner=0:0 "$out/disks/linux.img"
touch "$out/complete"
