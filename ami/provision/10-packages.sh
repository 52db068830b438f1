#!/usr/bin/env bash
# Our packages, what the distribution has for controls, and nothing of another age. The distribution is not updated here: the kernel
# and containerd are those of the EKS image, and stay locked.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# AUD-01 OPS-01 IMD-02
for name in "${wanted_packages[@]}"; do
    in_root "${is_installed[@]}" "$name" >/dev/null 2>&1 || in_root "${install_named[@]}" "$name"
done

# OPS-07
for name in "${unwanted_packages[@]}"; do
    if in_root "${is_installed[@]}" "$name" >/dev/null 2>&1; then in_root "${remove_named[@]}" "$name"; fi
done

# Both programs, before their units are enabled. AGT-03
files=()
if [[ -n ${PACKAGES:-} ]]; then mapfile -t files < <(compgen -G "$PACKAGES/*.$package_suffix" || true); fi
new=()
for file in "${files[@]}"; do
    identity=$("${identity_of_file[@]}" "$file")
    [[ $(in_root "${identity_installed[@]}" "${identity%% *}" 2>/dev/null || true) == "$identity" ]] || new+=("$file")
done
if ((${#new[@]} > 0)); then
    # Seen from inside of the image, wherever that is; in one transaction, for what they need of each other.
    directory /var/lib/safeguard-packages
    cp "${new[@]}" "$ROOT/var/lib/safeguard-packages/"
    inside=()
    for file in "${new[@]}"; do inside+=("/var/lib/safeguard-packages/$(basename "$file")"); done
    in_root "${install_files[@]}" "${inside[@]}"
    rm -rf "$ROOT/var/lib/safeguard-packages"
fi
for program in safeguard-agent safeguard-proxy; do
    [[ -x $ROOT/usr/bin/$program ]] || {
        echo "$ROOT/usr/bin/$program is missing: put our packages (*.$package_suffix) into PACKAGES" >&2
        exit 1
    }
done
close 0755 '/usr/bin/safeguard-*'
