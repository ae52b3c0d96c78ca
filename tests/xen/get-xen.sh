#!/bin/sh
# SPDX-License-Identifier: MIT
# Puts Debian's Xen 4.17 into FOLDER (default build/xen) as FOLDER/xen, ready for QEMU's -kernel. Nothing is installed: the package
# is downloaded and unpacked there. Status 1, with the reason as last line of the output, if it cannot be had.
set -u

package=xen-hypervisor-4.17-amd64
folder=${1:-build/xen}

give_up()
{
    echo "$*"
    exit 1
}

[ ! -s "$folder/xen" ] || exit 0
mkdir -p "$folder" && cd "$folder" || give_up "cannot make the folder $folder"
for tool in apt-get dpkg-deb gzip; do
    command -v $tool > /dev/null || give_up "no $tool here: not a Debian system?"
done

# An installed hypervisor does as well.
if [ -r /boot/xen-4.17-amd64.gz ]; then
    image=/boot/xen-4.17-amd64.gz
else
    if ! timeout 120 apt-get download -q $package > download.log 2>&1; then
        # The system's package lists are missing or old: a list of our own, for this folder alone.
        mkdir -p lists/partial cache/archives/partial
        own="-o Dir::State::lists=$PWD/lists -o Dir::Cache=$PWD/cache"
        timeout 120 apt-get $own update -q >> download.log 2>&1 &&
            timeout 120 apt-get $own download -q $package >> download.log 2>&1 ||
            give_up "cannot download Debian's package $package (see $folder/download.log)"
    fi
    dpkg-deb -x "$(ls -t ${package}_*.deb | head -n 1)" unpacked || give_up "cannot unpack $package"
    image=unpacked/boot/xen-4.17-amd64.gz
fi
gzip -dc "$image" > xen.new && mv xen.new xen || give_up "cannot unpack $image"
