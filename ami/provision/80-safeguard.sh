#!/usr/bin/env bash
# Safeguard itself: settings that say where the host is, and units that start with the node, the redirect before pods.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# The operator's own settings win over those of the image. AGT-01
for name in agent.toml proxy.toml exceptions.yaml; do
    if [[ -e ${SETTINGS:+$SETTINGS/$name} ]]; then
        directory /etc/safeguard
        install -m 0644 -o root -g root "$SETTINGS/$name" "$ROOT/etc/safeguard/$name"
    fi
done

# A unit sees the host through its first process. What a package left as an example is no setting yet. AGT-01
if ! grep -q '^[[:space:]]*host_root' "$ROOT/etc/safeguard/agent.toml" 2>/dev/null; then
    if grep -qE '^[[:space:]]*[^#[:space:]\[]' "$ROOT/etc/safeguard/agent.toml" 2>/dev/null; then
        echo "agent.toml of SETTINGS has no host_root: its unit needs host_root = \"/proc/1/root\" under [node]" >&2
        exit 1
    fi
    put 0644 /etc/safeguard/agent.toml
fi
close 0755 /etc/safeguard
close 0644 '/etc/safeguard/*.toml' '/etc/safeguard/*.yaml'

# State that came with a package or from a try. What is kept there is this node's alone: 90-cleanup empties it. AGT-02
close 0700 /var/lib/safeguard
close 0600 '/var/lib/safeguard/*.jsonl*'

# AGT-04
enable safeguard-agent.service

# It is required by the kubelet: where the redirect does not come up, no pod starts. AGT-05 IMD-02
enable safeguard-proxy-redirect.service safeguard-proxy-redirect-check.timer safeguard-proxy.service
