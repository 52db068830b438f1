#!/usr/bin/env bash
# What the boot loader tells the kernel. Its sources and what was made of them are both edited: no boot loader runs in a directory.
# shellcheck source=root.sh
source "$(dirname "$0")/root.sh"

# Takes words away, and adds those of the distribution where they are missing: arguments LINE
arguments() {
    awk -v lines="$1" -v add="$selinux_arguments" '
        $0 ~ lines {
            gsub(/[ \t]*(mitigations=off|selinux=0|audit=0|lockdown=[a-z]+)/, "")
            count = split(add, words, " ")
            for (i = 1; i <= count; i++) if (index($0 " ", " " words[i] " ") == 0) sub(/[ \t]*$/, " " words[i])
        }
        { print }'
}

# KRN-16 OPS-04
while IFS= read -r path; do
    rewrite "${path#"$ROOT"}" arguments '^[ \t]*(linux|linuxefi|options)[ \t]'
done < <(compgen -G "$ROOT/boot/grub*/grub.cfg" || true; compgen -G "$ROOT/boot/loader/entries/*.conf" || true)

# A quoted value: only words go, so that it stays one. KRN-16 OPS-04
rewrite /etc/default/grub sed -E '/^GRUB_CMDLINE/s/[ ]*(mitigations=off|selinux=0|audit=0|lockdown=[a-z]+)//g'
rewrite /etc/kernel/cmdline sed -E 's/[ ]*(mitigations=off|selinux=0|audit=0|lockdown=[a-z]+)//g'

# FIL-06
close 0600 /boot/grub2/grub.cfg /boot/grub/grub.cfg /boot/grub2/user.cfg
