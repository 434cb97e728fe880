#!/bin/sh
# Debian packages that the benchmarks measure against.
set -eu

exec "$(dirname "$0")/../tests/kit/debian.sh" benchmarks \
    "mosquitto:mosquitto ffmpeg:ffmpeg go:golang-go node:nodejs npm:npm" \
    "python3-venv python3-dev golang-github-pion-webrtc.v3-dev python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
