# What every step knows: the root that it works on, what the distribution calls things, and how a file gets there.
#
# ROOT          the root of the image: / on the builder, a directory in tests
# PACKAGES      a directory with packages of ours; may be empty if they are installed
# SETTINGS      a directory with the operator's agent.toml, proxy.toml, exceptions.yaml; optional
# shellcheck shell=bash
set -euo pipefail

ami=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Without the slash at its end, so that "$ROOT/etc" is a path of the image in both cases.
ROOT=${ROOT:-/}
ROOT=${ROOT%/}

# A word of a file that is written for shells to read.
os_release() {
    sed -n "s/^$1=\"\\{0,1\\}\\([^\"]*\\)\"\\{0,1\\}\$/\\1/p" "$ROOT/etc/os-release"
}

distribution=$ami/distributions/$(os_release ID)-$(os_release VERSION_ID).sh
[[ -e $distribution ]] || {
    echo "$ROOT/etc/os-release: nothing is known of this distribution ($distribution is missing)" >&2
    exit 2
}
# shellcheck source=../distributions/amzn-2023.sh
source "$distribution"

# Runs a program of the image, on the image.
in_root() {
    if [[ -z $ROOT ]]; then "$@"; else chroot "$ROOT" "$@"; fi
}

# Directories of the image, with mode 0755 where they are new.
directory() {
    local path
    for path in "$@"; do [[ -d $ROOT$path ]] || install -d -m 0755 -o root -g root "$ROOT$path"; done
}

# Copies a file of rootfs/ to its place in the image: put MODE PATH
put() {
    directory "$(dirname "$2")"
    install -m "$1" -o root -g root "$ami/rootfs$2" "$ROOT$2"
}

# Sets the mode, and root as the owner, of what is there: close MODE PATH...; a path may be a pattern.
close() {
    local mode=$1 pattern path
    shift
    for pattern in "$@"; do
        while IFS= read -r path; do
            chown root:root "$path"
            chmod "$mode" "$path"
        done < <(compgen -G "$ROOT$pattern" || true)
    done
}

# New content for a file that keeps its owner, mode and labels: rewrite PATH FILTER..., a program from stdin to stdout.
rewrite() {
    local path=$ROOT$1 text
    shift
    [[ -e $path ]] || return 0
    text=$("$@" <"$path" && echo .)
    text=${text%.}
    [[ $text == "$(cat "$path" && echo .)" ]] || printf '%s' "$text" >"$path"
}

# Sets "key = value" in a file of such lines: the first line of the key is replaced, further ones go.
set_key() {
    rewrite "$1" awk -v key="$2" -v value="$3" '
        { name = $0; sub(/[ \t]*=.*/, "", name); sub(/^[ \t]*/, "", name) }
        name == key { if (!done) print key " = " value; done = 1; next }
        { print }
        END { if (!done) print key " = " value }'
}

# Enables units by their [Install] section. Works on a directory as on a running system.
enable() {
    local unit
    for unit in "$@"; do systemctl --root="$ROOT/" --quiet enable "$unit"; done
}

# Homes of accounts, and what lies where homes are made: an account may be gone, and what it wrote not.
homes() {
    {
        cut -d : -f 6 "$ROOT/etc/passwd"
        local path
        for path in "$ROOT/home"/*; do echo "${path#"$ROOT"}"; done
    } | LC_ALL=C sort -u | grep -vx '/' || true
}

# What of ../residue is in the image, each path with its reason behind a tab.
residue() {
    local pattern why path home
    while IFS=$'\t' read -r pattern why; do
        case $pattern in
        '#'* | '') ;;
        '~'*) while IFS= read -r home; do printf '%s\t%s\n' "$home${pattern#'~'}" "$why"; done < <(homes) ;;
        *) printf '%s\t%s\n' "$pattern" "$why" ;;
        esac
    done <"$ami/residue" | while IFS=$'\t' read -r pattern why; do
        { compgen -G "$ROOT$pattern" || true; } | while IFS= read -r path; do printf '%s\t%s\n' "${path#"$ROOT"}" "$why"; done
    done
}
