#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes FOLDER, an overlay for domain 0's disk with a small Debian 12 on a virtual disk, and a configuration that boots it by PV-GRUB.
# As root, without mounting anything. Status 1, with the reason as last line of the output, if that is not possible.
#
#     dom0/debian/image.sh FOLDER [PACKAGES]      PACKAGES: where get.sh puts PV-GRUB, build/debian
#
# From the environment: MIRROR, Debian's own if not set; DEBIAN_SIZE of the virtual disk, 400M; DEBIAN_PACKAGES, more packages
# to install, separated by commas.
set -eu

out=$1
packages=${2:-build/debian}
here=$(dirname "$0")

include=linux-image-amd64,initramfs-tools,init,login,util-linux,busybox,procps,python3-minimal,tcc,libc6-dev
PATH=$PATH:/usr/sbin:/sbin

fail()
{
    echo "$*"
    exit 1
}

[ ! -e "$out/complete" ] || exit 0
[ "$(id -u)" = 0 ] || fail "only root can make Debian's files: sudo make debian-image"
command -v mmdebstrap > /dev/null || fail "mmdebstrap is missing: tests/deps.sh mmdebstrap"
"$here/get.sh" "$packages"
rm -rf "$out"
mkdir -p "$out/boot" "$out/etc/xen" "$out/disks"
cp "$packages/grub-x86_64-xen.bin" "$out/boot/"
cp "$here/debian.cfg" "$out/etc/xen/"

# Of the kernel's modules what a guest can use, and no documentation.
modules='/lib/modules/*/kernel'
set --
for left_out in drivers fs net sound; do
    set -- "$@" --dpkgopt="path-exclude=$modules/$left_out/*"
done
for kept in drivers/block/xen-blkfront.ko drivers/block/loop.ko drivers/net/xen-netfront.ko drivers/net/veth.ko \
    'fs/ext4/*' 'fs/jbd2/*' fs/mbcache.ko 'fs/overlayfs/*' 'fs/fuse/*' 'fs/autofs/*' 'fs/configfs/*' fs/binfmt_misc.ko \
    'net/bridge/bridge.ko' 'net/llc/*' 'net/802/*'; do
    set -- "$@" --dpkgopt="path-include=$modules/$kept"
done
for left_out in man doc locale info; do
    set -- "$@" --dpkgopt="path-exclude=/usr/share/$left_out/*"
done
mmdebstrap --quiet --mode=root --skip=chroot/mount --variant=minbase --include="$include${DEBIAN_PACKAGES:+,$DEBIAN_PACKAGES}" \
    --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io "$@" \
    --essential-hook="cp -R $here/files/. \"\$1\"" --customize-hook="$here/customize.sh \"\$1\"" \
    bookworm "$out/root" ${MIRROR:-} < /dev/null > "$out/mmdebstrap.log" 2>&1 ||
    fail "mmdebstrap failed: $(tail -n 1 "$out/mmdebstrap.log") (see $out/mmdebstrap.log)"

# No partitions. Nothing is left for the guest's kernel to initialise in the background.
truncate -s "${DEBIAN_SIZE:-400M}" "$out/disks/debian.img"
mke2fs -q -F -t ext4 -L debian -E root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0 -d "$out/root" "$out/disks/debian.img" ||
    fail "Debian's files do not fit into ${DEBIAN_SIZE:-400M}: make it larger with DEBIAN_SIZE"
rm -rf "$out/root"
touch "$out/complete"
