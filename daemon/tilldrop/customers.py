"""Who may knock: passwords and public keys of customers.

Owns `keys/customers/`: NAME.password (one hash, see `passwords`) and NAME.pub (public keys).
Promises that a wrong password, an unknown customer, a disabled one, one from where it may not come
and one without a password are refused alike and after the same work. A hash that was brought along
costs its own on top, so its customer can be told from an unknown one by the time until its first
login, at which ours replaces it. Never keeps a password, never logs a key.

A .pub file holds any number of keys, each either

    an authorized_keys line:   [options] ssh-ed25519 AAAAC3... comment
    an RFC 4716 block:         ---- BEGIN SSH2 PUBLIC KEY ---- ... (what PuTTYgen saves)

with empty lines and `#` comments between them. Taken are ed25519, ECDSA on the three NIST
curves, and RSA from 2048 bits. Of the options only those are taken that forbid what the door
forbids anyway; one that would narrow a key (`from=`, `command=`) is refused rather than
ignored, because who wrote it relies on it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from tilldrop import journal, passwords
from tilldrop.errors import KeyUnusable, NoSuchCustomer
from tilldrop.secretfiles import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tilldrop.config import Config
    from tilldrop.config_customers import Customer

RSA_MIN_BITS = 2048  # NIST SP 800-131A: below is no longer acceptable
MAX_KEY_FILE_BYTES = 256 * 1024  # some 500 keys
MAX_PASSWORD_FILE_BYTES = 4096  # a hash takes about 100

# 31 signs without look-alikes: a person can read them out over the telephone.
_PASSWORD_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # noqa: S105  an alphabet
_PASSWORD_GROUPS = 4
_PASSWORD_GROUP_CHARS = 5

_BITS_OF_KIND = {
    "ssh-ed25519": 256,
    "ecdsa-sha2-nistp256": 256,
    "ecdsa-sha2-nistp384": 384,
    "ecdsa-sha2-nistp521": 521,
}
_RSA = "ssh-rsa"
_HARMLESS_OPTIONS = frozenset(
    {
        "restrict",
        "no-agent-forwarding",
        "no-port-forwarding",
        "no-pty",
        "no-user-rc",
        "no-x11-forwarding",
    }
)
_BLOCK_BEGINS = "---- BEGIN SSH2 PUBLIC KEY ----"
_BLOCK_ENDS = "---- END SSH2 PUBLIC KEY ----"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key of a customer. blob: RFC 4253 wire form. fingerprint: as `ssh-keygen -l` says."""

    kind: str
    blob: bytes
    comment: str
    bits: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Complaint:
    """Why a line of a .pub file is not a usable key."""

    line: int
    why: str


def fingerprint(blob: bytes) -> str:
    """Say a public key's SHA-256 fingerprint as OpenSSH writes it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    return "SHA256:" + digest.rstrip("=")


def generate_password() -> str:
    """Make a password of 99 random bits that survives a shell, a telephone and an e-mail."""
    groups = (
        "".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(_PASSWORD_GROUP_CHARS))
        for _ in range(_PASSWORD_GROUPS)
    )
    return "-".join(groups)


def read_keys(path: Path) -> tuple[PublicKey, ...]:
    """Read every key of a .pub file.

    Raises KeyUnusable naming the file and, one a line, each line that is no usable key and
    why; also if the file cannot be read or holds no key. Cost: one small file.
    """
    return keys_in(_text_of(path), str(path))


def keys_in(text: str, where: str) -> tuple[PublicKey, ...]:
    """Read every key of a .pub file's text. where: what complaints name. Raises as `read_keys`."""
    keys, complaints = _scan(text)
    if complaints:
        raise KeyUnusable("\n".join(f"{where}:{each.line}: {each.why}" for each in complaints))
    if not keys:
        raise KeyUnusable(f"{where}: there is no key in it")
    return keys


class Customers:
    """The customers' passwords and keys beneath `keys`; config_of: the configuration now."""

    def __init__(self, keys: Path, config_of: Callable[[], Config]) -> None:
        self._folder = keys / "customers"
        self._config_of = config_of
        # What is verified when there is nothing to verify, so that the work is the same.
        self._no_one = passwords.made(secrets.token_hex())
        self._replacing = threading.Lock()
        self._known: dict[str, tuple[object, tuple[PublicKey, ...]]] = {}
        self._listed: dict[str, set[str]] = {}  # fingerprints, over reloads

    def check_password(self, name: str, password: str, peer: str = "") -> Customer | None:
        """Return the customer whose password this is, if it may log in from there; else None.

        Blocks for one argon2id verification whatever the answer, and for that of a hash that was
        brought along: call it in an executor.
        """
        customer = self._config_of().customers.get(name)
        stored = self._password_hash(name) if customer is not None else None
        outdated = stored is not None and passwords.is_outdated(stored)
        matches = passwords.matches(self._no_one if outdated else stored or self._no_one, password)
        if outdated and stored is not None:
            matches = passwords.matches(stored, password)
        if customer is None or stored is None or not matches or not customer.may_enter_from(peer):
            return None
        if outdated:
            self._replace(name, stored, password)
        return customer

    def has_password(self, name: str) -> bool:
        """Tell whether a password is set."""
        return self._path(name, "password").is_file()

    def set_password(self, name: str, password: str) -> None:
        """Store the hash of a customer's new password, durably.

        Raises NoSuchCustomer if the name cannot be one, OSError. Blocks for one hash.
        """
        self.set_password_hash(name, passwords.made(password))

    def set_password_hash(self, name: str, stored: str) -> None:
        """Store a hash that `passwords.kind` takes, durably. Raises as `set_password`."""
        path = self._path(name, "password")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, stored.encode("ascii") + b"\n")

    def _replace(self, name: str, before: str, password: str) -> None:
        """Replace a hash that was brought along by ours, unless it has changed meanwhile."""
        ours = passwords.made(password)
        with self._replacing:
            if self._password_hash(name) != before:
                return
            try:
                self.set_password_hash(name, ours)
            except OSError as problem:
                why = problem.strerror or type(problem).__name__
                journal.password_not_replaced(customer=name, why=why)
            else:
                journal.password_replaced(customer=name, before=passwords.kind(before))

    def keys(self, name: str, peer: str = "") -> tuple[PublicKey, ...]:
        """Return the keys with which that customer may log in now from there; none if it may not.

        A line that is no usable key is logged and left out. Cost: one stat, unless it has changed.
        """
        customer = self._config_of().customers.get(name)
        if customer is None or not customer.may_enter_from(peer):
            return ()
        path = self._path(name, "pub")
        try:
            found = path.stat()
        except OSError:
            return ()
        version = (found.st_mtime_ns, found.st_size, found.st_ino)
        known = self._known.get(name)
        if known is None or known[0] != version:
            if (keys := self._read_usable(name, path)) is None:
                return ()  # not remembered: the disk may read it next time
            known = self._known[name] = (version, keys)
            self._tell_changed(name, keys)
        return known[1]

    def _tell_changed(self, name: str, keys: tuple[PublicKey, ...]) -> None:
        """Say which keys are others than they were in this life, whoever wrote the file."""
        now = {key.fingerprint for key in keys}
        before = self._listed.get(name, now)
        self._listed[name] = now
        if now != before:
            journal.keys_changed(name, sorted(now - before), sorted(before - now))

    def reload(self) -> None:
        """Forget the keys read so far, so that each file is read again."""
        self._known = {}

    def _read_usable(self, name: str, path: Path) -> tuple[PublicKey, ...] | None:
        try:
            keys, complaints = _scan(_text_of(path))
        except KeyUnusable as problem:
            journal.key_refused(customer=name, line=None, why=str(problem))
            return None if isinstance(problem.__cause__, OSError) else ()
        for each in complaints:
            journal.key_refused(customer=name, line=each.line, why=each.why)
        return keys

    def _path(self, name: str, suffix: str) -> Path:
        if not name or name.startswith(".") or "/" in name or "\0" in name:
            raise NoSuchCustomer(f"{name!r} cannot be a customer's name")
        return self._folder / f"{name}.{suffix}"

    def _password_hash(self, name: str) -> str | None:
        path = self._path(name, "password")
        try:
            with path.open("rb") as file:
                stored = file.read(MAX_PASSWORD_FILE_BYTES).decode("ascii").strip()
            passwords.kind(stored)
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            journal.password_unreadable(customer=name, why="not a text file")
            return None
        except OSError as problem:
            why = problem.strerror or type(problem).__name__
            journal.password_unreadable(customer=name, why=why)
            return None
        except ValueError as problem:
            journal.password_unreadable(customer=name, why=str(problem))
            return None
        return stored


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as problem:
        raise KeyUnusable(f"{path}: cannot be read: {problem.strerror}") from problem
    if len(content) > MAX_KEY_FILE_BYTES:
        raise KeyUnusable(f"{path}: is larger than {MAX_KEY_FILE_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")  # Windows editors put a byte order mark
    except UnicodeDecodeError as problem:
        raise KeyUnusable(f"{path}: is not a text file") from problem


def _scan(text: str) -> tuple[tuple[PublicKey, ...], tuple[_Complaint, ...]]:
    keys: list[PublicKey] = []
    complaints: list[_Complaint] = []
    for line, entry in _entries(text):
        try:
            keys.append(_key_of_block(entry) if len(entry) > 1 else _key_of_line(entry[0]))
        except ValueError as problem:
            complaints.append(_Complaint(line, str(problem)))
    return tuple(keys), tuple(complaints)


def _entries(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, lines) of each key: one line, or the lines of a block."""
    block: list[str] = []
    began = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if block:
            block.append(line)
            if line == _BLOCK_ENDS:
                yield began, block
                block = []
        elif line == _BLOCK_BEGINS:
            block, began = [line, ""], number  # never a single line, even if it ends here
        elif line.startswith(("-----BEGIN", "PuTTY-User-Key-File")):
            yield number, [line]
            return  # the rest is its inside: one complaint is enough
        elif line and not line.startswith("#"):
            yield number, [line]
    if block:
        yield began, block


def _key_of_block(lines: list[str]) -> PublicKey:
    """Read an RFC 4716 block; its headers may go on over lines that end in a backslash."""
    if lines[-1] != _BLOCK_ENDS:
        raise ValueError(f"the block that begins here has no line {_BLOCK_ENDS!r}")
    comment, encoded, header = "", [], ""
    for line in lines[1:-1]:
        if header or ":" in line:
            header += line.removesuffix("\\")
            if not line.endswith("\\"):
                tag, _, value = header.partition(":")
                comment = value.strip().strip('"') if tag.lower() == "comment" else comment
                header = ""
        else:
            encoded.append(line)
    return _key(None, "".join(encoded), comment)


def _key_of_line(line: str) -> PublicKey:
    if "PRIVATE KEY" in line or line.startswith("PuTTY-User-Key-File"):
        raise ValueError(
            "this is a private key, which must stay with the customer; its public key is needed"
        )
    if line.startswith("-----BEGIN"):
        raise ValueError(
            "this form is not taken; `ssh-keygen -i -m PKCS8 -f FILE` turns it into one that is"
        )
    options, kind, rest = _split_line(line)
    for option in options:
        if option.lower() not in _HARMLESS_OPTIONS:
            raise ValueError(f"the option {option!r} is not supported, so the key is not used")
    encoded, _, comment = rest.partition(" ")
    return _key(kind, encoded, comment.strip())


def _split_line(line: str) -> tuple[list[str], str, str]:
    """Split an authorized_keys line into options, kind and the rest."""
    first, rest = _cut_at_blank(line)
    if _looks_like_kind(first):
        return [], first, rest.strip()
    kind, encoded = _cut_at_blank(rest.strip())
    if not _looks_like_kind(kind):
        raise ValueError("this is neither a public key nor a comment")
    return _split_outside_quotes(first, ","), kind, encoded.strip()


def _looks_like_kind(word: str) -> bool:
    return word.startswith(("ssh-", "ecdsa-sha2-", "sk-", "rsa-sha2-"))


def _cut_at_blank(line: str) -> tuple[str, str]:
    head = _split_outside_quotes(line.replace("\t", " "), " ")[0]
    return head, line[len(head) :]


def _split_outside_quotes(text: str, separator: str) -> list[str]:
    parts, quoted = [""], False
    for char in text:
        if char == '"':
            quoted = not quoted
        if char == separator and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _key(announced: str | None, encoded: str, comment: str) -> PublicKey:
    """Check a key and describe it. Raises ValueError saying what is wrong with it."""
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error as problem:
        raise ValueError("the key is damaged: it is not base64") from problem
    kind = _kind_of(blob)
    if announced is not None and announced != kind:
        raise ValueError(f"the line says {announced} but the key in it is {kind}")
    _refuse_kind(kind)
    try:
        key = load_ssh_public_key(f"{kind} {encoded}".encode("ascii"))
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise ValueError("the key is damaged: it does not decode") from problem
    bits = key.key_size if isinstance(key, RSAPublicKey) else _BITS_OF_KIND[kind]
    if kind == _RSA and bits < RSA_MIN_BITS:
        raise ValueError(f"an RSA key of {bits} bits is too short; {RSA_MIN_BITS} are needed")
    return PublicKey(kind, blob, comment, bits, fingerprint(blob))


def _kind_of(blob: bytes) -> str:
    length = int.from_bytes(blob[:4], "big")
    kind = blob[4 : 4 + length]
    if not kind or len(kind) != length or not kind.isascii() or not kind.decode().isprintable():
        raise ValueError("the key is damaged: it does not begin with its kind")
    return kind.decode("ascii")


def _refuse_kind(kind: str) -> None:
    if kind == _RSA or kind in _BITS_OF_KIND:
        return
    if kind == "ssh-dss":
        raise ValueError("DSA keys are no longer secure; an ed25519 key is best")
    if kind.startswith("sk-"):
        raise ValueError(f"keys on security tokens ({kind}) need a person; use an ed25519 key")
    if "-cert-" in kind:
        raise ValueError(f"certificates ({kind}) are not supported; use the plain public key")
    raise ValueError(f"keys of kind {kind} are not supported; an ed25519 key is best")
