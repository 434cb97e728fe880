#!/bin/sh
# Debian packages that the benchmarks measure against: installed where that may be done, else named in one line.
set -eu

needs="mosquitto:mosquitto ffmpeg:ffmpeg go:golang-go node:nodejs npm:npm"
missing=""
for need in $needs; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${need%%:*}" >/dev/null || missing="$missing ${need##*:}"
done
for package in golang-github-pion-webrtc.v3-dev python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice \
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed \
        || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ]; then
    apt() { apt-get "$@"; }
elif sudo --non-interactive true 2>/dev/null; then
    apt() { sudo --non-interactive env DEBIAN_FRONTEND=noninteractive apt-get "$@"; }
else
    echo "The benchmarks need these Debian packages: run  sudo apt-get install$missing" >&2
    exit 1
fi
echo "Installing for the benchmarks:$missing"
export DEBIAN_FRONTEND=noninteractive
apt update --quiet=2
# shellcheck disable=SC2086  # a list of packages
apt install --quiet=2 --yes --no-install-recommends $missing >/dev/null
