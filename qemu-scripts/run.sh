#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Boots a root task on the seL4 kernel in QEMU; its serial output is this script's output.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
# Python is among what set-up brings.
command -v python3 >/dev/null || "$scripts/setup.sh"
exec python3 -B "$scripts/run.py" "$@"
