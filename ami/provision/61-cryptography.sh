#!/usr/bin/env bash
# The system's choice of cryptography is not the old one, and SELinux is on, permissive at least.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# FIPS was chosen when the image was built (fips-mode-setup), and stays. OPS-06
if [[ -e $ROOT/etc/crypto-policies/config ]] && ! grep -qxE 'DEFAULT(:NO-SHA1)?|FIPS(:OSPP)?' "$ROOT/etc/crypto-policies/config"; then
    rewrite /etc/crypto-policies/config sed '/^[^#]/s/.*/DEFAULT/'
    if [[ -x $ROOT/usr/bin/update-crypto-policies ]]; then in_root update-crypto-policies --set DEFAULT; fi
fi

# Enforcing stays where the base image has it. From disabled it takes a relabel, at the next boot. OPS-04
if grep -qxE 'SELINUX=disabled' "$ROOT/etc/selinux/config" 2>/dev/null; then
    rewrite /etc/selinux/config sed 's/^SELINUX=disabled$/SELINUX=permissive/'
    touch "$ROOT/.autorelabel"
fi
