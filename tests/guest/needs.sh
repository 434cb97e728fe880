#!/bin/sh
# What `make guest` needs and `make test` does not: an emulator, and a Debian kernel, which is unpacked and not installed.
#
# The kernel is the one for whole x86-64 machines: the cloud's has no camera drivers. It stays in $KERNEL between runs.
set -eu

"$(dirname "$0")/../kit/debian.sh" "guest's tests" \
    "qemu-system-x86_64:qemu-system-x86 modprobe:kmod udevadm:udev v4l2-ctl:v4l-utils" "busybox-static"

KERNEL=/var/tmp/camward-guest/kernel
PATH="$PATH:/usr/sbin:/sbin"
[ -e "$KERNEL/ready" ] && exit 0

rm -rf "$KERNEL" && mkdir -p "$KERNEL"
cd "$KERNEL"
[ "$(id -u)" != 0 ] || apt-get --quiet=2 update # an old list names a kernel that is no longer there
package=$(apt-cache depends linux-image-amd64 | awk '/Depends:/ { print $2; exit }')
echo "Fetching for the guest: $package"
apt-get --quiet=2 --option APT::Sandbox::User=root download "$package"
dpkg-deb --extract "$package"_*.deb .
rm "$package"_*.deb
depmod --basedir . "${package#linux-image-}"
touch ready
