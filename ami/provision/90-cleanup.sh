#!/usr/bin/env bash
# What no image may carry, as ../residue lists it: who the builder was, how it was reached, what it wrote down. Last, because steps
# leave traces.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# A package may have started what it brings, and that writes its state down anew.
if [[ -z $ROOT && -d /run/systemd/system ]]; then
    systemctl --quiet stop safeguard-agent.service safeguard-proxy.service safeguard-proxy-redirect-check.timer
fi

# Read whole before the first of it is gone.
mapfile -t found < <(residue | cut -f 1)
for path in "${found[@]}"; do rm -rf "$ROOT$path"; done

# systemd makes another one at the first boot where the file is empty; where it is missing, it takes each boot for the first.
: >"$ROOT/etc/machine-id"
