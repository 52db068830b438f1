#!/usr/bin/env bash
# Drivers and protocols that no node has a use for cannot be loaded. What containers need is not touched.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# MOD-01 MOD-02 MOD-03 MOD-04 MOD-05
put 0644 /etc/modprobe.d/60-safeguard.conf
