#!/bin/sh
# Debian packages of the peers that the benchmark runs: installed where that may be done, else named in one line.
set -eu

missing=""
for package in golang-go golang-github-pion-webrtc.v3-dev gstreamer1.0-nice gstreamer1.0-plugins-bad \
    gstreamer1.0-plugins-good gir1.2-gst-plugins-bad-1.0 python3-gst-1.0 ffmpeg mosquitto; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed \
        || missing="$missing $package"
done
command -v npm >/dev/null || missing="$missing npm"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
    echo "The benchmark's peers need these Debian packages: run  sudo apt-get install$missing" >&2
    exit 1
fi
echo "Installing for the benchmark:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2
# shellcheck disable=SC2086  # a list of packages
apt-get install --quiet=2 --yes --no-install-recommends $missing >/dev/null
