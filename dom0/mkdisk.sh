#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes dom0's disk: ext2 over the whole device, sparse, with the guests' kernels in /boot, their configurations in
# /etc/xen and a place for virtual disks, /disks. Never overwrites: what is there is a user's data.
#
#     dom0/mkdisk.sh OUT [SIZE [FOLDER [OVERLAY...]]]
#
# SIZE 512M, FOLDER of the guests' *.elf build/guests. An OVERLAY is a folder whose boot/, etc/ and disks/ go to the disk too.
set -eu

fail()
{
    echo "mkdisk.sh: $*" >&2
    exit 1
}

[ $# -ge 1 ] || fail "usage: dom0/mkdisk.sh OUT [SIZE [FOLDER [OVERLAY...]]]"
out=$1
size=${2:-512M}
guests=${3:-build/guests}
[ $# -lt 3 ] && shift $# || shift 3
here=$(dirname "$0")
PATH=$PATH:/usr/sbin:/sbin

command -v mke2fs > /dev/null || fail "mke2fs is missing: install e2fsprogs"
[ ! -e "$out" ] || fail "$out exists: remove it first if its content is not wanted"
ls "$guests"/*.elf > /dev/null 2>&1 || fail "no kernels in $guests: build the guests first"

stage=$(mktemp -d)
trap 'rm -rf "$stage" "$out.new"' EXIT
trap 'exit 1' HUP INT TERM

mkdir -p "$stage/root/boot" "$stage/root/etc/xen" "$stage/root/disks"
for elf in "$guests"/*.elf; do
    # Debug information is for the host.
    ${OBJCOPY:-objcopy} -S "$elf" "$stage/root/boot/$(basename "$elf")"
done
cp "$here"/disk/etc/xen/*.cfg "$stage/root/etc/xen/"
truncate -s 16M "$stage/root/disks/diskio.img"
for overlay; do
    for part in boot etc disks; do
        [ ! -d "$overlay/$part" ] || cp -R --sparse=always "$overlay/$part" "$stage/root/"
    done
done

# dir_index and resize_inode are left out: dom0's ext2 has no use for them. 4 KiB blocks, as guests' I/O comes in pages.
# The journal keeps metadata whole when the power goes: docs/storage.md.
rm -f "$out.new"
truncate -s "$size" "$out.new"
bytes=$(stat -c %s "$out.new")
[ "$bytes" -ge 536870912 ] || fail "SIZE $size is too small: 512M at least"
mke2fs -q -F -t ext2 -b 4096 -j -J size=4 -O '^dir_index,^resize_inode' -L dom0 -E root_owner=0:0 -d "$stage/root" "$out.new"
mv "$out.new" "$out"
