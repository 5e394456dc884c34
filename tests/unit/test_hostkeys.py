"""Host keys: made once, taken over, kept private."""

from __future__ import annotations

import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tilldrop import hostkeys
from tilldrop.errors import KeyUnusable

if TYPE_CHECKING:
    from pathlib import Path


def test_first_start_makes_two_kinds_that_only_the_owner_reads(tmp_path: Path) -> None:
    made = hostkeys.ensure(tmp_path / "keys")
    assert [(key.path.name, key.kind, key.bits) for key in made] == [
        ("ssh_host_ed25519_key", "ssh-ed25519", 256),
        ("ssh_host_rsa_key", "ssh-rsa", 3072),
    ]
    for key in made:
        assert stat.S_IMODE(key.path.stat().st_mode) == 0o600
        public = key.path.with_name(key.path.name + ".pub")
        said = subprocess.run(
            ["ssh-keygen", "-l", "-f", public], capture_output=True, check=True, text=True
        )
        assert said.stdout.split()[:2] == [str(key.bits), key.fingerprint]
        derived = subprocess.run(
            ["ssh-keygen", "-y", "-f", key.path], capture_output=True, check=True, text=True
        )
        assert derived.stdout.strip() == key.line == public.read_text().strip()


def test_second_start_keeps_the_keys(tmp_path: Path) -> None:
    assert hostkeys.ensure(tmp_path) == hostkeys.ensure(tmp_path) == hostkeys.listing(tmp_path)


@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_key_of_another_server_is_taken_over_as_it_is(tmp_path: Path, form: str) -> None:
    path = tmp_path / "ssh_host_rsa_key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-m", form, "-f", path],
        check=True,
    )
    before = path.read_bytes()
    found = {key.kind: key for key in hostkeys.ensure(tmp_path)}
    assert path.read_bytes() == before
    assert found["ssh-rsa"].bits == 2048
    assert set(found) == {"ssh-ed25519", "ssh-rsa"}


def test_ecdsa_key_is_taken_over_and_never_made(tmp_path: Path) -> None:
    path = str(tmp_path / "ssh_host_ecdsa_key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", path], check=True)
    kinds = [key.kind for key in hostkeys.ensure(tmp_path)]
    assert kinds == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]


def test_key_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    hostkeys.ensure(tmp_path)
    path = tmp_path / "ssh_host_ed25519_key"
    path.chmod(0o644)
    hostkeys.ensure(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("-t", "rsa", "-b", "1024", "-N", ""), "has 1024 bits"),
        (("-t", "rsa", "-b", "2048", "-N", "geheim"), "has a passphrase"),
        (("-t", "rsa", "-b", "2048", "-N", "geheim", "-m", "PEM"), "has a passphrase"),
    ],
    ids=["short", "passphrase", "passphrase-pem"],
)
def test_unusable_host_key_is_named_with_the_reason(
    tmp_path: Path, options: tuple[str, ...], why: str
) -> None:
    path = tmp_path / "ssh_host_rsa_key"
    subprocess.run(["ssh-keygen", "-q", *options, "-f", path], check=True)
    with pytest.raises(KeyUnusable) as refusal:
        hostkeys.ensure(tmp_path)
    assert str(refusal.value).startswith(f"{path}: {why}")


def test_file_that_is_no_key_is_left_alone_and_named(tmp_path: Path) -> None:
    path = tmp_path / "ssh_host_ed25519_key"
    path.write_text("hello")
    with pytest.raises(KeyUnusable, match="is not a private key"):
        hostkeys.ensure(tmp_path)
    assert path.read_text() == "hello"


def test_listing_makes_nothing(tmp_path: Path) -> None:
    assert hostkeys.listing(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []
