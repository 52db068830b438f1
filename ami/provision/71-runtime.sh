#!/usr/bin/env bash
# The container runtime: root's, and not on the network. No mount option, no module and no user namespace is taken from it.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# RUN-02
directory /etc/containerd
find "$ROOT/etc/containerd" -exec chown root:root {} + -exec chmod go-w {} +

# RUN-03
close 0755 /usr/bin/containerd /usr/bin/containerd-shim-runc-v2 /usr/bin/runc /usr/sbin/runc /usr/bin/kubelet /usr/bin/nodeadm

# RUN-04
close 0644 '/etc/cni/net.d/*'
close 0755 '/opt/cni/bin/*'

# RUN-05
close 0711 /var/lib/containerd
close 0750 /var/lib/kubelet/pods

# RUN-06
rewrite /etc/containerd/config.toml sed '/^[[:space:]]*tcp_address[[:space:]]*=/d'
