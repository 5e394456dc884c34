"""The keys by which customers' clients recognise this server.

Owns `keys/ssh_host_*_key` and their .pub files, in OpenSSH's form. Promises that keys found
are taken over as they are (a move to another machine must not alarm clients), that missing
ones are made, and that nobody but their owner can read them. Never prints a private key.
"""

from __future__ import annotations

import base64
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from tilldrop import journal
from tilldrop.errors import KeyUnusable
from tilldrop.public_keys import RSA_MIN_BITS, fingerprint
from tilldrop.secretfiles import PUBLIC_MODE, SECRET_MODE, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.hazmat.primitives.serialization.ssh import SSHPrivateKeyTypes

NEW_RSA_BITS = 3072  # 128 bits of strength (NIST SP 800-57), good beyond 2030
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class HostKey:
    """One host key. line: its public form, as known_hosts wants it. path: the private file."""

    path: Path
    kind: str
    bits: int
    fingerprint: str
    line: str


_MAKERS: dict[str, Callable[[], _Private]] = {
    "ssh_host_ed25519_key": ed25519.Ed25519PrivateKey.generate,
    "ssh_host_rsa_key": lambda: rsa.generate_private_key(65537, NEW_RSA_BITS),
}
# In the order in which clients are offered them. An ECDSA key is taken over from another server and
# never made: auditors object to its curve, and who knows it knows ed25519 or RSA as well.
_NAMES = ("ssh_host_ed25519_key", "ssh_host_ecdsa_key", "ssh_host_rsa_key")


def ensure(keys: Path) -> tuple[HostKey, ...]:
    """Take over the host keys in `keys` and make those that are missing.

    Raises KeyUnusable if one that is there cannot be used, OSError if one cannot be written.
    Cost: three small files; the first time about a second for the RSA key.
    """
    keys.mkdir(parents=True, exist_ok=True)
    for name, make in _MAKERS.items():
        path = keys / name
        if not path.exists():
            private = make().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
            write_whole(path, private)
            journal.host_key_made(kind=name, path=str(path))
    found = listing(keys)
    for key in found:
        _tighten(key.path)
        beside = key.path.with_name(key.path.name + ".pub")
        if not beside.exists():
            write_whole(beside, f"{key.line}\n".encode("ascii"), PUBLIC_MODE)
    return found


def listing(keys: Path) -> tuple[HostKey, ...]:
    """Describe the host keys that are there, for the operator to publish to customers.

    Raises KeyUnusable. Makes and changes nothing.
    """
    paths = (keys / name for name in _NAMES)
    return tuple(_describe(path) for path in paths if path.exists())


def _describe(path: Path) -> HostKey:
    private = _load(path)
    if not isinstance(private, _Private):
        raise KeyUnusable(f"{path}: is of a kind that is no longer secure")
    line = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    kind, encoded = line.split(" ")[:2]
    bits = 256 if isinstance(private, ed25519.Ed25519PrivateKey) else private.key_size
    if isinstance(private, rsa.RSAPrivateKey) and bits < RSA_MIN_BITS:
        raise KeyUnusable(f"{path}: has {bits} bits; an RSA key needs {RSA_MIN_BITS}")
    return HostKey(path, kind, bits, fingerprint(base64.b64decode(encoded)), line)


def _load(path: Path) -> SSHPrivateKeyTypes | PrivateKeyTypes:
    """Read OpenSSH's form, or the PEM form in which servers before 2018 made their keys."""
    try:
        content = path.read_bytes()
        load = load_ssh_private_key if b"BEGIN OPENSSH" in content else load_pem_private_key
        return load(content, password=None)
    except OSError as problem:
        raise KeyUnusable(f"{path}: cannot be read: {problem.strerror}") from problem
    except TypeError as problem:
        raise KeyUnusable(f"{path}: has a passphrase, which a daemon cannot type") from problem
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise KeyUnusable(f"{path}: is not a private key that can be read") from problem


def _tighten(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        path.chmod(SECRET_MODE)
        journal.host_key_tightened(path=str(path), mode=f"{mode:04o}")
