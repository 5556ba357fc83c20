#!/usr/bin/env bash
# Looks for data races: everything built with ThreadSanitizer in build-tsan, then the unit
# tests of the rooms that have threads, then black-box tests of a server under load.
#
#   tools/tsan.sh            both
#   tools/tsan.sh unit       the unit tests only
#   tools/tsan.sh load       the black-box tests only
#
# A race is a failure: a unit test ends with exit code 66, and so does a server when it is
# stopped, which the black-box tests refuse.  Reports: build-tsan/tsan.*, of which the first
# is printed.
# SLIPWAY_TSAN_BUILD is another folder than build-tsan; CC picks the compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

what=${1-all}
case $what in all | unit | load) ;; *)
    echo "usage: tools/tsan.sh [unit|load]" >&2
    exit 2
    ;;
esac
build=$(realpath -m "${SLIPWAY_TSAN_BUILD-build-tsan}")
python=$PWD/.deps/test-venv/bin/python

# GCC warns that atomic_thread_fence() is not understood by the sanitizer; we have none.
[ -e "$build/build.ninja" ] || meson setup "$build" -Dbuildtype=debugoptimized \
    -Db_sanitize=thread -Db_lundef=false >/dev/null
rooms=(base net store access jobs registry serve)
targets=()
if [ "$what" = unit ]; then
    mapfile -t targets < <(ninja -C "$build" -t targets all |
        sed -nE "s/^(engines\/[a-z]+\.so|tests\/test_($(IFS='|' && echo "${rooms[*]}"))_[a-z0-9_]+): .*/\1/p")
fi
ninja -C "$build" "${targets[@]}" >"$build/ninja.log" || { tail -n 40 "$build/ninja.log" >&2; exit 1; }

# GCC 12's runtime cannot live with more random bits in addresses than this.
calm=()
if [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)" -gt 28 ]; then
    calm=(setarch -R)
    if ! setarch -R true 2>/dev/null; then
        echo "tsan: skipped: addresses are too random here for GCC's ThreadSanitizer, and that may not be changed." >&2
        echo "tsan: sudo sysctl vm.mmap_rnd_bits=28 would help." >&2
        exit 0
    fi
fi

rm -f "$build"/tsan.*
export TSAN_OPTIONS=halt_on_error=0:exitcode=66:second_deadlock_stack=1:history_size=4:log_path=$build/tsan
[ ! -e tools/tsan.supp ] || TSAN_OPTIONS+=:suppressions=$PWD/tools/tsan.supp
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
status=0

if [ "$what" != load ]; then
    suites=()
    for room in "${rooms[@]}"; do suites+=(--suite "$room"); done
    "${calm[@]}" meson test -C "$build" --no-rebuild --print-errorlogs --timeout-multiplier 4 \
        "${suites[@]}" || status=1
fi
if [ "$what" != unit ]; then
    SLIPWAY_BIN=$build/slipway "${calm[@]}" "$python" -m pytest -q -p no:cacheprovider \
        tests/clients/test_serving_loop.py tests/clients/test_inference.py \
        tests/faults/test_concurrency.py tests/faults/test_requests.py || status=1
fi

reports=$(find "$build" -maxdepth 1 -name 'tsan.*' | wc -l)
if [ "$reports" != 0 ]; then
    echo "tsan: $reports processes had something to report; the first:"
    sed -n 1,60p "$(find "$build" -maxdepth 1 -name 'tsan.*' | sort | sed -n 1p)"
    status=1
fi
exit $status
