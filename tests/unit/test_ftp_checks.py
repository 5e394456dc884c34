"""What `tilldrop check` warns of about the FTP door."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.daemon import make_home
from tilldrop import certificates, config, in_the_clear
from tilldrop.ftp_checks import ftp_warnings

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.config import Config


@pytest.fixture
def enabled(tmp_path: Path, host_keys: Path) -> Config:
    """A home whose FTP door is enabled and has its certificate."""
    loaded = config.load(make_home(tmp_path / "home", host_keys))
    loaded.paths.state.mkdir()
    ftp = replace(loaded.ftp, enabled=True)
    home = loaded.paths.home
    certificates.ensure(home / ftp.certificate, home / ftp.private_key, "")
    return replace(loaded, ftp=ftp)


def test_all_is_well(enabled: Config) -> None:
    assert ftp_warnings(enabled) == []


def test_password_in_the_clear_is_told_until_it_is_another(enabled: Config) -> None:
    in_the_clear.note(enabled.paths, "acme")
    in_the_clear.note(enabled.paths, "acme")
    (warning,) = ftp_warnings(enabled)
    assert warning.startswith("acme sent its password unencrypted by FTP (last on 20")
    required = replace(enabled, ftp=replace(enabled.ftp, tls="required"))
    assert ftp_warnings(required) == []
    later = datetime.now(UTC).timestamp() + 10
    os.utime(enabled.paths.keys / "customers" / "acme.password", (later, later))
    assert ftp_warnings(enabled) == []


def test_nothing_is_said_of_a_door_that_is_closed(enabled: Config) -> None:
    in_the_clear.note(enabled.paths, "acme")
    assert ftp_warnings(replace(enabled, ftp=replace(enabled.ftp, enabled=False))) == []


def test_half_a_pair_is_told(enabled: Config) -> None:
    (enabled.paths.home / enabled.ftp.private_key).unlink()
    (warning,) = ftp_warnings(enabled)
    assert warning.endswith("ftp.key is missing, so the FTP door cannot open")


@pytest.mark.parametrize("place", ["ftp.crt", "customers/acme.crt", "customers-ca.crt"])
def test_certificate_that_ends_soon_or_is_none_is_told(
    enabled: Config, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = enabled.paths.keys / place
    path.write_bytes((enabled.paths.keys / "ftp.crt").read_bytes())
    monkeypatch.setattr("tilldrop.ftp_checks.RENEW_BEFORE", timedelta(days=4000))
    soon = f"{path}: a certificate in it ends"
    assert any(each.startswith(soon) for each in ftp_warnings(enabled))
    path.write_text("nonsense")
    assert f"{path}: is no certificate in PEM form" in ftp_warnings(enabled)


def test_certificate_names_host_and_address_and_no_one_else_reads_its_key(tmp_path: Path) -> None:
    certificate, key = tmp_path / "a" / "x.crt", tmp_path / "b" / "x.key"
    certificates.ensure(certificate, key, "203.0.113.7")
    (made,) = certificates.read(certificate)
    assert "203.0.113.7" in str(made.extensions)
    assert key.stat().st_mode & 0o777 == 0o600
    certificates.context(certificate, key, tmp_path)
