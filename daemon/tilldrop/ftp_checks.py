"""What `tilldrop check` warns of about the FTP door.

Promises to change nothing, and to say nothing while the door is not enabled.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tilldrop import certificates, in_the_clear
from tilldrop.errors import KeyUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tilldrop.config import Config

RENEW_BEFORE = timedelta(days=21)  # time enough for a person to see to it


def ftp_warnings(config: Config) -> list[str]:
    """Say what is no mistake, and yet likely not meant."""
    if not config.ftp.enabled:
        return []
    found: list[str] = []
    if config.ftp.tls != "off":
        found += _about_certificate(config)
    if config.ftp.tls != "required":
        found += _about_passwords(config)
    for name in sorted(config.customers):
        found += _about_file(config.paths.keys / "customers" / f"{name}.crt")
    return found + list(_about_file(config.paths.keys / certificates.AUTHORITIES))


def _about_passwords(config: Config) -> Iterator[str]:
    for name in sorted(config.customers):
        came_at = in_the_clear.noted(config.paths, name)
        if came_at is not None:
            yield (
                f"{name} sent its password unencrypted by FTP (last on {came_at:%Y-%m-%d}):"
                " have its client use TLS, then give it another password"
            )


def _about_certificate(config: Config) -> Iterator[str]:
    path = config.paths.home / config.ftp.certificate
    key = config.paths.home / config.ftp.private_key
    if path.exists() != key.exists():
        missing = key if path.exists() else path
        yield f"{missing} is missing, so the FTP door cannot open"
    elif path.exists():
        yield from _about_file(path)


def _about_file(path: Path) -> Iterator[str]:
    """Say if a file cannot be read as certificates, or one of them ends soon."""
    if not path.exists():
        return
    try:
        ends_at = min(one.not_valid_after_utc for one in certificates.read(path))
    except KeyUnusable as problem:
        yield str(problem)
        return
    if ends_at < datetime.now(UTC) + RENEW_BEFORE:
        yield f"{path}: a certificate in it ends on {ends_at:%Y-%m-%d}"
