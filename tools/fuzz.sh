#!/usr/bin/env bash
# Feeds the parsers broken input: Clang's libFuzzer with address and undefined-behaviour
# sanitizers, from the corpora in tests/fuzz/corpus.
#
#   tools/fuzz.sh [SECONDS [TARGET…]]   60 seconds a target, all targets
#
# Builds in build-fuzz. What it learns stays in build-fuzz/corpus and is where the next run
# goes on; tests/fuzz/corpus is only read. An input that breaks a target is kept in
# build-fuzz/found, with the command that repeats it; once mended, it goes to
# tests/fuzz/corpus/TARGET/found-…, which `make test` replays from then on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1-60}
shift || true
case $seconds in '' | *[!0-9]*)
    echo "usage: tools/fuzz.sh [SECONDS [TARGET…]]" >&2
    exit 2
    ;;
esac
command -v clang >/dev/null || { echo "fuzz: there is no clang; run tools/setup.sh fuzz" >&2; exit 1; }

build=${SLIPWAY_FUZZ_BUILD-build-fuzz}
# Clang warns of other things than GCC does, and b_lundef does not go with its sanitizers.
[ -e "$build/build.ninja" ] || CC=clang meson setup "$build" -Dbuildtype=debugoptimized \
    -Db_sanitize=address,undefined -Db_lundef=false -Dwerror=false \
    -Dc_args=-fsanitize=fuzzer-no-link >/dev/null
if [ $# -gt 0 ]; then
    ninja -C "$build" "${@/#/tests/fuzz_}" >"$build/ninja.log" || { tail -n 40 "$build/ninja.log" >&2; exit 1; }
    targets=("$@")
else
    ninja -C "$build" fuzzers >"$build/ninja.log" || { tail -n 40 "$build/ninja.log" >&2; exit 1; }
    mapfile -t targets < <(find "$build/tests" -maxdepth 1 -name 'fuzz_*' -type f -executable -printf '%f\n' | sed 's/^fuzz_//' | sort)
fi

# Leaks are looked for, also between inputs; one input may take 10 s and 2 GB.
export ASAN_OPTIONS=halt_on_error=1:abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1
export OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive

mkdir -p "$build/found"
broken=()
for target in "${targets[@]}"; do
    seeds=tests/fuzz/corpus/$target
    learnt=$build/corpus/$target
    log=$build/$target.log
    extra=()
    [ "$target" != xgb_model ] || extra=(tests/golden/xgboost)
    mkdir -p "$learnt"
    dictionary=()
    [ ! -e "tests/fuzz/dict/$target" ] || dictionary=("-dict=tests/fuzz/dict/$target")
    status=0
    "$build/tests/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 \
        -print_final_stats=1 -artifact_prefix="$build/found/$target-" "${dictionary[@]}" \
        "$learnt" "$seeds" "${extra[@]}" >"$log" 2>&1 || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1 || true)
    if [ $status = 0 ]; then
        printf 'fuzz: %-12s %9s runs, %s\n' "$target" "${runs:-?}" "${covered:-}"
        continue
    fi
    broken+=("$target")
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    printf 'fuzz: %-12s BROKEN after %s runs; the log is %s, to repeat it:\n  %s/tests/fuzz_%s %s\n' \
        "$target" "${runs:-?}" "$log" "$build" "$target" "${input:-}"
    grep -m 3 -E 'ERROR: |SUMMARY: |runtime error|assertion|Assertion' "$log" | sed 's/^/  /' || true
done
[ ${#broken[@]} = 0 ]
