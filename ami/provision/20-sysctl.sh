#!/usr/bin/env bash
# Kernel parameters: what a node needs, in a file that is read last, and what hardens, in one that an operator can follow up.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# SYS-01 SYS-02 SYS-03 SYS-04
put 0644 /etc/sysctl.d/99-safeguard.conf

# KRN-01 KRN-02 KRN-03 KRN-04 KRN-05 KRN-06 KRN-07 KRN-08 KRN-09 KRN-10 KRN-11 KRN-12 KRN-13 KRN-15
put 0644 /etc/sysctl.d/60-safeguard.conf

# Without the module its parameters do not exist when they are set. SYS-02
put 0644 /etc/modules-load.d/60-safeguard.conf
