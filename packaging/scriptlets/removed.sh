# shellcheck shell=sh disable=SC2154  # packaging/build says what they are
# After the files of $package are gone. Settings and state stay: a checkpoint that is lost means lines that are delivered twice.
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
