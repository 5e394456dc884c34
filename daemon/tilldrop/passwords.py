"""Password hashes: made as argon2id, verified in whatever form they were brought along.

Owns what a hash may look like and how much work one may ask for. Taken are argon2 (id, i, d),
bcrypt ($2a$, $2b$, $2y$) and sha512-crypt ($6$), so that customers of another server keep their
passwords; whatever is not argon2id as made here is `outdated` and gets replaced after a login.
Never keeps a password, never reads or writes a file.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import argon2
import bcrypt
from passlib.hash import sha512_crypt

if TYPE_CHECKING:
    from collections.abc import Iterator

# OWASP's first choice for argon2id (Password Storage Cheat Sheet; as strong as RFC 9106's
# low-memory set). 21 ms and 19 MiB a try on a 2-core VPS, where RFC 9106's takes 113 ms and
# 64 MiB: logins come without a guess-proof limit before them, so a try must be cheap to bear.
ARGON2_PASSES = 2
ARGON2_MEMORY_KIB = 19 * 1024
ARGON2_LANES = 1

# A try must not take a core for more than about a second, nor the memory that imports need.
ARGON2_PASSES_MOST = 10
ARGON2_MEMORY_KIB_MOST = 256 * 1024
BCRYPT_COSTS = range(4, 15)  # 14 takes 1.0 s; 12, the usual one, 0.25 s
SHA512_ROUNDS_MOST = 1_000_000  # 0.5 s; 5,000, the usual ones, 3 ms
BCRYPT_PASSWORD_BYTES = 72  # bcrypt never looked further

_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_SHA512 = re.compile(r"\$6\$(?:rounds=([0-9]{1,9})\$)?[./A-Za-z0-9]{0,16}\$[./A-Za-z0-9]{86}")

_hasher = argon2.PasswordHasher(
    time_cost=ARGON2_PASSES, memory_cost=ARGON2_MEMORY_KIB, parallelism=ARGON2_LANES
)


def made(password: str) -> str:
    """Return the argon2id hash of a password. Blocks for 21 ms."""
    return _hasher.hash(_composed(password))


def kind(stored: str) -> str:
    """Name a hash's kind: "argon2id", "argon2i", "argon2d", "bcrypt" or "sha512-crypt".

    Raises ValueError saying why it is not taken; the hash itself is not repeated.
    """
    if stored.startswith("$argon2"):
        return _kind_of_argon2(stored)
    if found := _BCRYPT.fullmatch(stored):
        if int(found[1]) not in BCRYPT_COSTS:
            raise ValueError(f"bcrypt of cost {found[1]}; 4 to {BCRYPT_COSTS[-1]} are taken")
        return "bcrypt"
    if found := _SHA512.fullmatch(stored):
        if int(found[1] or 0) > SHA512_ROUNDS_MOST:
            raise ValueError(f"sha512-crypt of more than {SHA512_ROUNDS_MOST:,} rounds")
        return "sha512-crypt"
    raise ValueError("no hash of a kind that is taken: argon2, bcrypt ($2b$) or sha512-crypt ($6$)")


def matches(stored: str, password: str) -> bool:
    """Tell whether a hash that `kind` takes is that password's. Blocks for the hash's own work."""
    if stored.startswith("$argon2"):
        return _matches_argon2(stored, _composed(password))
    return any(_matches_old(stored, one) for one in _as_typed(password))


def is_outdated(stored: str) -> bool:
    """Tell whether a hash is of another kind or strength than those made here."""
    return not stored.startswith("$argon2id$") or _hasher.check_needs_rehash(stored)


def _kind_of_argon2(stored: str) -> str:
    try:
        found = argon2.extract_parameters(stored)
    except argon2.exceptions.InvalidHashError as problem:
        raise ValueError("a damaged argon2 hash") from problem
    if found.memory_cost > ARGON2_MEMORY_KIB_MOST or found.time_cost > ARGON2_PASSES_MOST:
        raise ValueError(
            f"argon2 of {found.memory_cost} KiB and {found.time_cost} passes;"
            f" up to {ARGON2_MEMORY_KIB_MOST} KiB and {ARGON2_PASSES_MOST} are taken"
        )
    return f"argon2{found.type.name.lower()}"


def _matches_argon2(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except argon2.exceptions.VerificationError:
        return False


def _matches_old(stored: str, password: bytes) -> bool:
    try:
        if stored.startswith("$2"):
            return bcrypt.checkpw(password[:BCRYPT_PASSWORD_BYTES], stored.encode("ascii"))
        return bool(sha512_crypt.verify(password, stored))
    except ValueError:
        return False  # a NUL, say, which no password of theirs can hold


def _composed(password: str) -> str:
    # One password typed on two systems may be composed differently (RFC 4013).
    return unicodedata.normalize("NFKC", password)


def _as_typed(password: str) -> Iterator[bytes]:
    """Yield the bytes that another server may have hashed: as they came, and composed."""
    yield password.encode(errors="surrogateescape")
    if _composed(password) != password:
        yield _composed(password).encode(errors="surrogateescape")
