#!/usr/bin/env bash
# Runs every test of the sanitizer build (build-test) and says at the end how it went.
#
#   tools/run_tests.sh [ARGUMENT…]   arguments go to pytest, e.g. -k mlflow -x
#
# First Meson's tests (unit tests and checks of the source), then the unit tests of the rooms
# with threads under ThreadSanitizer (build-tsan), then the black-box tests in tests/, which
# start build-test/slipway themselves; the few that measure take build/slipway.
# All of them are run even when some fail. Logs: build-test/meson-logs, build-test/pytest.log.
# `make test` builds first; see there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

test_build=$PWD/build-test
python=$PWD/.deps/test-venv/bin/python
if [ ! -e "$test_build/build.ninja" ] || [ ! -x "$python" ]; then
    echo "run_tests: nothing is built yet, or the tests' Python packages are missing: run make test." >&2
    exit 1
fi

# A sanitizer's finding ends the process, so that no test passes over it.
export ASAN_OPTIONS=halt_on_error=1:abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1
export LSAN_OPTIONS=report_objects=1
export SLIPWAY_BIN=$test_build/slipway
export SLIPWAY_TEST_TOOLS=$test_build/tests
export SLIPWAY_RELEASE_BIN=$PWD/build/slipway
export OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=1 # idle threads must not eat a small machine
export GIT_PYTHON_REFRESH=quiet

failed=()

echo "== Meson's tests"
meson_log=$test_build/meson-summary.log
meson test -C build-test --no-rebuild --print-errorlogs --timeout-multiplier 4 2>&1 |
    tee "$meson_log" || failed+=("Meson's tests")

echo "== Races: the rooms with threads once more, with ThreadSanitizer"
race_log=$test_build/race-summary.log
tools/tsan.sh unit 2>&1 | tee "$race_log" || failed+=("the search for races")

echo "== Black-box tests"
pytest_log=$test_build/pytest.log
: >"$pytest_log"
if [ -n "$(find tests -name 'test_*.py' -print -quit)" ]; then
    "$python" -m pytest tests -q -p no:cacheprovider "$@" 2>&1 | tee "$pytest_log" ||
        failed+=("black-box tests")
else
    echo "there are none yet"
fi

# Meson's summary has lines "Ok: 12"; pytest ends with "1 failed, 30 passed in 4.5s".
counts=$({
    sed -n -E 's/^(Ok|Expected Fail|Fail|Unexpected Pass|Timeout|Skipped): *([0-9]+) *$/\2 \1/p' "$meson_log" "$race_log"
    tail -n 1 "$pytest_log" | grep -oE '[0-9]+ (passed|xfailed|failed|errors?|xpassed|skipped)' || true
} | awk '
    { n = $1; sub(/^[0-9]+ /, "") }
    /^(Ok|Expected Fail|passed|xfailed|xpassed)$/ { passed += n }
    /^(Fail|Unexpected Pass|Timeout|failed|errors?)$/ { failed += n }
    /^(Skipped|skipped)$/ { skipped += n }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }')

echo
for what in "${failed[@]}"; do echo "run_tests: $what failed, see above."; done
echo "$counts"
[ ${#failed[@]} = 0 ]
