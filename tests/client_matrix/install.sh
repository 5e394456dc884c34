#!/bin/sh
# Installs what the matrix of clients drives, as far as it is not here yet: programs from Debian's
# packages, libraries from npm and PyPI into the folder that is named.
# usage: install.sh PYTHON FOLDER
set -eu
python=$1
folder=$2
here=$(dirname "$0")

sh "$here/../install-programs.sh" sftp scp ssh ssh-keygen sshpass rclone psftp curl lftp

missing=
need() { # PACKAGE FILE
    [ -e "$2" ] || missing="$missing $1"
}
need sshfs /usr/bin/sshfs
need ncftp /usr/bin/ncftpput
need tnftp /usr/bin/tnftp
need inetutils-ftp /usr/bin/inetutils-ftp
need wput /usr/bin/wput
need filezilla /usr/bin/filezilla
need xvfb /usr/bin/Xvfb
need xdotool /usr/bin/xdotool
need nodejs /usr/bin/node
need npm /usr/bin/npm
need default-jdk-headless /usr/bin/javac
need libjsch-java /usr/share/java/jsch.jar
need libcommons-net-java /usr/share/java/commons-net.jar
need libnet-sftp-foreign-perl /usr/share/perl5/Net/SFTP/Foreign.pm
need libio-pty-perl "$(ls /usr/lib/*/perl5/*/IO/Pty.pm 2>/dev/null || echo none)"
if [ -n "$missing" ]; then
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    echo "Installing Debian packages:$missing"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086  # the list is meant to fall apart into words
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing
fi

mkdir -p "$folder"
if [ ! -d "$folder/node_modules/ssh2-sftp-client" ] || [ ! -d "$folder/node_modules/basic-ftp" ]; then
    (cd "$folder" && npm install --no-save --no-audit --no-fund ssh2-sftp-client@12 basic-ftp@6)
fi
if [ ! -d "$folder/pysftp/pysftp" ]; then
    "$python" -m pip install --quiet --target "$folder/pysftp" pysftp==0.2.9 'paramiko<4'
fi
