"""Hashes that another server made: which are taken, and that their passwords go on working."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import argon2
import bcrypt
import pytest

from tilldrop import passwords
from tilldrop.config import Config, ImporterSettings, Limits, LogSettings, Paths, SftpDoor
from tilldrop.config_customers import Customer
from tilldrop.customers import Customers

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "Grüße-2026"
# Made by `openssl passwd -6`, PHP's password_hash and Apache's htpasswd -B, the last two by hand.
SHA512 = (
    "$6$abcdefgh$JovyXxLDc4c6X/LxsDGF7LRG.drngF6GVZgHfSFdkoXhOdvcnukaNH9ufI9y5ZYLvgVmDnyVuQNoR"
    ".tKUh4KA/"
)
BCRYPT = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
ARGON2I = argon2.PasswordHasher(1, 64, 1, type=argon2.Type.I).hash(PASSWORD)


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        pytest.param(SHA512, "sha512-crypt", id="sha512-crypt"),
        pytest.param(
            "$6$rounds=1000$" + SHA512.removeprefix("$6$"), "sha512-crypt", id="with-rounds"
        ),
        pytest.param(BCRYPT, "bcrypt", id="2b"),
        pytest.param("$2y$" + BCRYPT[4:], "bcrypt", id="2y-of-php"),
        pytest.param("$2a$" + BCRYPT[4:], "bcrypt", id="2a"),
        pytest.param(ARGON2I, "argon2i", id="argon2i"),
        pytest.param(passwords.made("x"), "argon2id", id="ours"),
    ],
)
def test_kind_of_a_hash_is_told(stored: str, kind: str) -> None:
    assert passwords.kind(stored) == kind


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param("", id="empty"),
        pytest.param("ahoy-there", id="plain-password"),
        pytest.param("$1$abc$def", id="md5-crypt"),
        pytest.param("*", id="locked"),
        pytest.param("!" + SHA512, id="locked-in-shadow"),
        pytest.param(BCRYPT[:-1], id="bcrypt-cut"),
        pytest.param("$2b$15$" + BCRYPT[7:], id="bcrypt-too-costly"),
        pytest.param("$2b$03$" + BCRYPT[7:], id="bcrypt-too-cheap-for-its-library"),
        pytest.param("$6$rounds=9999999$" + SHA512[3:], id="too-many-rounds"),
        pytest.param("$argon2id$v=19$m=65536", id="argon2-cut"),
        pytest.param(ARGON2I.replace("m=64", "m=9999999"), id="argon2-of-too-much-memory"),
        pytest.param(ARGON2I.replace("t=1", "t=99"), id="argon2-of-too-many-passes"),
    ],
)
def test_what_is_no_bearable_hash_is_refused_without_repeating_it(stored: str) -> None:
    with pytest.raises(ValueError, match=r"argon2|bcrypt|sha512-crypt") as refused:
        passwords.kind(stored)
    assert not stored or stored not in str(refused.value)


def test_hash_of_openssl_is_that_passwords_and_no_others() -> None:
    assert passwords.matches(SHA512, "hello-there")
    assert not passwords.matches(SHA512, "hello-there ")
    made = subprocess.run(
        ("openssl", "passwd", "-6", "-salt", "x.Y/z", PASSWORD), capture_output=True, check=True
    )
    assert passwords.matches(made.stdout.decode().strip(), PASSWORD)


@pytest.mark.parametrize(
    "stored", [BCRYPT, "$2y$" + BCRYPT[4:], ARGON2I], ids=["2b", "2y", "argon2i"]
)
def test_hash_is_that_passwords_and_no_others(stored: str) -> None:
    assert passwords.matches(stored, PASSWORD)
    assert not passwords.matches(stored, "Grüße-2027")
    assert not passwords.matches(stored, "")
    assert not passwords.matches(stored, "nul\0in it")


def test_password_typed_in_another_composition_is_the_same() -> None:
    assert passwords.matches(BCRYPT, "Gru\u0308ße-2026")


def test_bcrypt_looks_at_72_bytes_as_it_always_did() -> None:
    stored = bcrypt.hashpw(b"a" * 72, bcrypt.gensalt(4)).decode()
    assert passwords.matches(stored, "a" * 100)
    assert not passwords.matches(stored, "a" * 71)


def test_only_our_own_hash_is_up_to_date() -> None:
    assert not passwords.is_outdated(passwords.made(PASSWORD))
    weaker = argon2.PasswordHasher(1, 64, 1).hash(PASSWORD)
    for stored in (SHA512, BCRYPT, ARGON2I, weaker):
        assert passwords.is_outdated(stored)


# -- at a login ----------------------------------------------------------------------------------


@pytest.fixture
def customers(tmp_path: Path) -> Customers:
    shop = Customer(
        name="shop",
        disabled=False,
        zone="Europe/Berlin",
        currency="EUR",
        finishing_rename=True,
        feeds=(),
    )
    config = Config(
        Paths(tmp_path, tmp_path / "var"),
        SftpDoor(),
        limits=Limits(),
        importer=ImporterSettings(),
        log=LogSettings(),
        customers={"shop": shop},
    )
    return Customers(tmp_path / "keys", lambda: config)


def kept(folder: Path) -> str:
    return (folder / "keys" / "customers" / "shop.password").read_text().strip()


def test_first_right_login_replaces_a_hash_that_was_brought_along(
    customers: Customers, tmp_path: Path
) -> None:
    customers.set_password_hash("shop", BCRYPT)
    assert customers.check_password("shop", "wrong") is None
    assert kept(tmp_path) == BCRYPT
    assert customers.check_password("shop", PASSWORD) is not None
    assert passwords.kind(kept(tmp_path)) == "argon2id"
    assert not passwords.is_outdated(kept(tmp_path))
    assert customers.check_password("shop", PASSWORD) is not None
    assert customers.check_password("shop", "wrong") is None


def test_a_password_set_meanwhile_is_not_overwritten(
    customers: Customers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers.set_password_hash("shop", BCRYPT)
    newer = passwords.made("the-new-one")
    matches = passwords.matches

    def set_meanwhile(stored: str, password: str) -> bool:
        found = matches(stored, password)
        if stored == BCRYPT:
            customers.set_password_hash("shop", newer)
        return found

    monkeypatch.setattr(passwords, "matches", set_meanwhile)
    assert customers.check_password("shop", PASSWORD) is not None
    assert kept(tmp_path) == newer


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_login_succeeds_where_keys_cannot_be_written(customers: Customers, tmp_path: Path) -> None:
    customers.set_password_hash("shop", BCRYPT)
    folder = tmp_path / "keys" / "customers"
    folder.chmod(0o500)
    try:
        assert customers.check_password("shop", PASSWORD) is not None
    finally:
        folder.chmod(0o700)
    assert kept(tmp_path) == BCRYPT
