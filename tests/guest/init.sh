#!/bin/busybox sh
# The guest's first process: the outer machine's root, its own /dev, /run and udev, one command, and off.
/bin/busybox --install -s /bin
mkdir -p /proc /root
mount -t proc proc /proc

while read -r module; do
    insmod "/modules/$module"
done </modules/order

mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000 root /root
mount -t proc proc /root/proc
mount -t sysfs sys /root/sys
mount -t devtmpfs dev /root/dev
mount -t tmpfs run /root/run
mkdir /root/dev/shm /root/run/shared
mount -t tmpfs shm /root/dev/shm
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 shared /root/run/shared

export HOME=/run TMPDIR=/run PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
umount /proc
exec switch_root /root /bin/sh -c '
    /lib/systemd/systemd-udevd --daemon 2>/dev/null
    /bin/sh /run/shared/command
    echo $? >/run/shared/status
    busybox poweroff -f
'
