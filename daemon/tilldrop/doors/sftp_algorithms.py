"""The algorithms that SFTP's doors offer, by allow-list.

Owns two lists: MODERN for `[sftp]`, in which nothing rests on SHA-1, on CBC or on fewer than 2048
bits, and LEGACY for `[sftp_legacy]`, which adds what tills made before 2016 need. Never chooses
between them: the configuration opens one door or two.
"""

from __future__ import annotations

from dataclasses import dataclass

# Key exchange: curve25519 is all that clients of the last ten years need (OpenSSH, PuTTY, WinSCP,
# paramiko, libssh2 1.10); the fixed groups are for machines without it, such as JSch on Java 8.
# Not among them: the NIST curves; group exchange, where asyncssh agrees to 1024 bits if asked; and
# group 18, which no client needs that does not know 16, and which takes 17 ms of everybody's time.
KEY_EXCHANGES = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)
# The two that are not encrypt-then-MAC are the best that curl's libssh2 1.10 and PuTTY's
# oldest kin know; a client takes its own first choice, so newer ones never use them.
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
SIGNATURES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
)

# What JSch 0.1, SharpSSH, old Rebex and WinSCP, and OpenSSH before 5.9 come down to. Broken in
# theory and nearly so in practice; still no single DES, RC4, MD5, group 1 or DSA.
OLD_KEY_EXCHANGES = ("diffie-hellman-group14-sha1",)
OLD_CIPHERS = ("aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc")
OLD_MACS = ("hmac-sha1",)
OLD_SIGNATURES = ("ssh-rsa",)


@dataclass(frozen=True, slots=True)
class Algorithms:
    """What one door offers, in its order. signatures: of host keys and of customers' keys."""

    key_exchanges: tuple[str, ...]
    ciphers: tuple[str, ...]
    macs: tuple[str, ...]
    signatures: tuple[str, ...]
    is_legacy: bool = False


MODERN = Algorithms(KEY_EXCHANGES, CIPHERS, MACS, SIGNATURES)
LEGACY = Algorithms(
    KEY_EXCHANGES + OLD_KEY_EXCHANGES,
    CIPHERS + OLD_CIPHERS,
    MACS + OLD_MACS,
    SIGNATURES + OLD_SIGNATURES,
    is_legacy=True,
)
