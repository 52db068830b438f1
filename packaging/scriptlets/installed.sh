# shellcheck shell=sh disable=SC2154  # packaging/build says what they are
# After the files of $package are there; $event is install or upgrade. Nothing is enabled or started that nobody asked for.
if command -v systemd-sysusers >/dev/null && [ -e "/usr/lib/sysusers.d/$package.conf" ]; then
    systemd-sysusers "$package.conf"
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    if [ -e "/usr/lib/tmpfiles.d/$package.conf" ]; then systemd-tmpfiles --create "$package.conf"; fi
    # What runs goes on with the new program. The agent first delivers what it has read.
    if [ "$event" = upgrade ]; then
        for unit in $units; do systemctl try-restart "$unit"; done
    fi
fi
