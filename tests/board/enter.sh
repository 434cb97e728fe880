#!/bin/sh
# Runs a command on the virtual board, in this checkout; its mounts end with it. Root needed.
#
#   enter.sh TREE COMMAND...
set -eu
TREE=$(realpath "$1")
CHECKOUT=$(realpath "$(dirname "$0")/../..")
export TREE CHECKOUT
shift
# shellcheck disable=SC2016  # for the shell within
exec unshare --mount --propagation private sh -euc '
    mkdir -p "$TREE/camward"
    mount --bind "$CHECKOUT" "$TREE/camward"
    mount --bind /dev "$TREE/dev"
    mount -t proc proc "$TREE/proc"
    exec env --unset TREE --unset CHECKOUT chroot "$TREE" \
        env HOME=/root PATH=/opt/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -euc "cd /camward; exec \"\$@\"" sh "$@"' sh "$@"
