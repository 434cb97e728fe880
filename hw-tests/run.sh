#!/bin/sh
# Tries the board that this runs on, in an environment of its own that sees the system's picamera2:
#
#   run.sh ENVIRONMENT [OPTIONS OF benchmarks.board]
#
# The environment is made by the first run, and is all that stays: its caches are in it.
set -eu

environment=$1
shift
cd "$(dirname "$0")/.."
python3 -c 'import venv, ensurepip' 2>/dev/null || {
    echo "This board has no python3 with venv: run  sudo apt-get install python3-venv" >&2
    exit 1
}
XDG_CACHE_HOME=$environment/cache PYTHONDONTWRITEBYTECODE=1
export XDG_CACHE_HOME PYTHONDONTWRITEBYTECODE
if ! [ -x "$environment/bin/pip" ]; then
    echo "Making an environment in $environment (once; a minute, and some on a small board)." >&2
    python3 -m venv --system-site-packages "$environment"
fi
pip="$environment/bin/pip --disable-pip-version-check --quiet"
$pip install --upgrade 'pip>=25.1' >&2
$pip install '.[device,fleet]' --group hw >&2
exec "$environment/bin/python" -m benchmarks.board "$@"
