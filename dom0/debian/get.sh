#!/bin/sh
# SPDX-License-Identifier: MIT
# Puts what a Linux guest is made of into FOLDER, unmodified, from Debian's packages:
#
#     vmlinuz                 the kernel
#     modules/*.ko            its virtual disk's driver, and ext4
#     busybox                 static
#     grub-x86_64-xen.bin     PV-GRUB
#
# Nothing is installed: packages are downloaded and unpacked there. Status 1, with the reason as last line of the output,
# if they cannot be had; once all is there it is not looked for again.
#
#     dom0/debian/get.sh FOLDER
set -u

folder=${1:?usage: dom0/debian/get.sh FOLDER}
modules="crc16 crc32c_generic mbcache jbd2 ext4 xen-blkfront"

give_up()
{
    echo "$*"
    exit 1
}

[ ! -e "$folder/complete" ] || exit 0
mkdir -p "$folder/unpacked" && cd "$folder" || give_up "cannot make the folder $folder"
for tool in apt-get dpkg-deb tar gzip; do
    command -v $tool > /dev/null || give_up "no $tool here: not a Debian system?"
done

# The newest file of a package that is here.
deb_of() # PACKAGE
{
    ls -t "$1"_*.deb 2> /dev/null | head -n 1
}

own=
download() # PACKAGE
{
    [ -z "$(deb_of "$1")" ] || return 0
    timeout 300 apt-get $own download -q "$1" >> download.log 2>&1 && return 0
    # The system's package lists are missing or old: a list of our own, for this folder alone.
    [ -z "$own" ] || return 1
    mkdir -p lists/partial cache/archives/partial
    own="-o Dir::State::lists=$PWD/lists -o Dir::Cache=$PWD/cache"
    timeout 300 apt-get $own update -q >> download.log 2>&1 && timeout 300 apt-get $own download -q "$1" >> download.log 2>&1
}

unpack() # PACKAGE PATTERN...
{
    package=$1
    shift
    download "$package" || give_up "cannot download Debian's package $package (see $folder/download.log)"
    dpkg-deb --fsys-tarfile "$(deb_of "$package")" | tar -x -C unpacked --wildcards "$@" ||
        give_up "cannot unpack $package: remove $folder and try again"
}

: > download.log
download linux-image-amd64 || give_up "cannot download Debian's package linux-image-amd64 (see $folder/download.log)"
kernel=$(dpkg-deb -f "$(deb_of linux-image-amd64)" Depends | sed -n 's/^\(linux-image-[^ ,]*\).*/\1/p')
[ -n "$kernel" ] || give_up "linux-image-amd64 does not name its kernel"
unpack "$kernel" './boot/vmlinuz-*' $(for m in $modules; do echo "*/$m.ko"; done)
unpack busybox-static ./bin/busybox
unpack grub-xen-host '*/grub-x86_64-xen.bin'

mkdir -p modules
for m in $modules; do
    cp "$(find unpacked -name "$m.ko" | head -n 1)" modules/ || give_up "$kernel has no module $m"
done
cp unpacked/boot/vmlinuz-* vmlinuz && cp unpacked/bin/busybox busybox &&
    cp "$(find unpacked -name grub-x86_64-xen.bin)" . || give_up "the packages lack what is looked for in them"
rm -rf unpacked lists cache ./*.deb
echo "$kernel" > complete
