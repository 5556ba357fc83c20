#!/usr/bin/env bash
# `make bench`: how fast and how small the release build is, as ratios.
#
#   tests/bench/run.sh [WHAT…]     trees, commit, serving, start, data; all without
#
# Every figure is a ratio to a peer, or to another figure, measured in the same minutes on
# the same machine, because an absolute time says more about the machine than about us.  Each
# has a floor; exit code 1 when one is missed.  tests/bench/bench.py measures and prints.
#
# SLIPWAY_BIN measures another build; its folder holds tests/ and engines/ as Meson makes
# them.  SLIPWAY_BENCH_DIR is a folder on the disk to be measured (default: the build's).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=$PWD/.deps/test-venv/bin/python
export SLIPWAY_BIN=${SLIPWAY_BIN:-$PWD/build/slipway}
build=$(dirname "$SLIPWAY_BIN")
if [ ! -x "$python" ] || [ ! -x "$SLIPWAY_BIN" ]; then
    echo "bench: $SLIPWAY_BIN or the tests' Python packages are missing: run make bench." >&2
    exit 1
fi

export SLIPWAY_ENGINES=$build/engines SLIPWAY_LIBS=$PWD/.deps/engines
export SLIPWAY_BENCH_TOOLS=$build/tests SLIPWAY_BENCH_DIR=${SLIPWAY_BENCH_DIR:-$build}
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive
export PYTHONDONTWRITEBYTECODE=1

if [ "${1-}" = tracking ]; then
    shift
    exec "$python" tests/bench/tracking/tracking.py "$@"
fi
exec "$python" tests/bench/bench.py "$@"
