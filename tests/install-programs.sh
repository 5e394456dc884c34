#!/bin/sh
# Installs the programs named that are not here yet, from Debian's packages, saying so.
# Does nothing, and needs no rights, when all are here.
# usage: install-programs.sh PROGRAM...
set -eu

package_of() {
    case $1 in
        sftp | scp | ssh | ssh-keygen) echo openssh-client ;;
        sshd) echo openssh-server ;;
        psftp) echo putty-tools ;;
        systemd-analyze | systemd-sysusers | systemd-tmpfiles) echo systemd ;;
        setpriv | unshare) echo util-linux ;;
        fail2ban-regex) echo fail2ban ;;
        mkfs.ext4) echo e2fsprogs ;;
        ip) echo iproute2 ;;
        mount | faketime | openssl | python3-venv | rclone | sshpass | strace | sqlite3 | curl | lftp | sslscan) echo "$1" ;;
        *) echo "install-programs.sh: no package is known for $1" >&2; exit 64 ;;
    esac
}

# sshd stands outside an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/sbin

missing=
for program in "$@"; do
    command -v "$program" >/dev/null 2>&1 && continue
    package=$(package_of "$program")
    case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "Please install:$missing" >&2
    exit 69
fi
as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
echo "Installing Debian packages:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
    "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 74; }
}
quietly $as_root apt-get update -qq
# A package must not start a service on this machine: openssh-server would open port 22.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
    trap 'rm -f "$log"; $as_root rm -f $policy' EXIT
fi
# shellcheck disable=SC2086  # the list is meant to fall apart into words
quietly $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $missing
