#!/usr/bin/env bash
# Labels of what the steps wrote, so that enforcing is one word away where the base image has the policy for containers.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# OPS-04
if [[ -x $ROOT/usr/sbin/restorecon ]]; then
    in_root restorecon -RF /etc /usr/bin /usr/lib/systemd /usr/lib/modprobe.d /var/lib/kubelet /var/log/journal
fi
