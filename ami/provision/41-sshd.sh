#!/usr/bin/env bash
# sshd, where it is installed: keys, no forwarding, and an end to silent sessions. People come through Session Manager.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

[[ -e $ROOT/usr/sbin/sshd ]] || exit 0

# The first value that sshd reads wins, and drop-ins are read first.
# SSH-01 SSH-02 SSH-03 SSH-04 SSH-05 SSH-06 SSH-07 SSH-08 SSH-09
put 0600 /etc/ssh/sshd_config.d/10-safeguard.conf
grep -qE '^[[:space:]]*Include[[:space:]]+/etc/ssh/sshd_config\.d/\*\.conf' "$ROOT/etc/ssh/sshd_config" || {
    echo "$ROOT/etc/ssh/sshd_config does not include sshd_config.d: what is put there would not be read" >&2
    exit 1
}

# SSH-10
close 0600 /etc/ssh/sshd_config '/etc/ssh/sshd_config.d/*.conf' '/etc/ssh/ssh_host_*_key'
