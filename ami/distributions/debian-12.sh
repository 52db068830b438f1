# What Debian 12 calls things. No node runs it: the tests take the same steps on it, because it can be had everywhere.
# shellcheck shell=bash disable=SC2034

install_files=(dpkg --install)
identity_of_file=(dpkg-deb --show --showformat '${Package} ${Version}')
identity_installed=(dpkg-query --show --showformat '${Package} ${Version}')
package_suffix=deb

# The disk of the tests is made with what the tests need, and has no network.
install_named=(apt-get --quiet --yes install)
remove_named=(dpkg --purge)
is_installed=(dpkg-query --listfiles)
wanted_packages=()
unwanted_packages=(telnetd nis tftpd-hpa vsftpd xinetd openbsd-inetd)

list_packages=(dpkg-query --show --showformat '${Package} ${Version}.${Architecture}\n')

time_unit=chrony.service
nologin=/usr/sbin/nologin

# Debian's kernel would start AppArmor in its place.
selinux_arguments="security=selinux selinux=1"

# Debian has no such list.
version_lock=""
version_locked=()
