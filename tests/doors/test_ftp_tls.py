"""FTP over TLS: what is required, which certificates are taken, which let a customer in."""

from __future__ import annotations

import datetime as dt
import ftplib
import io
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.daemon import PASSWORD, add_customer, wait_for
from tests.doors.conftest import CLIENT_WITHIN_S, CONTENT, HOST, LATER
from tilldrop import certificates
from tilldrop.delivery import State
from tilldrop.errors import KeyUnusable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.doors.ftp_door import FtpHere, Said


def test_where_tls_is_required_nothing_goes_in_the_clear(
    open_ftp: Callable[..., FtpHere], local: Path
) -> None:
    door = open_ftp(tls="required")
    answers = door.answers("USER acme", f"PASS {PASSWORD}")
    assert [each[:3] for each in answers] == ["530", "503"]
    with door.client(tls=True) as client, pytest.raises(ftplib.error_perm, match=r"^534"):
        client.sendcmd("PROT C")
    client = door.connected(tls=True)
    client.login("acme", PASSWORD)  # which secures this connection alone
    for command in ("STOR a.csv", "LIST", "MLSD", "RETR a.csv"):
        with pytest.raises(ftplib.error_perm, match=r"^521|^550"):
            client.sendcmd(command)
    client.close()
    assert door.lftp(f"put {local} -o sales.csv").returncode == 0


def test_where_tls_is_off_it_is_not_offered(open_ftp: Callable[..., FtpHere]) -> None:
    door = open_ftp(tls="off")
    assert (
        door.answers("AUTH TLS", "PBSZ 0", "PROT P", "FEAT")[:3]
        == ["502 This command is not supported here."] * 3
    )
    assert not door.certificate.exists()


# CVE-2011-0411 was of lines; half a line stands before the first one that comes over TLS.
@pytest.mark.parametrize("ahead", [b"USER evil\r\nFEAT\r\n", b"USER evil\r\nDELE ", b"X", b"\r"])
def test_commands_sent_ahead_of_tls_are_dropped(ftp: FtpHere, ahead: bytes) -> None:
    with socket.create_connection((HOST, ftp.port), CLIENT_WITHIN_S) as plain:
        plain.recv(100)
        plain.sendall(b"AUTH TLS\r\n" + ahead)
        assert plain.recv(100) == b"234 Begin TLS.\r\n"
        with ftp.trusting().wrap_socket(plain) as secured:
            secured.sendall(b"NOOP\r\n")
            assert secured.recv(100) == b"200 Here.\r\n"


def test_data_connection_may_resume_the_tls_session_of_its_control_connection(
    ftp: FtpHere,
) -> None:
    with ftp.client(tls=True) as client:
        assert isinstance(client.sock, ssl.SSLSocket)
        client.voidcmd("NOOP")  # reads the session's ticket
        host, port = client.makepasv()
        with socket.create_connection((host, port), CLIENT_WITHIN_S) as plain:
            client.sendcmd("STOR sales.csv")
            context = client.sock.context
            with context.wrap_socket(plain, session=client.sock.session) as data:
                assert data.session_reused
                data.sendall(LATER)
                data.unwrap()
        client.voidresp()


@pytest.mark.parametrize("number", range(5))
def test_client_that_never_reads_its_data_connection_loses_no_tail(
    ftp: FtpHere, local: Path, number: int
) -> None:
    # TLS 1.3 tickets that are left unread turn the client's close into a reset.
    ended = ftp.lftp(f"put {local} -o {number}.csv", **{"ftp:ssl-force": "yes"})
    assert ended.returncode == 0, ended.stderr
    assert ftp.bytes_of(ftp.only()) == CONTENT


@pytest.mark.parametrize("tls_eof", ["accept", "require"])
def test_data_connection_that_is_reset_is_broken_over_tls_too(
    open_ftp: Callable[..., FtpHere], tls_eof: str
) -> None:
    door = open_ftp(tls_eof=tls_eof)
    with door.client(tls=True) as client:
        data = door.half_sent(client)
        data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        data.close()
        with pytest.raises(ftplib.error_temp, match=r"^426"):
            client.voidresp()
    door.wait_for_state(State.BROKEN)


def test_handshake_that_never_comes_is_given_up(open_ftp: Callable[..., FtpHere]) -> None:
    door = open_ftp(login_timeout_s=1.0)
    with socket.create_connection((HOST, door.port), CLIENT_WITHIN_S) as plain:
        plain.recv(100)
        plain.sendall(b"AUTH TLS\r\n")
        assert plain.recv(100) == b"234 Begin TLS.\r\n"
        assert plain.recv(100) == b""


def test_renewed_certificate_is_taken_on_reload_and_a_broken_one_is_not(
    said: Said, ftp: FtpHere
) -> None:
    def shown() -> bytes:
        client = ftplib.FTP_TLS(context=ssl._create_unverified_context())
        client.connect(HOST, ftp.port, timeout=CLIENT_WITHIN_S)
        client.auth()
        assert isinstance(client.sock, ssl.SSLSocket)
        certificate = client.sock.getpeercert(binary_form=True)
        client.close()
        assert certificate
        return certificate

    with ftp.client(tls=True) as before:
        old = shown()
        ftp.certificate.unlink()
        (ftp.home / ftp.config.ftp.private_key).unlink()
        certificates.ensure(ftp.certificate, ftp.home / ftp.config.ftp.private_key, HOST)
        ftp.call(ftp.ftp.reload)
        new = shown()
        assert new != old
        before.storbinary("STOR sales.csv", io.BytesIO(LATER))  # who is in stays in
    ftp.certificate.write_text("not a certificate")
    ftp.call(ftp.ftp.reload)
    assert shown() == new
    assert said("certificate.refused")


def test_certificate_that_is_there_is_never_replaced(ftp: FtpHere) -> None:
    key = ftp.home / ftp.config.ftp.private_key
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    certificates.ensure(ftp.certificate, key, "")
    assert key.read_bytes() == before
    ftp.certificate.unlink()
    certificates.ensure(ftp.certificate, key, "")
    assert not ftp.certificate.exists()  # half a pair is a person's to mend
    with pytest.raises(KeyUnusable, match=r"ftp\.crt"):
        certificates.context(ftp.certificate, key, ftp.home / "keys")


def test_certificate_that_a_power_loss_left_half_made_is_made_whole(ftp: FtpHere) -> None:
    key = ftp.home / ftp.config.ftp.private_key
    whole = key.read_bytes()
    key.rename(key.with_name("ftp.key.new"))
    certificates.ensure(ftp.certificate, key, "")
    assert key.read_bytes() == whole
    certificates.context(ftp.certificate, key, ftp.home / "keys")

    key.rename(key.with_name("ftp.key.new"))
    ftp.certificate.unlink()
    certificates.ensure(ftp.certificate, key, "")
    assert key.read_bytes() != whole
    certificates.context(ftp.certificate, key, ftp.home / "keys")


# -- client certificates


@dataclass
class Identity:
    """A certificate with its private key, in one PEM file."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        """Return the certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    def save(self, path: Path) -> Path:
        """Write both, as a client wants them."""
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(self.pem() + private)
        return path


def _identity(name: str, issuer: Identity | None = None) -> Identity:
    """Make a certificate for CN=name: by an issuer, or by itself and then an authority's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        # As `openssl req -x509` makes them.
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return Identity(certificate, key)


def _reply_to_certificate(
    door: FtpHere, identity: Identity, name: str = "acme", password: str = ""
) -> str:
    """Log in with a certificate and return the last answer, or what the handshake met."""
    door.call(door.ftp.reload)
    context = door.trusting()
    context.load_cert_chain(identity.save(door.home / "client.pem"))
    with ftplib.FTP_TLS(context=context) as client:
        client.connect(HOST, door.port, timeout=CLIENT_WITHIN_S)
        try:
            client.auth()
            client.sendcmd(f"USER {name}")
            return client.sendcmd(f"PASS {password}".rstrip())
        except (ftplib.Error, OSError, EOFError) as refusal:
            client.close()
            return str(refusal)


def test_customers_own_certificate_lets_it_in_without_a_password(said: Said, ftp: FtpHere) -> None:
    identity = _identity("whatever it says")
    (ftp.home / "keys/customers/acme.crt").write_bytes(_identity("older").pem() + identity.pem())
    assert _reply_to_certificate(ftp, identity) == "230 Welcome."
    (accepted,) = said("login.accepted")
    assert accepted["method"] == "certificate"
    assert accepted["key"] == identity.certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def test_certificate_of_the_authority_lets_in_whom_it_names(ftp: FtpHere) -> None:
    add_customer(ftp.home, "other")
    authority = _identity("Our Authority")
    (ftp.home / "keys" / certificates.AUTHORITIES).write_bytes(authority.pem())
    assert _reply_to_certificate(ftp, _identity("acme", authority)) == "230 Welcome."
    assert _reply_to_certificate(ftp, _identity("other", authority)).startswith("530")
    assert _reply_to_certificate(ftp, _identity("ACME", authority)).startswith("530")


def test_customers_certificate_cannot_issue_others(ftp: FtpHere) -> None:
    # Its file makes it trusted by the handshake, and all it signs.
    other = _identity("other")
    (ftp.home / "keys/customers/other.crt").write_bytes(other.pem())
    assert _reply_to_certificate(ftp, _identity("acme", other)).startswith("530")
    assert _reply_to_certificate(ftp, other).startswith("530")


def test_certificate_of_a_disabled_customer_does_not_let_it_in(ftp: FtpHere) -> None:
    identity = _identity("acme")
    (ftp.home / "keys/customers/acme.crt").write_bytes(identity.pem())
    ftp.disable("acme")
    assert _reply_to_certificate(ftp, identity) == "530 Login incorrect."


def test_certificate_from_elsewhere_does_not_let_in(said: Said, ftp: FtpHere) -> None:
    identity = _identity("acme")
    (ftp.home / "keys/customers/acme.crt").write_bytes(identity.pem())
    ftp.let_in_from("192.0.2.0/24")
    assert _reply_to_certificate(ftp, identity) == "530 Login incorrect."
    assert [event["reason"] for event in said("login.refused")] == ["forbidden-source"]
    ftp.let_in_from("127.0.0.1")
    assert _reply_to_certificate(ftp, identity) == "230 Welcome."


def test_password_serves_beside_a_certificate_that_does_not(ftp: FtpHere) -> None:
    other = _identity("other")
    (ftp.home / "keys/customers/other.crt").write_bytes(other.pem())
    assert _reply_to_certificate(ftp, other, password=PASSWORD) == "230 Welcome."


def test_unknown_certificate_is_refused_and_the_operator_told(said: Said, ftp: FtpHere) -> None:
    (ftp.home / "keys/customers/acme.crt").write_bytes(_identity("acme").pem())
    assert not _reply_to_certificate(ftp, _identity("acme")).startswith("230")
    (refused,) = wait_for("the event", lambda: said("connection.refused"))
    assert refused["reason"] == "tls: CERTIFICATE_VERIFY_FAILED"
    with ftp.client(tls=True):  # no certificate: a password will do
        pass


def test_damaged_certificate_of_one_customer_leaves_the_others_theirs(
    said: Said, ftp: FtpHere
) -> None:
    identity = _identity("acme")
    (ftp.home / "keys/customers/acme.crt").write_bytes(identity.pem())
    (ftp.home / "keys/customers/other.crt").write_text("-----BEGIN CERTIFICATE-----\nx\n")
    assert _reply_to_certificate(ftp, identity) == "230 Welcome."
    assert said("key.refused")[0]["customer"] == "other"


def test_tls_client_of_old_versions_is_refused(ftp: FtpHere) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    client = ftplib.FTP_TLS(context=context)
    client.connect(HOST, ftp.port, timeout=20)
    with pytest.raises(OSError, match=r"(?i)protocol|alert|eof|reset"):
        client.auth()
    client.close()
