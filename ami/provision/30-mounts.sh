#!/usr/bin/env bash
# Mounts: a /tmp of its own, and no set-user-ID programs where users and logs write. Nothing below /var/lib gets an option: containers
# run from there.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# Adds options to those that a line of fstab has, and drops /tmp, which a unit mounts.
options() {
    awk '
        function with(list, more,   i, count, words) {
            count = split(more, words, ",")
            for (i = 1; i <= count; i++) if (index("," list ",", "," words[i] ",") == 0) list = list "," words[i]
            return list
        }
        /^[ \t]*#/ || NF < 4 { print; next }
        $2 == "/tmp" { next }
        $2 == "/home" || $2 == "/var/tmp" || $2 == "/dev/shm" { $4 = with($4, "nodev,nosuid") }
        $2 == "/var/log" || $2 == "/var/log/audit" { $4 = with($4, "nodev,nosuid,noexec") }
        { print }'
}

# MNT-01 MNT-02 MNT-03
rewrite /etc/fstab options

# MNT-02
put 0644 /etc/systemd/system/tmp.mount
enable tmp.mount
