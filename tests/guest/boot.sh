#!/bin/sh
# Runs a command in a virtual machine of its own, with a Debian kernel and this machine's files, and ends as it ended.
#
#   boot.sh COMMAND [ARGUMENT ...]
#
# The root is this machine's, read-only over 9p, so that the checkout and its environment run there unchanged; /run, which
# is TMPDIR, is the guest's own. No KVM is asked for. The guest's clock goes by the instructions that it has executed (2 ns
# each), so that it is one and the same slow board on every machine, however busy. needs.sh goes before.
set -eu

GUEST=/var/tmp/camward-guest
LONGEST_S=1500
PATH="$PATH:/usr/sbin:/sbin"
here=$(dirname "$(realpath "$0")")
version=$(ls "$GUEST/kernel/lib/modules")

work=$(mktemp --directory "$GUEST/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/bin" "$work/root/modules" "$work/shared"
cp /bin/busybox "$work/root/bin/"
cp "$here/init.sh" "$work/root/init"
for module in virtio_pci 9pnet_virtio 9p; do
    modprobe --dirname "$GUEST/kernel" --set-version "$version" --show-depends "$module"
done | awk '/^insmod/ && !seen[$2]++ { print $2 }' >"$work/modules"
xargs cp --target-directory "$work/root/modules" <"$work/modules"
sed 's|.*/||' "$work/modules" >"$work/root/modules/order"
(cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$work/initramfs"

{
    echo "export CAMWARD_GUEST_MODULES='$GUEST/kernel'"
    echo "cd '$PWD' && exec $*"
} >"$work/shared/command"

timeout "$LONGEST_S" qemu-system-x86_64 -M q35 -cpu max -icount shift=1,sleep=on -m 1536 -nodefaults -no-reboot -display none -serial stdio \
    -kernel "$GUEST/kernel/boot/vmlinuz-$version" -initrd "$work/initramfs" -append "console=ttyS0 quiet panic=-1" \
    -virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap \
    -virtfs "local,path=$work/shared,mount_tag=shared,security_model=none" </dev/null

status=$(cat "$work/shared/status" 2>/dev/null) || { echo "The guest ended without a word." >&2; exit 1; }
exit "$status"
