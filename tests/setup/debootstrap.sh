#!/usr/bin/env bash
# Proves `make setup` on a bare Debian 12: debootstraps one into a temporary folder, puts this
# repository's tracked files there, and runs it in a chroot as a person would on a new machine.
#
#   tests/setup/debootstrap.sh [--user] [--build] [--test] [--worktree] [--keep]
#
#   --user      as an ordinary user without sudo: setup must name the one command for root,
#               and do all but that command without root
#   --build     go on with `make build`
#   --test      go on with `make test` (sanitizers: slow)
#   --worktree  copy the work tree (less .git, .deps, build*) instead of the tracked files
#   --keep      leave the folder there and say where it is
#
# Needs root (debootstrap, chroot, mount), about 1 GB of disk (3 GB with --test) and network:
# this machine's settings for apt, pip and npm, its certificates and its proxy variables are
# taken along, so it works wherever `make setup` works. Nothing outside the folder is changed.
set -euo pipefail

die() { printf 'debootstrap.sh: %s\n' "$*" >&2; exit 1; }

user=root build="" test="" worktree="" keep=""
for option in "$@"; do
    case $option in
    --user) user=slipway ;;
    --build) build=1 ;;
    --test) test=1 ;;
    --worktree) worktree=1 ;;
    --keep) keep=1 ;;
    *) die "unknown option $option; known: --user --build --test --worktree --keep" ;;
    esac
done
[ "$(id -u)" = 0 ] || die "needs root: run it with sudo."
command -v debootstrap >/dev/null || die "needs debootstrap: apt-get install debootstrap"

# In a mount namespace of its own, so that no mount outlives this script.
if [ -z "${SLIPWAY_DEBOOTSTRAP_INSIDE-}" ]; then
    exec env SLIPWAY_DEBOOTSTRAP_INSIDE=1 unshare --mount --propagation private bash "$0" "$@"
fi

repository=$(cd "$(dirname "$0")/../.." && pwd)
bare=$(mktemp -d "${TMPDIR:-/tmp}/slipway-bare.XXXXXX")
chmod 755 "$bare" # a chroot that its users may enter
cleanup() {
    umount "$bare/proc" "$bare/dev/shm" 2>/dev/null || true
    if [ -n "$keep" ]; then
        echo "kept: $bare (chroot $bare; to delete: rm -rf --one-file-system $bare)"
    else
        rm -rf --one-file-system "$bare"
    fi
}
trap cleanup EXIT

now() { date +%s.%N; }
disk() { du -smx "$bare" | cut -f1; }
report=()
timed() { # WHAT COMMAND…
    local what=$1 start seconds
    shift
    printf '\n== %s\n' "$what"
    start=$(now)
    "$@"
    seconds=$(echo "$start $(now)" | awk '{ printf "%.2f", $2 - $1 }')
    report+=("$(printf '%-44s %8s s   %6s MB on disk' "$what" "$seconds" "$(disk)")")
}

# ---- the bare system, and this machine's ways to the network ----------------------------------

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Component: main' 2>/dev/null | head -n 1)
bootstrap() { debootstrap --variant=minbase bookworm "$bare" ${mirror:+"$mirror"} >"$bare.log" 2>&1 || { tail "$bare.log" >&2; die "debootstrap failed."; }; rm -f "$bare.log"; }

take() { # FILE-OR-FOLDER…: copied to the same place
    local path
    for path in "$@"; do
        [ -e "$path" ] || continue
        mkdir -p "$bare$(dirname "$path")"
        cp -a --remove-destination "$path" "$bare$(dirname "$path")/"
    done
}

settings=() # NAME=VALUE
take_settings() {
    local name value
    # Debian's own keyrings are there already; others are named by the sources.
    if compgen -G '/etc/apt/sources.list*' >/dev/null; then
        rm -f "$bare/etc/apt/sources.list"
        take /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/keyrings /etc/apt/auth.conf /etc/apt/auth.conf.d
        take /etc/apt/apt.conf /etc/apt/apt.conf.d /etc/apt/trusted.gpg.d /usr/share/keyrings
    fi
    take /etc/resolv.conf /etc/hosts /etc/ssl/certs /usr/local/share/ca-certificates /usr/share/ca-certificates
    take /etc/pip.conf /etc/npmrc
    for name in .npmrc .pip .config/pip; do
        [ ! -e "$HOME/$name" ] || { mkdir -p "$bare$home/$(dirname "$name")"; cp -a "$HOME/$name" "$bare$home/$name"; }
    done
    while IFS='=' read -r -d '' name value; do
        case $name in
        *_proxy | *_PROXY | *CERT* | *CA_BUNDLE* | *CA_INFO* | *CAINFO* | PIP_* | npm_config_* | NPM_CONFIG_*)
            settings+=("$name=$value")
            case $value in /?*) [ ! -f "$value" ] || take "$value" ;; esac
            ;;
        esac
    done < <(env -0)
}

copy_repository() {
    mkdir -p "$bare$home/slipway"
    if [ -n "$worktree" ]; then
        tar -C "$repository" --exclude=./.git --exclude=./.deps --exclude='./build*' -cf - . |
            tar -C "$bare$home/slipway" --no-same-owner -xf -
    else
        [ -n "$(git -C "$repository" ls-files | head -n 1)" ] || die "git knows no file here yet: use --worktree."
        git -C "$repository" ls-files -z |
            tar -C "$repository" --null --files-from=- --ignore-failed-read -cf - |
            tar -C "$bare$home/slipway" --no-same-owner -xf -
    fi
}

# inside USER COMMAND: in the chroot, in the repository, with none of this machine's other variables
inside() {
    local as=$1 directory=/root
    [ "$as" = root ] || directory=$home
    shift
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$directory" LANG=C.UTF-8 \
        TERM=dumb "${settings[@]}" chroot --userspec="$as" "$bare" bash -c "cd $home/slipway && { $*; }" </dev/null
}

home=/root
[ "$user" = root ] || home=/home/$user

timed "debootstrap --variant=minbase bookworm" bootstrap
mount -t proc proc "$bare/proc"
mkdir -p "$bare/dev/shm"
mount -t tmpfs tmpfs "$bare/dev/shm"
if [ "$user" != root ]; then
    chroot "$bare" useradd --create-home --shell /bin/bash "$user"
fi
take_settings
copy_repository
[ "$user" = root ] || chroot "$bare" chown -R "$user:$user" "$home"

# ---- what a person does on a new machine ------------------------------------------------------

timed "apt-get update, apt-get install -y make" inside root \
    'apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -q -y make >/dev/null'

if [ "$user" != root ]; then
    printf '\n== make setup as %s, without sudo: has to name the command for root\n' "$user"
    if inside "$user" make setup >"$bare/tmp/refused" 2>&1; then die "make setup should have asked for root."; fi
    cat "$bare/tmp/refused"
    command=$(grep '^apt-get update && ' "$bare/tmp/refused") || die "make setup did not name the command for root."
    timed "the command that it named, as root" inside root "( $command ) >/dev/null"
fi

timed "make setup" inside "$user" make setup
before=$(disk)
if unshare --net true 2>/dev/null; then
    printf '\n(the next run has no network)\n'
    again() { unshare --net bash -c "$(declare -f inside); $(declare -p settings bare home); inside $user make setup"; }
else
    again() { inside "$user" make setup; }
fi
timed "make setup, second run" again
[ "$(disk)" -le $((before + 1)) ] || die "the second run of make setup put something more on the disk."
[ -z "$build" ] || timed "make build" inside "$user" make build
[ -z "$build" ] || timed "build/slipway --version" inside "$user" build/slipway --version
[ -z "$test" ] || timed "make test" inside "$user" make test

printf '\n== Bare Debian 12: done\n'
printf '%s\n' "${report[@]}"
inside root 'du -sm .deps; du -sm .deps/*'
