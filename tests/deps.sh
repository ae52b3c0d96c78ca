#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that building, running and testing need and that are not here yet. Calls apt-get only if something is
# missing; with --check it only names what is.
set -eu

packages="gcc make libc6-dev libxen-dev libfdt-dev libcmocka-dev device-tree-compiler
    qemu-system-x86 qemu-utils grub-pc-bin grub-common xorriso mtools e2fsprogs gzip xz-utils zstd
    python3 python3-pytest python3-pexpect $*"
check=false
case " $packages " in *" --check "*) check=true ;; esac

installed=" $(dpkg-query -W -f '${Status} ${Package}\n' 2>/dev/null | sed -n 's/.* ok installed //p' | tr '\n' ' ')"
missing=
for package in $packages; do
    case $installed in
        *" $package "*) ;;
        *) [ "$package" = --check ] || missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0
if $check; then
    echo "missing packages:$missing" >&2
    exit 1
fi

command -v apt-get > /dev/null || {
    echo "please install:$missing (no apt-get here)" >&2
    exit 1
}
root=
if [ "$(id -u)" != 0 ]; then
    root=sudo
    command -v sudo > /dev/null || {
        echo "please install as root: apt-get install$missing" >&2
        exit 1
    }
fi
echo "installing:$missing"
$root apt-get update -q
$root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
