#!/usr/bin/env bash
# No swap: what pods keep in memory is not written to the disk, and the kubelet does not start with it.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# OPS-03
rewrite /etc/fstab awk '!/^[ \t]*#/ && $3 == "swap" { next } { print }'

# A generator would make swap in memory, which the kubelet refuses as well. OPS-03
if [[ -e $ROOT/usr/lib/systemd/system-generators/zram-generator ]]; then put 0644 /etc/systemd/zram-generator.conf; fi
