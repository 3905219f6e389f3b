#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Boots a part of the benchmark in QEMU, and shows in which functions the instructions of its rows are.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
# Python is among what set-up brings.
command -v python3 >/dev/null || "$scripts/setup.sh"
exec python3 -B "$scripts/bench_profile.py" "$@"
