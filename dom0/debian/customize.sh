#!/bin/sh
# SPDX-License-Identifier: MIT
# The last steps in a new Debian's root: mmdebstrap calls this with its path.
set -eu
root=$1

# The password is "penumbra": crypt's $6$ with the salt "penumbra".
hash='$6$penumbra$lWdtn91MmQ0li4QkXKrJ/JsqPJp2sFYA3V0qAgVY2QdzXPa6TyBXSQU6ymTMMLZr6D2mgXKFCvKTPPyX3XihW0'
sed -i "s|^root:[^:]*:|root:$hash:|" "$root/etc/shadow"
# Known from the first boot on: no questions, no presets, no second start of its services.
: > "$root/etc/machine-id"
# There is no network to fetch updates from, and no disk that needs trimming or checking by the clock.
for timer in apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim; do
    ln -sf /dev/null "$root/etc/systemd/system/$timer.timer"
done
ln -sf /dev/null "$root/etc/systemd/system/e2scrub_reap.service"
# The console is hvc0; the others cannot be seen.
ln -sf /dev/null "$root/etc/systemd/system/getty-static.service"
rm -f "$root/etc/systemd/system/getty.target.wants/getty@tty1.service"
# It was for the installation only.
sed -i '/^force-unsafe-io$/d' "$root"/etc/dpkg/dpkg.cfg.d/*mmdebstrap
