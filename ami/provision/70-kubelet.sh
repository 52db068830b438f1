#!/usr/bin/env bash
# The kubelet. nodeadm writes its configuration at each boot from user data and from what lies in /etc/eks/nodeadm.d, which wins.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# 3.2.1 3.2.2 3.2.4 3.2.5 3.2.6 3.2.7 3.2.8 3.2.9 KUB-04 KUB-05 KUB-06 KUB-07
# 4.2.1 4.2.2 4.2.4 4.2.5 4.2.6 4.2.8 4.2.10 4.2.11 4.2.12 4.2.13 4.2.14
put 0600 /etc/eks/nodeadm.d/10-safeguard.yaml

# nodeadm writes with mode 0644 what 0600 is asked of: closed before each start. 3.1.1 3.1.3 4.1.5 4.1.9 KUB-01
put 0600 /etc/systemd/system/kubelet.service.d/20-safeguard.conf

# systemd reads units as root, whatever their mode. 4.1.1 4.1.2
close 0600 /etc/systemd/system/kubelet.service '/etc/systemd/system/kubelet.service.d/*.conf'
