#!/usr/bin/env bash
# The memory of a program that crashed may be patient data: it is not written down.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# KRN-14
put 0644 /etc/systemd/coredump.conf.d/60-safeguard.conf

# Shells and what they start. KRN-13 KRN-14
put 0644 /etc/security/limits.d/60-safeguard.conf
