#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes an initramfs of BusyBox and a few modules: it mounts the first virtual disk at /mnt, if it holds a file system, and
# gives a shell on the console. FOLDER is what get.sh has filled.
#
#     dom0/debian/initramfs.sh FOLDER OUT
set -eu

from=$1
out=$2
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM

mkdir -p "$stage/bin" "$stage/sbin" "$stage/dev" "$stage/proc" "$stage/sys" "$stage/mnt" "$stage/etc" "$stage/tmp" "$stage/root"
cp "$from/busybox" "$stage/bin/busybox"
cp -R "$from/modules" "$stage/modules"
for name in $("$from/busybox" --list | grep -vx busybox); do
    ln -s busybox "$stage/bin/$name"
done
# The kernel runs /init at its start, and /sbin/poweroff when domain 0 asks for a shutdown.
ln -s bin/busybox "$stage/init"
ln -s ../bin/busybox "$stage/sbin/poweroff"
ln -s ../bin/busybox "$stage/sbin/reboot"

cat > "$stage/etc/inittab" << 'END'
::sysinit:/etc/rc
hvc0::respawn:-/bin/sh
::shutdown:/bin/umount -a -r
END

cat > "$stage/etc/rc" << 'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for m in crc16 crc32c_generic mbcache jbd2 ext4 xen-blkfront; do
    insmod /modules/$m.ko
done
# A new vCPU (vcpu-set) is announced by the kernel; to use it is what elsewhere udev does.
uevent /etc/plugged &
disk=/dev/xvda
tries=50
while [ -e /sys/bus/xen/devices/vbd-51712 ] && [ ! -b $disk ] && [ $tries -gt 0 ]; do
    usleep 100000
    tries=$((tries - 1))
done
[ ! -b ${disk}1 ] || disk=${disk}1
[ ! -b $disk ] || ! mount $disk /mnt || echo "$disk is on /mnt"
echo "Linux $(uname -r) on $(cat /sys/hypervisor/type), $(nproc) CPU(s); 'poweroff' ends it"
END
cat > "$stage/etc/plugged" << 'END'
#!/bin/sh
[ "$SUBSYSTEM-$ACTION" != cpu-add ] || echo 1 > "/sys$DEVPATH/online"
END
chmod 755 "$stage/etc/rc" "$stage/etc/plugged"

(cd "$stage" && find . | bin/busybox cpio -o -H newc 2> /dev/null) | gzip -1 > "$out.new"
mv "$out.new" "$out"
