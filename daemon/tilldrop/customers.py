"""Who may knock: passwords and public keys of customers.

Owns `keys/customers/`: NAME.password (one hash, see `passwords`) and NAME.pub (public keys).
Promises that a wrong password, an unknown customer, a disabled one, one from where it may not come
and one without a password are refused alike and after the same work. A hash that was brought along
costs its own on top, so its customer can be told from an unknown one by the time until its first
login, at which ours replaces it. Never keeps a password, never logs a key. What a .pub file
holds is `public_keys`'s.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

from tilldrop import journal, passwords
from tilldrop.errors import KeyUnusable, NoSuchCustomer
from tilldrop.public_keys import scan, text_of
from tilldrop.secretfiles import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tilldrop.config import Config
    from tilldrop.config_customers import Customer
    from tilldrop.public_keys import PublicKey

MAX_PASSWORD_FILE_BYTES = 4096  # a hash takes about 100

# 31 signs without look-alikes: a person can read them out over the telephone.
_PASSWORD_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # noqa: S105  an alphabet
_PASSWORD_GROUPS = 4
_PASSWORD_GROUP_CHARS = 5


def generate_password() -> str:
    """Make a password of 99 random bits that survives a shell, a telephone and an e-mail."""
    groups = (
        "".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(_PASSWORD_GROUP_CHARS))
        for _ in range(_PASSWORD_GROUPS)
    )
    return "-".join(groups)


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
            keys, complaints = scan(text_of(path))
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
