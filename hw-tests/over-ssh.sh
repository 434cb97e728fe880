#!/bin/sh
# Tries a board over SSH, and brings its two pages into docs/boards:
#
#   over-ssh.sh [USER@]HOST [OPTIONS OF benchmarks.board]
#
# SSH (ssh) is how it is reached, ENVIRONMENT (.cache/camward-hw, in the home there) what stays on it, OUT (docs/boards) where
# the pages go here. Everything else that this puts on the board is gone again at the end, whatever happened.
set -eu

host=$1
shift
ssh=${SSH:-ssh}
environment=${ENVIRONMENT:-.cache/camward-hw}
out=${OUT:-docs/boards}
top=$(cd "$(dirname "$0")/.." && pwd)

fail() {
    echo "make hw: $1" >&2
    exit 1
}

# shellcheck disable=SC2086  # a command and its options
on_board() { $ssh -o BatchMode=yes -o ConnectTimeout=15 "$host" "$@"; }

on_board true || fail "$host cannot be reached without a password; try  $ssh $host  by hand"
there=$(on_board 'mktemp -d "${TMPDIR:-/tmp}/camward-hw.XXXXXXXX"') || fail "$host has no room for a directory"
trap 'on_board "rm -rf \"$there\"" || echo "make hw: $there is left on $host" >&2' EXIT
trap 'exit 130' INT TERM

# What git knows, as it stands here: no environments, no caches.
(cd "$top" && git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -czf - -T -) \
    | on_board "tar -xzf - -C '$there'" || fail "the files did not arrive on $host"

options=""
for option in "$@"; do
    options="$options '$(printf %s "$option" | sed "s/'/'\\\\''/g")'"
done
status=0
on_board "case '$environment' in /*) e='$environment' ;; *) e=\$HOME/'$environment' ;; esac
    mkdir '$there/tmp' && TMPDIR='$there/tmp' exec '$there/hw-tests/run.sh' \"\$e\" --out '$there/boards' $options" || status=$?
on_board "test -d '$there/boards'" || fail "$host wrote no pages (the run ended with $status)"
mkdir -p "$out"
on_board "tar -cf - -C '$there/boards' ." | tar -xf - -C "$out" || fail "the pages of $host did not arrive here"
exit "$status"
