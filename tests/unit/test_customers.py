"""Passwords and public keys of customers."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from tilldrop import passwords
from tilldrop.config import Config, ImporterSettings, Limits, LogSettings, Paths, SftpDoor
from tilldrop.config_customers import Customer
from tilldrop.customers import Customers, generate_password
from tilldrop.errors import KeyUnusable, NoSuchCustomer
from tilldrop.public_keys import fingerprint, read_keys

if TYPE_CHECKING:
    from pathlib import Path


def _config(home: Path, *customers: Customer) -> Config:
    return Config(
        paths=Paths(home=home, state=home / "var"),
        sftp=SftpDoor(),
        limits=Limits(),
        importer=ImporterSettings(),
        log=LogSettings(),
        customers={each.name: each for each in customers},
    )


SHOP = Customer(
    name="shop",
    disabled=False,
    zone="Europe/Berlin",
    currency="EUR",
    finishing_rename=True,
    feeds=(),
)


@pytest.fixture
def customers(tmp_path: Path) -> Customers:
    config = _config(tmp_path, SHOP, replace(SHOP, name="gone", disabled=True))
    return Customers(tmp_path / "keys", lambda: config)


def _make_key(folder: Path, *options: str) -> str:
    path = folder / "made"
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "till 7", "-f", path, *options], check=True)
    return path.with_name("made.pub").read_text().strip()


@pytest.fixture
def keys_of_shop(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "customers" / "shop.pub"
    path.parent.mkdir(parents=True)
    return path


# passwords


def test_right_password_is_taken_and_a_wrong_one_is_not(customers: Customers) -> None:
    customers.set_password("shop", "geheim")
    assert customers.check_password("shop", "geheim") == SHOP
    assert customers.check_password("shop", "geheim ") is None
    assert customers.check_password("shop", "") is None


def test_new_password_ends_the_old_one_at_once(customers: Customers) -> None:
    customers.set_password("shop", "old")
    customers.set_password("shop", "new")
    assert customers.check_password("shop", "old") is None
    assert customers.check_password("shop", "new") == SHOP


def test_disabled_unknown_and_passwordless_customers_are_refused(customers: Customers) -> None:
    customers.set_password("gone", "geheim")
    assert customers.check_password("gone", "geheim") is None
    assert customers.check_password("shop", "geheim") is None
    assert customers.check_password("nobody", "geheim") is None
    assert customers.check_password("../customers/gone", "geheim") is None


def test_customer_from_where_it_may_not_come_is_refused_after_the_same_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = replace(SHOP, sources=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))
    config = _config(tmp_path, narrow)
    customers = Customers(tmp_path / "keys", lambda: config)
    customers.set_password("shop", "geheim")
    asked: list[str] = []
    matches = passwords.matches

    def noted(stored: str, password: str) -> bool:
        asked.append(stored)
        return matches(stored, password)

    monkeypatch.setattr(passwords, "matches", noted)
    for peer in ("198.51.100.4", "2001:db9::1", ""):
        assert customers.check_password("shop", "geheim", peer) is None
        assert customers.keys("shop", peer) == ()
    assert len(set(asked)) == 1  # its own hash each time, as for a wrong password
    assert len(asked) == 3
    for peer in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"):
        assert customers.check_password("shop", "geheim", peer) == narrow


def test_every_refusal_takes_the_same_time(customers: Customers) -> None:
    customers.set_password("shop", "geheim")
    customers.set_password("gone", "geheim")

    def fastest_s(name: str, password: str) -> float:
        took = []
        for _ in range(5):
            began = time.process_time()
            customers.check_password(name, password)
            took.append(time.process_time() - began)
        return min(took)

    times = [
        fastest_s("shop", "wrong"),
        fastest_s("shop", "geheim"),
        fastest_s("gone", "geheim"),
        fastest_s("nobody", "geheim"),
    ]
    # Without the work, an answer takes a hundredth. Time of this process: others do not count.
    assert min(times) > max(times) / 2


def test_password_file_holds_an_argon2id_hash_that_only_the_owner_reads(
    customers: Customers, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        customers.set_password("shop", "geheim")
    finally:
        os.umask(before)
    folder = tmp_path / "keys" / "customers"
    path = folder / "shop.password"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert "geheim" not in path.read_text()
    assert [each.name for each in folder.iterdir()] == ["shop.password"]


@pytest.mark.parametrize("content", [b"", b"geheim\n", b"\xff\xfe", b"$argon2id$broken"])
def test_damaged_password_file_lets_nobody_in(
    customers: Customers, tmp_path: Path, content: bytes
) -> None:
    customers.set_password("shop", "geheim")
    (tmp_path / "keys" / "customers" / "shop.password").write_bytes(content)
    assert customers.check_password("shop", "geheim") is None


def test_password_composed_in_two_ways_is_one_password(customers: Customers) -> None:
    customers.set_password("shop", "gr\u00fcn")
    assert customers.check_password("shop", "gru\u0308n") == SHOP


def test_name_that_leads_elsewhere_gets_no_password(customers: Customers) -> None:
    for name in ("", "..", "../shop", "a/b", "a\0b"):
        with pytest.raises(NoSuchCustomer):
            customers.set_password(name, "geheim")


def test_generated_passwords_differ_and_need_no_quoting() -> None:
    made = {generate_password() for _ in range(100)}
    assert len(made) == 100
    assert all(each.replace("-", "").isalnum() and len(each) == 23 for each in made)


# public keys


@pytest.mark.parametrize(
    ("options", "kind", "bits"),
    [
        (("-t", "ed25519"), "ssh-ed25519", 256),
        (("-t", "ecdsa", "-b", "256"), "ecdsa-sha2-nistp256", 256),
        (("-t", "ecdsa", "-b", "384"), "ecdsa-sha2-nistp384", 384),
        (("-t", "ecdsa", "-b", "521"), "ecdsa-sha2-nistp521", 521),
        (("-t", "rsa", "-b", "2048"), "ssh-rsa", 2048),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
def test_key_of_an_accepted_kind_is_described_as_ssh_keygen_does(
    tmp_path: Path, options: tuple[str, ...], kind: str, bits: int
) -> None:
    path = tmp_path / "shop.pub"
    path.write_text(_make_key(tmp_path, *options) + "\n")
    (key,) = read_keys(path)
    assert (key.kind, key.bits, key.comment) == (kind, bits, "till 7")
    said = subprocess.run(["ssh-keygen", "-l", "-f", path], capture_output=True, check=True)
    assert said.stdout.decode().split()[:2] == [str(bits), key.fingerprint]
    assert fingerprint(key.blob) == key.fingerprint


@pytest.mark.parametrize("options", [("-t", "ed25519"), ("-t", "rsa", "-b", "2048")])
def test_rfc_4716_block_holds_the_same_key_as_its_authorized_keys_line(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    line = tmp_path / "line.pub"
    line.write_text(_make_key(tmp_path, *options) + "\n")
    block = subprocess.run(["ssh-keygen", "-e", "-f", line], capture_output=True, check=True).stdout
    (tmp_path / "block.pub").write_bytes(block.replace(b"\n", b"\r\n"))
    (key,) = read_keys(tmp_path / "block.pub")
    assert key.blob == read_keys(line)[0].blob
    assert "converted by" in key.comment


def test_rfc_4716_header_may_go_on_over_several_lines(tmp_path: Path) -> None:
    encoded = _make_key(tmp_path, "-t", "ed25519").split()[1]
    path = tmp_path / "shop.pub"
    path.write_text(
        "---- BEGIN SSH2 PUBLIC KEY ----\n"
        'Comment: "a long \\\nstory: of a till"\n'
        "x-made-by: someone\n"
        f"{encoded[:40]}\n{encoded[40:]}\n"
        "---- END SSH2 PUBLIC KEY ----\n"
    )
    (key,) = read_keys(path)
    assert key.comment == "a long story: of a till"


def test_several_keys_of_both_forms_stand_in_one_file(tmp_path: Path) -> None:
    first = _make_key(tmp_path, "-t", "ed25519")
    second = tmp_path / "second.pub"
    second.write_text(_make_key(tmp_path, "-t", "ecdsa") + "\n")
    block = subprocess.run(["ssh-keygen", "-e", "-f", second], capture_output=True, check=True)
    path = tmp_path / "shop.pub"
    path.write_text(
        f"\ufeff# head office\n{first}\n\n{block.stdout.decode()}restrict,no-pty {first}\n"
    )
    assert [key.kind for key in read_keys(path)] == [
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ssh-ed25519",
    ]


_DSA = "ssh-dss AAAAB3NzaC1kc3MAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
_TOKEN = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIGDfK4y1"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (_DSA, "DSA keys are no longer secure"),
        (_TOKEN, "security tokens"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==", "the key is damaged"),
        ("ssh-ed25519 not-base64!", "it is not base64"),
        ("ssh-ed25519", "the key is damaged"),
        ("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==", "says ssh-rsa but the key in it is ssh-ed25519"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "this is a private key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "this is a private key"),
        ("-----BEGIN PUBLIC KEY-----", "ssh-keygen -i -m PKCS8"),
        ("hello there world", "neither a public key nor a comment"),
        ("---- BEGIN SSH2 PUBLIC KEY ----", "has no line"),
    ],
    ids=lambda each: each[:24],
)
def test_unusable_key_is_refused_with_file_line_and_reason(
    tmp_path: Path, line: str, why: str
) -> None:
    path = tmp_path / "shop.pub"
    path.write_text(f"# the shop's\n{line}\n")
    with pytest.raises(KeyUnusable) as refusal:
        read_keys(path)
    assert str(refusal.value).startswith(f"{path}:2: ")
    assert why in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_rsa_key_of_1024_bits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.pub"
    path.write_text(_make_key(tmp_path, "-t", "rsa", "-b", "1024"))
    with pytest.raises(KeyUnusable, match="RSA key of 1024 bits is too short; 2048"):
        read_keys(path)


def test_certificate_is_refused(tmp_path: Path) -> None:
    _make_key(tmp_path, "-t", "ed25519")
    subprocess.run(
        ["ssh-keygen", "-q", "-s", "made", "-I", "x", "made.pub"], cwd=tmp_path, check=True
    )
    with pytest.raises(KeyUnusable, match="certificates"):
        read_keys(tmp_path / "made-cert.pub")


@pytest.mark.parametrize("option", ['from="10.0.0.0/8"', 'command="a b, c"', "cert-authority"])
def test_option_that_narrows_a_key_is_refused_not_ignored(tmp_path: Path, option: str) -> None:
    path = tmp_path / "shop.pub"
    path.write_text(f"restrict,{option} " + _make_key(tmp_path, "-t", "ed25519"))
    with pytest.raises(KeyUnusable, match="is not supported") as refusal:
        read_keys(path)
    assert option in str(refusal.value)


def test_every_bad_line_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "shop.pub"
    path.write_text(f"nonsense\n{_DSA}\n")
    with pytest.raises(KeyUnusable) as refusal:
        read_keys(path)
    assert [each.split(":")[1] for each in str(refusal.value).splitlines()] == ["1", "2"]


def test_missing_empty_binary_and_huge_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.pub"
    with pytest.raises(KeyUnusable, match="cannot be read"):
        read_keys(path)
    path.write_text("# none yet\n")
    with pytest.raises(KeyUnusable, match="there is no key in it"):
        read_keys(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KeyUnusable, match="not a text file"):
        read_keys(path)
    path.write_bytes(b"#" * 300_000)
    with pytest.raises(KeyUnusable, match="larger than"):
        read_keys(path)


def test_changed_key_file_counts_from_the_next_login(
    customers: Customers, keys_of_shop: Path, tmp_path: Path
) -> None:
    assert customers.keys("shop") == ()
    keys_of_shop.write_text(_make_key(tmp_path, "-t", "ed25519"))
    (first,) = customers.keys("shop")
    keys_of_shop.write_text(_make_key(tmp_path, "-t", "ecdsa"))
    (second,) = customers.keys("shop")
    assert (first.kind, second.kind) == ("ssh-ed25519", "ecdsa-sha2-nistp256")
    keys_of_shop.unlink()
    assert customers.keys("shop") == ()


def test_one_bad_line_does_not_shut_out_the_other_keys(
    customers: Customers, keys_of_shop: Path, tmp_path: Path
) -> None:
    keys_of_shop.write_text("nonsense\n" + _make_key(tmp_path, "-t", "ed25519"))
    assert len(customers.keys("shop")) == 1


def test_disabled_and_unknown_customers_have_no_keys(
    customers: Customers, keys_of_shop: Path, tmp_path: Path
) -> None:
    for name in ("gone", "nobody"):
        keys_of_shop.with_name(f"{name}.pub").write_text(_make_key(tmp_path, "-t", "ed25519"))
        assert customers.keys(name) == ()
