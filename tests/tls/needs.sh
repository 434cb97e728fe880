#!/bin/sh
# What `make tls` needs and `make test` does not.
set -eu

exec "$(dirname "$0")/../kit/debian.sh" "TLS scans" "testssl:testssl.sh" ""
