# What the files of an image come to at its next boot, whoever of them speaks last.
# shellcheck shell=bash
: "${ROOT?provision/root.sh is sourced first}"

# The files of sysctl.d in the order in which they are read: by name, and of equal names the one of /etc.
sysctl_files() {
    local dir path name
    declare -A chosen=()
    for dir in /etc/sysctl.d /run/sysctl.d /usr/local/lib/sysctl.d /usr/lib/sysctl.d; do
        for path in "$ROOT$dir"/*.conf; do
            name=${path##*/}
            if [[ -e $path && -z ${chosen[$name]:-} ]]; then chosen[$name]=$path; fi
        done
    done
    for name in "${!chosen[@]}"; do printf '%s\t%s\n' "$name" "${chosen[$name]}"; done | LC_ALL=C sort | cut -f 2
    # Not systemd's, but of sysctl --system, which steps of guides call.
    if [[ -f $ROOT/etc/sysctl.conf ]]; then echo "$ROOT/etc/sysctl.conf"; fi
}

# Each key with its last value, a tab between them. Keys are written with dots or with slashes, and with a dash if they may be missing.
sysctls() {
    local files
    mapfile -t files < <(sysctl_files)
    ((${#files[@]} > 0)) || return 0
    awk '
        /^[ \t]*([#;]|$)/ || !/=/ { next }
        {
            key = $0; sub(/=.*/, "", key); gsub(/[ \t]/, "", key); sub(/^-/, "", key)
            value = substr($0, index($0, "=") + 1); gsub(/^[ \t]+|[ \t]+$/, "", value)
            if (key ~ /^[^.]*\//) gsub(/\//, ".", key)
            last[key] = value
        }
        END { for (key in last) print key "\t" last[key] }' "${files[@]}"
}

sysctl_of() {
    sysctls | awk -F '\t' -v key="$1" '$1 == key { print $2 }'
}

# Where file systems are mounted at boot, a tab, and their options: lines of fstab, and mount units of /etc.
mounts_of_boot() {
    local unit
    awk '!/^[ \t]*#/ && NF >= 4 { print $2 "\t" $4 }' "$ROOT/etc/fstab" 2>/dev/null || true
    for unit in "$ROOT"/etc/systemd/system/*.mount; do
        [[ -f $unit ]] || continue
        awk -F = '$1 == "Where" { at = $2 } $1 == "Options" { options = $2 } END { if (at) print at "\t" options }' "$unit"
    done
}

# Whether something wants the unit at boot.
enabled() {
    compgen -G "$ROOT/etc/systemd/system/*.wants/$1" >/dev/null || compgen -G "$ROOT/etc/systemd/system/*.requires/$1" >/dev/null
}

# Whether the unit's place is a link to nothing, or an empty file.
is_masked() {
    local dir
    for dir in /etc/systemd/system /usr/local/lib/systemd/system; do
        [[ $(readlink "$ROOT$dir/$1" 2>/dev/null || true) != /dev/null ]] || return 0
    done
    return 1
}

# What the boot loader says to the kernel, or would when its configuration is made anew.
kernel_command_lines() {
    grep -hsE '^[[:space:]]*(linux|linuxefi|options)[[:space:]]' "$ROOT"/boot/grub*/grub.cfg "$ROOT"/boot/loader/entries/*.conf || true
    grep -hs '^GRUB_CMDLINE' "$ROOT/etc/default/grub" | tr '"' ' ' || true
}
