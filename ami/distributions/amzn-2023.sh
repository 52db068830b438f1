# What Amazon Linux 2023 calls things. Data alone: every step is the same on each distribution.
# shellcheck shell=bash disable=SC2034

# How a package of ours is installed, and how a file and an installed package say "name version".
install_files=(dnf --assumeyes --quiet install)
identity_of_file=(rpm --query --package --queryformat '%{NAME} %{VERSION}-%{RELEASE}')
identity_installed=(rpm --query --queryformat '%{NAME} %{VERSION}-%{RELEASE}')
package_suffix=rpm

# From the distribution: what a control asks for, and jq for the manifest.
install_named=(dnf --assumeyes --quiet install)
remove_named=(dnf --assumeyes --quiet remove)
is_installed=(rpm --query --quiet)
wanted_packages=(audit chrony nftables jq)
unwanted_packages=(telnet-server rsh-server ypserv tftp-server vsftpd xinetd)

# One line "name version" for each installed package.
list_packages=(rpm --query --all --queryformat '%{NAME} %{VERSION}-%{RELEASE}.%{ARCH}\n')

time_unit=chronyd.service
nologin=/sbin/nologin

# What the kernel has to be told for SELinux: it is on by default.
selinux_arguments=""

# An update must not take the kernel or the runtime away from under modules and the kubelet (versionlock, made by the EKS image).
version_lock=/etc/dnf/plugins/versionlock.list
version_locked=('kernel[0-9.]*' 'containerd')
