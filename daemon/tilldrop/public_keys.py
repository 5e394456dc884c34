"""Public keys as customers send them: what a .pub file holds.

Owns the reading of `keys/customers/NAME.pub` and of keys that are about to be put there. A file
holds any number of keys, each either

    an authorized_keys line:   [options] ssh-ed25519 AAAAC3... comment
    an RFC 4716 block:         ---- BEGIN SSH2 PUBLIC KEY ---- ... (what PuTTYgen saves)

with empty lines and `#` comments between them. Taken are ed25519, ECDSA on the three NIST
curves, and RSA from 2048 bits. Of the options only those are taken that forbid what the door
forbids anyway; one that would narrow a key (`from=`, `command=`) is refused rather than
ignored, because who wrote it relies on it. Never decides who may log in: `customers` does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from tilldrop.errors import KeyUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RSA_MIN_BITS = 2048  # NIST SP 800-131A: below is no longer acceptable
MAX_KEY_FILE_BYTES = 256 * 1024  # some 500 keys

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
class Complaint:
    """Why a line of a .pub file is not a usable key."""

    line: int
    why: str


def fingerprint(blob: bytes) -> str:
    """Say a public key's SHA-256 fingerprint as OpenSSH writes it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    return "SHA256:" + digest.rstrip("=")


def read_keys(path: Path) -> tuple[PublicKey, ...]:
    """Read every key of a .pub file.

    Raises KeyUnusable naming the file and, one a line, each line that is no usable key and
    why; also if the file cannot be read or holds no key. Cost: one small file.
    """
    return keys_in(text_of(path), str(path))


def keys_in(text: str, where: str) -> tuple[PublicKey, ...]:
    """Read every key of a .pub file's text. where: what complaints name. Raises as `read_keys`."""
    keys, complaints = scan(text)
    if complaints:
        raise KeyUnusable("\n".join(f"{where}:{each.line}: {each.why}" for each in complaints))
    if not keys:
        raise KeyUnusable(f"{where}: there is no key in it")
    return keys


def text_of(path: Path) -> str:
    """Return the text of a .pub file. Raises KeyUnusable, with the OSError as its cause."""
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


def scan(text: str) -> tuple[tuple[PublicKey, ...], tuple[Complaint, ...]]:
    """Return the usable keys of a .pub file's text, and what is wrong with the other lines."""
    keys: list[PublicKey] = []
    complaints: list[Complaint] = []
    for line, entry in _entries(text):
        try:
            keys.append(_key_of_block(entry) if len(entry) > 1 else _key_of_line(entry[0]))
        except ValueError as problem:
            complaints.append(Complaint(line, str(problem)))
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
