#!/usr/bin/env bash
# Nobody logs in with a password, and daemons do not log in at all.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# A hash, or nothing at all, becomes something that no password matches. ACC-02 ACC-03
rewrite /etc/shadow awk -F: -v OFS=: '$2 == "" { $2 = "!" } $2 ~ /^[^!*]/ { $2 = "!" $2 } { print }'

# Accounts below 1000 are daemons', but for root; these three only run the program that is their shell. ACC-04
rewrite /etc/passwd awk -F: -v OFS=: -v nologin="$nologin" '
    $3 > 0 && $3 < 1000 && $1 !~ /^(sync|shutdown|halt)$/ && $7 !~ /(nologin|false)$/ { $7 = nologin }
    { print }'

# ACC-01 ACC-05 ACC-06 are of the base image: nothing is mended that nobody understands, and validate/ stops at them.
