#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Boots swap-demo with a disk made for it, and looks at what it prints and at the disk afterwards.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
# Python is among what set-up brings.
command -v python3 >/dev/null || "$scripts/setup.sh"
exec python3 -B "$scripts/swap_demo.py" "$@"
