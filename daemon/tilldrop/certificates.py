"""TLS for the FTP door: the server's certificate, and customers' certificates as their keys.

Owns `keys/ftp.crt` and `keys/ftp.key` if they are made here. Promises that a certificate found
is used as it is, that only a missing pair is made (signed by itself, for customers to pin), and
that no TLS before 1.2 is spoken. A customer proves who it is by

    keys/customers/NAME.crt     this very certificate (or several, while one replaces another), or
    keys/customers-ca.crt       one that an authority listed there has issued to the subject CN=NAME

The authority's file lies outside of `customers/`, where a customer called `ca` could have its
own. Never prints a private key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tilldrop import journal
from tilldrop.errors import KeyUnusable
from tilldrop.secretfiles import PUBLIC_MODE, rename, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUTHORITIES = "customers-ca.crt"
# Of TLS 1.2: new keys for every connection, and no CBC. Windows has one of them since 8.1.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"
VALID_DAYS = 3650  # customers pin it, and a change alarms them all
COMMON_NAME_CHARS = 64  # X.520


def ensure(certificate: Path, key: Path, address: str) -> None:
    """Make a certificate signed by itself if neither file is there.

    address: an IP address to name in it, or "". Raises OSError. Cost: two small files.
    An elliptic curve: each data connection shakes hands, at a fifteenth of RSA's cost.
    The key gets its name last: an operator's key alone is a mistake to be told, ours is half made.
    """
    half_made = key.with_name(f"{key.name}.new")
    if certificate.exists() and not key.exists() and half_made.exists():
        rename(half_made, key)
    if certificate.exists() or key.exists():
        return
    certificate.parent.mkdir(parents=True, exist_ok=True)
    key.parent.mkdir(parents=True, exist_ok=True)
    private = ec.generate_private_key(ec.SECP256R1())
    host = socket.gethostname() or "tilldrop"
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    if address:
        names.append(x509.IPAddress(ipaddress.ip_address(address)))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:COMMON_NAME_CHARS])])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # clocks differ
        .not_valid_after(now + dt.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_whole(half_made, pem)
    write_whole(certificate, made.public_bytes(Encoding.PEM), PUBLIC_MODE)
    rename(half_made, key)
    journal.certificate_made(str(certificate))


def context(certificate: Path, key: Path, keys: Path) -> ssl.SSLContext:
    """Build what TLS connections are made with: our certificate, and whose of others are taken.

    Raises KeyUnusable if ours cannot be used; a customer's that cannot is logged and left out.
    Cost: a small file per customer with a certificate.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(CIPHERS)
    made.options |= ssl.OP_NO_RENEGOTIATION
    try:
        made.load_cert_chain(certificate, key, password=_no_passphrase)
    except OSError as problem:  # ssl.SSLError is one
        why = getattr(problem, "reason", None) or problem.strerror or "the two do not fit"
        raise KeyUnusable(f"{certificate} and {key}: cannot be used: {why}") from problem
    trusted = b"".join(_der(one) for one in _all_trusted(keys))
    if trusted:
        # A customer's own certificate is trusted as it is, whoever has issued it.
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        made.load_verify_locations(cadata=trusted)
        made.verify_mode = ssl.CERT_OPTIONAL
    return made


def proves(shown: bytes, name: str, keys: Path) -> bool:
    """Tell whether a certificate is that customer's.

    shown: DER, which the TLS handshake has verified (dates, and the private key's possession).
    name: a configured customer's. Cost: one or two small files.
    """
    if any(_der(one) == shown for one in _usable(keys / "customers" / f"{name}.crt", name)):
        return True
    # That the handshake trusts it says little: any customer's own certificate may have issued it.
    leaf = x509.load_der_x509_certificate(shown)
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [one.value for one in names] != [name]:
        return False
    return any(_has_issued(one, leaf) for one in _usable(keys / AUTHORITIES, ""))


def fingerprint(der: bytes) -> str:
    """Say a certificate's SHA-256 fingerprint as `openssl x509 -fingerprint` does."""
    return hashlib.sha256(der).digest().hex(":").upper()


def read(path: Path) -> list[x509.Certificate]:
    """Read every certificate of a PEM file. Raises KeyUnusable naming the file."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as problem:
        raise KeyUnusable(f"{path}: cannot be read: {problem.strerror}") from problem
    except ValueError as problem:
        raise KeyUnusable(f"{path}: is no certificate in PEM form") from problem


def _usable(path: Path, name: str) -> list[x509.Certificate]:
    """Read a file that may be missing; what cannot be used is logged."""
    if not path.exists():
        return []
    try:
        return read(path)
    except KeyUnusable as problem:
        journal.key_refused(customer=name, line=None, why=str(problem))
        return []


def _all_trusted(keys: Path) -> Iterator[x509.Certificate]:
    yield from _usable(keys / AUTHORITIES, "")
    for path in sorted((keys / "customers").glob("*.crt")):
        yield from _usable(path, path.stem)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _has_issued(authority: x509.Certificate, leaf: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _no_passphrase() -> bytes:
    # Else OpenSSL would ask for one on the daemon's terminal.
    return b""
