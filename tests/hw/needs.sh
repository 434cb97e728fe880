#!/bin/sh
# What `make hw-ssh` needs and `make test` does not: a machine that can be reached, which is this one.
set -eu

exec "$(dirname "$0")/../kit/debian.sh" "tests over SSH" "sshd:openssh-server ssh:openssh-client" "python3-venv"
