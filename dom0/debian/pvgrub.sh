#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes FOLDER, an overlay for domain 0's disk with PV-GRUB, a configuration for it and a virtual disk that it boots Linux from.
#
#     dom0/debian/pvgrub.sh FOLDER [PACKAGES]      overlay.sh has the arguments
. "$(dirname "$0")/overlay.sh"

mkdir -p "$out/stage/boot/grub"
cp "$packages/grub-x86_64-xen.bin" "$out/boot/"

cat > "$out/etc/xen/pvgrub.cfg" << 'END'
# PV-GRUB, which reads /boot/grub/grub.cfg on its virtual disk and boots the Linux there: `create -c pvgrub`.
name = "pvgrub"
kernel = "/boot/grub-x86_64-xen.bin"
memory = 256
disk = ['/disks/pvgrub.img,raw,xvda,w']
END

cat > "$out/stage/boot/grub/grub.cfg" << 'END'
set timeout=5
menuentry "Linux, to a BusyBox shell" {
    linux /boot/vmlinuz console=hvc0
    initrd /boot/initrd.gz
}
menuentry "Linux, quietly" {
    linux /boot/vmlinuz console=hvc0 quiet
    initrd /boot/initrd.gz
}
END
cp "$packages/vmlinuz" "$out/stage/boot/vmlinuz"
"$here/initramfs.sh" "$packages" "$out/stage/boot/initrd.gz"

# No partitions: the disk is the file system.
truncate -s 24M "$out/disks/pvgrub.img"
mke2fs -q -F -t ext4 -L pvgrub -E root_owner=0:0 -d "$out/stage" "$out/disks/pvgrub.img"
rm -r "$out/stage"
touch "$out/complete"
