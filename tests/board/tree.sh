#!/bin/sh
# Makes the virtual board: a Debian 13 with libcamera's virtual cameras and an environment with picamera2 from PyPI.
#
#   tree.sh TREE        as root; what is there already is kept
set -eu
here=$(dirname "$0")
tree=$1
packages=ca-certificates,gcc,libc6-dev,python3-dev,python3-venv,python3-libcamera,libcamera-tools,python3-prctl,python3-numpy,python3-av

if [ "$(cat "$tree/.bootstrapped" 2>/dev/null)" != "$packages" ]; then
    rm -rf "$tree"
    mkdir -p "$tree"
    debootstrap --variant=minbase --include="$packages" trixie "$tree"
    echo "$packages" >"$tree/.bootstrapped"
fi
install -D -m 644 "$here/virtual.yaml" "$tree/usr/share/libcamera/pipeline/virtual/virtual.yaml"
gcc -O1 -Wall -Wextra -Werror -shared -fPIC -o "$tree/dmabuf_shim.so" "$here/dmabuf_shim.c" -ldl

# pip inside reaches what pip reaches outside: the same settings, names and authorities.
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    [ ! -e "$file" ] || cp "$file" "$tree$file"
done
"$here/enter.sh" "$tree" sh -euc '
    [ -e /opt/venv ] || python3 -m venv --system-site-packages /opt/venv
    /opt/venv/bin/pip install --quiet --editable ".[device]" --group board'
