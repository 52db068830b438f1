# shellcheck shell=sh disable=SC2154  # packaging/build says what they are
# Before the files of $package go; $event is upgrade or remove.
if [ "$event" = remove ]; then
    for unit in $units; do
        # Where systemd does not run, as while an image is made, there is nothing to stop.
        if [ -d /run/systemd/system ]; then systemctl stop "$unit"; fi
        systemctl disable "$unit" >/dev/null 2>&1 || true
    done
    # Without the proxy, what pods send to the metadata service would lead nowhere until the next boot.
    if [ "$package" = safeguard-proxy ] && [ -d /run/systemd/system ]; then
        safeguard-proxy redirect down || echo "the redirect could not be taken back; the next boot is without it" >&2
    fi
fi
