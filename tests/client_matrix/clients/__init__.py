"""One module for each family of clients; `ALL` is the rows of the matrix, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.client_matrix.clients import (
    classic_ftp,
    curl,
    filezilla,
    lftp,
    openssh,
    putty,
    python_ftp,
    python_sftp,
    rclone,
    snippets,
)

if TYPE_CHECKING:
    from tests.client_matrix.driver import Driver

ALL: tuple[type[Driver], ...] = (
    openssh.Sftp,
    openssh.Scp,
    openssh.Sshfs,
    putty.Psftp,
    putty.Pscp,
    filezilla.FileZilla,
    python_sftp.WinScp,
    lftp.Lftp,
    rclone.Rclone160,
    rclone.Rclone,
    curl.Curl,
    python_sftp.Paramiko,
    snippets.Pysftp,
    python_sftp.Asyncssh,
    python_sftp.FsspecSftp,
    snippets.Ssh2SftpClient,
    snippets.Jsch,
    snippets.NetSftpForeign,
    lftp.LftpFtp,
    rclone.Rclone160Ftp,
    rclone.RcloneFtp,
    curl.CurlFtp,
    classic_ftp.Ncftp,
    classic_ftp.Tnftp,
    classic_ftp.InetutilsFtp,
    classic_ftp.Wput,
    python_ftp.Ftplib,
    python_ftp.Aioftp,
    python_ftp.FsspecFtp,
    snippets.BasicFtp,
    snippets.CommonsNet,
    lftp.LftpFtps,
    rclone.RcloneFtps,
    curl.CurlFtps,
    python_ftp.FtplibTls,
    snippets.BasicFtps,
    snippets.CommonsNetTls,
)
