#!/usr/bin/env bash
# Files that others must not change, or not even read.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# FIL-01
close 0644 /etc/passwd /etc/group /etc/passwd- /etc/group-

# What is readable for the group shadow on Debian stays so: only bits are taken away. FIL-02
for path in /etc/shadow /etc/gshadow /etc/shadow- /etc/gshadow-; do
    if [[ -e $ROOT$path ]]; then chmod u-x,g-wx,o= "$ROOT$path"; fi
done

# FIL-03
close 0440 /etc/sudoers '/etc/sudoers.d/*'

# FIL-04
close 0600 /etc/crontab
close 0700 /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly

# Nobody but root, who needs no line. FIL-05
put 0640 /etc/cron.allow
put 0640 /etc/at.allow
rm -f "$ROOT/etc/cron.deny" "$ROOT/etc/at.deny"
