#!/usr/bin/env bash
# Builds the page: ui/ becomes one folder of files that the server carries inside it.
#
#   tools/build_ui.sh OUT [STAMP DEPFILE]   index.html, app.css, app.js and its parts, each also as .gz
#   tools/build_ui.sh --check               type check only (TypeScript)
#
# ui/src/main.tsx is what the first view loads; each file of ui/src/lazy/ is a part that is
# loaded when it is first shown (lib/part.tsx).  esbuild, a single program from .deps/ui
# (tools/setup.sh build), bundles them; no Node is run.  Files are served under names with the
# hash of their content, so that browsers may keep them for ever; what one file imports of
# another is written with that name here, and index.html lists them.  The same input gives the
# same bytes, wherever it is built.  The budgets are checked: what visitors load may not grow
# unseen.
set -euo pipefail
from=$PWD # names are relative to where this was called
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ui=${SLIPWAY_UI:-$PWD/ui} # another folder of sources: to try something
modules=$PWD/.deps/ui/node_modules
SCRIPT_MAX=$((80 * 1024)) # all scripts together, gzip
FIRST_MAX=$((50 * 1024))  # of these app.js, which every view needs
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
# esbuild's own names depend on the paths it sees: the sources lie here as they always do.
mkdir -p "$part/in"
cp -r "$ui/src" "$part/in/src"
ln -s "$modules" "$part/in/node_modules"
(cd "$part/in" && "$esbuild" src/main.tsx src/lazy/*.tsx --bundle --splitting --minify --preserve-symlinks \
    "--outdir=$part" --entry-names=[name] --chunk-names=part-[hash] --format=esm --target=es2022 --jsx=transform \
    --jsx-factory=__jsx --jsx-fragment=__frag --inject:src/lib/h.ts --legal-comments=none --charset=utf8 \
    --tsconfig-raw='{}' --log-level=warning)
rm -r "$part/in"
cd "$part"
mv main.css app.css
for file in *.css; do [ $file = app.css ] || rm $file; done # the same again: parts import main.tsx

# Every lazy part imports main.tsx, so that what the first view needs becomes one file, and
# main.js only a line that imports it: the page loads that file itself.
first=$(sed -nE 's|^import"\./(part-[A-Z0-9]+\.js)";(export\{[^}]*\};)?$|\1|p' main.js)
[ -n "$first" ] && [ "$(wc -l <main.js)" = 1 ] || die "ui/src/lazy/: a part does not import ../main"
mv "$first" app.js
rm main.js
sed -i "s|\"\./$first\"|\"./app.js\"|g" ./*.js

# Names by content: a file gets its own when those it imports have theirs.
declare -A served
waiting=(*.js)
while [ ${#waiting[@]} -gt 0 ]; do
    later=()
    for file in "${waiting[@]}"; do
        ready=yes
        for other in $(grep -oE '"\./[A-Za-z0-9_-]+\.js"' "$file" | tr -d '"' | sort -u); do
            other=${other#./}
            [ -n "${served[$other]-}" ] || ready=no
        done
        if [ $ready = no ]; then later+=("$file"); continue; fi
        for other in "${!served[@]}"; do sed -i "s|\"\./$other\"|\"./${served[$other]}\"|g" "$file"; done
        served[$file]=${file%.js}-$(sha256sum <"$file" | cut -c1-16).js
    done
    [ ${#later[@]} -lt ${#waiting[@]} ] || die "parts import each other in a circle: ${later[*]}"
    waiting=("${later[@]}")
done
parts=
for file in "$ui"/src/lazy/*.tsx; do
    name=$(basename "$file" .tsx)
    parts="$parts $name=/assets/${served[$name.js]}"
done
page=$(cat "$ui/index.html")
for want in '"/assets/app.js"' '"/assets/app.css"' 'name="parts" content=""'; do
    case $page in *"$want"*) ;; *) die "ui/index.html has no $want" ;; esac
done
page=${page/'"/assets/app.js"'/"\"/assets/${served[app.js]}\""}
page=${page/'"/assets/app.css"'/"\"/assets/app-$(sha256sum <app.css | cut -c1-16).css\""}
page=${page/'name="parts" content=""'/"name=\"parts\" content=\"${parts# }\""}
printf '%s\n' "$page" >index.html
# zopfli writes plain gzip, some 3 % smaller, once for all visitors.
zopfli ./*.js app.css index.html

size() { stat -c %s "$1"; }
script=0
for file in *.js.gz; do script=$((script + $(size "$file"))); done
printf 'page: %d bytes of script (gzip; %d allowed), %d of these first (%d); style %d (%d), index.html %d (%d)\n' \
    $script $SCRIPT_MAX "$(size app.js.gz)" $FIRST_MAX "$(size app.css.gz)" $STYLE_MAX "$(size index.html.gz)" $HTML_MAX
[ $script -le $SCRIPT_MAX ] || die "all scripts take $script bytes (gzip) of at most $SCRIPT_MAX"
[ "$(size app.js.gz)" -le $FIRST_MAX ] || die "app.js takes more than $FIRST_MAX bytes (gzip)"
[ "$(size app.css.gz)" -le $STYLE_MAX ] || die "app.css takes more than $STYLE_MAX bytes (gzip)"
[ "$(size index.html.gz)" -le $HTML_MAX ] || die "index.html takes more than $HTML_MAX bytes (gzip)"
cd - >/dev/null

rm -rf "$out"
mv "$part" "$out"
if [ $# = 3 ]; then
    : >"$(absolute "$2")"
    { # folders too, so that a new or removed file rebuilds
        printf '%s:' "$2"
        find "$ui/index.html" "$ui/src" -printf ' %p'
        printf ' %s\n' "$esbuild"
    } >"$(absolute "$3")"
fi
