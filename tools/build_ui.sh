#!/usr/bin/env bash
# Builds the page: ui/ becomes one folder of files that the server carries inside it.
#
#   tools/build_ui.sh OUT [STAMP DEPFILE]   index.html, app.js, app.css, each also as .gz
#   tools/build_ui.sh --check               type check only (TypeScript)
#
# ui/src/main.tsx and what it imports, styles too, are bundled by esbuild, a single program
# from .deps/ui (tools/setup.sh build); no Node is run. index.html names /assets/app.js and
# /assets/app.css; here these names get the hash of the content, so that browsers may keep
# them for ever. The same input gives the same bytes. The budget is checked: what every
# visitor loads may not grow unseen.
set -euo pipefail
from=$PWD # names are relative to where this was called
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ui=${SLIPWAY_UI:-$PWD/ui} # another folder of sources: to try something
modules=$PWD/.deps/ui/node_modules
SCRIPT_MAX=$((80 * 1024)) # app.js and app.css together, gzip
STYLE_MAX=$((8 * 1024))
HTML_MAX=$((3 * 1024))

die() { printf 'build_ui: %s\n' "$*" >&2; exit 1; }

if [ "${1-}" = --check ]; then
    tsc=$modules/@typescript/typescript-linux-x64/lib/tsc
    [ -x "$tsc" ] || die "TypeScript is missing: run tools/setup.sh test"
    exec "$tsc" --noEmit -p "$ui"
fi

[ $# = 1 ] || [ $# = 3 ] || die "usage: tools/build_ui.sh OUT [STAMP DEPFILE] | --check"
absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$from" "$1" ;; esac; }
out=$(absolute "$1")
esbuild=$modules/@esbuild/linux-x64/bin/esbuild
[ -x "$esbuild" ] || die "esbuild is missing: run tools/setup.sh build"
[ -e "$ui/src/main.tsx" ] || die "ui/src/main.tsx is missing"

part=$out.part
rm -rf "$part"
mkdir -p "$part"
# uPlot without what the page does not use of it: see ui/uplot.sed.
sed -E -f "$ui/uplot.sed" "$modules/uplot/dist/uPlot.esm.js" >"$part/uplot.js"
NODE_PATH=$modules "$esbuild" "$ui/src/main.tsx" --bundle "--alias:uplot=$part/uplot.js" --minify --format=esm --target=es2022 \
    --jsx=transform --jsx-factory=__jsx --jsx-fragment=__frag "--inject:$ui/src/lib/h.ts" --legal-comments=none --charset=utf8 \
    --tsconfig-raw='{}' --log-level=warning --outfile="$part/app.js"
rm "$part/uplot.js"
[ -e "$part/app.css" ] || : >"$part/app.css"

page=$(cat "$ui/index.html")
for name in app.js app.css; do
    case $page in *"\"/assets/$name\""*) ;; *) die "ui/index.html does not name /assets/$name" ;; esac
    hash=$(sha256sum <"$part/$name" | cut -c1-16)
    page=${page//"\"/assets/$name\""/"\"/assets/${name%.*}-$hash.${name##*.}\""}
done
printf '%s\n' "$page" >"$part/index.html"
# zopfli writes plain gzip, some 3 % smaller, once for all visitors.
zopfli "$part"/app.js "$part"/app.css "$part"/index.html

size() { stat -c %s "$part/$1"; }
script=$(($(size app.js.gz) + $(size app.css.gz)))
printf 'page: app.js %d, app.css %d, index.html %d bytes (gzip; %d of %d used)\n' \
    "$(size app.js.gz)" "$(size app.css.gz)" "$(size index.html.gz)" $script $SCRIPT_MAX
[ $script -le $SCRIPT_MAX ] || die "script and style take $script bytes (gzip) of at most $SCRIPT_MAX"
[ "$(size app.css.gz)" -le $STYLE_MAX ] || die "app.css takes more than $STYLE_MAX bytes (gzip)"
[ "$(size index.html.gz)" -le $HTML_MAX ] || die "index.html takes more than $HTML_MAX bytes (gzip)"

rm -rf "$out"
mv "$part" "$out"
if [ $# = 3 ]; then
    : >"$(absolute "$2")"
    { # folders too, so that a new or removed file rebuilds
        printf '%s:' "$2"
        find "$ui/index.html" "$ui/uplot.sed" "$ui/src" -printf ' %p'
        printf ' %s\n' "$esbuild"
    } >"$(absolute "$3")"
fi
