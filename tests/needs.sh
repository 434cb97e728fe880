#!/bin/sh
# Debian packages that the tests drive for real: installed where that may be done, else named in one line.
set -eu

needs="mosquitto:mosquitto chromium:chromium ffprobe:ffmpeg pki:strongswan-pki faketime:faketime curl:curl node:nodejs
ip:iproute2 systemd-analyze:systemd pkg-config:pkg-config gcc:gcc"
missing=""
for need in $needs; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${need%%:*}" >/dev/null || missing="$missing ${need##*:}"
done
# What has no command of its own: strongSwan's openssl and curl plugins, systemd's headers, a font for screenshots.
for package in libstrongswan-standard-plugins libstrongswan-extra-plugins libsystemd-dev python3-dev fonts-dejavu-core; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed \
        || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ]; then
    apt() { apt-get "$@"; }
elif sudo --non-interactive true 2>/dev/null; then
    apt() { sudo --non-interactive env DEBIAN_FRONTEND=noninteractive apt-get "$@"; }
else
    echo "The tests need these Debian packages: run  sudo apt-get install$missing" >&2
    exit 1
fi
echo "Installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
apt update --quiet=2
# shellcheck disable=SC2086  # a list of packages
apt install --quiet=2 --yes --no-install-recommends $missing >/dev/null
