#!/bin/sh
# Debian packages that the tests drive for real.
set -eu

# What has no command of its own: strongSwan's openssl and curl plugins, systemd's headers, a font for screenshots,
# GStreamer's RTSP server.
exec "$(dirname "$0")/kit/debian.sh" tests \
    "mosquitto:mosquitto chromium:chromium ffprobe:ffmpeg pki:strongswan-pki faketime:faketime curl:curl node:nodejs
    ip:iproute2 turnserver:coturn tshark:tshark systemd-analyze:systemd v4l2-ctl:v4l-utils
    pkg-config:pkg-config gcc:gcc" \
    "libstrongswan-standard-plugins libstrongswan-extra-plugins libsystemd-dev python3-dev fonts-dejavu-core
    gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
