# SPDX-License-Identifier: MIT
# The beginning of linux.sh and pvgrub.sh, which source it with their own arguments:
#
#     FOLDER [PACKAGES]      the overlay to make; where get.sh puts Debian's packages, build/debian
#
# Sets out, packages and here, and makes an empty FOLDER with what every overlay has. A FOLDER that is complete ends the script with
# status 0; packages that cannot be had end it with status 1 and the reason as last line of the output.
set -eu

out=$1
packages=${2:-build/debian}
here=$(dirname "$0")
PATH=$PATH:/usr/sbin:/sbin

[ ! -e "$out/complete" ] || exit 0
"$here/get.sh" "$packages"
rm -rf "$out"
mkdir -p "$out/boot" "$out/etc/xen" "$out/disks"
