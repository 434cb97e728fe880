#!/bin/sh
# Installs Debian packages where that may be done, else names them in one line.
#
#   debian.sh WHO "COMMAND:PACKAGE ..." "PACKAGE ..."
#
# A package of the first list is there when its command is; one of the second, which has none, when dpkg says so.
set -eu

missing=""
for need in $2; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${need%%:*}" >/dev/null || missing="$missing ${need##*:}"
done
for package in $3; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed \
        || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ]; then
    apt() { apt-get "$@"; }
elif sudo --non-interactive true 2>/dev/null; then
    apt() { sudo --non-interactive env DEBIAN_FRONTEND=noninteractive apt-get "$@"; }
else
    echo "The $1 need these Debian packages: run  sudo apt-get install$missing" >&2
    exit 1
fi
echo "Installing for the $1:$missing"
export DEBIAN_FRONTEND=noninteractive
apt update --quiet=2
# shellcheck disable=SC2086  # a list of packages
apt install --quiet=2 --yes --no-install-recommends $missing >/dev/null
