#!/usr/bin/env bash
# The journal is kept on disk, where a crash leaves it and the agent finds it after the next boot; within a bound.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# Read after the drop-ins of packages. AUD-09
put 0644 /etc/systemd/journald.conf.d/60-safeguard.conf
directory /var/log/journal
