#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Boots the stress run: random requests to the manager on the real kernel, held to what they must do.
set -eu
scripts=$(cd "$(dirname "$0")" && pwd)
# Python is among what set-up brings.
command -v python3 >/dev/null || "$scripts/setup.sh"
exec python3 -B "$scripts/stress.py" "$@"
