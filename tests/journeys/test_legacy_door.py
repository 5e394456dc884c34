"""A till of 2012 against a daemon whose operator has opened the door for such."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients import HOST
from tests.daemon import MAIN_TOML, PASSWORD, Daemon, make_home
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Iterator

LEGACY_TOML = f'\n[sftp_legacy]\nenabled = true\nlisten = "{HOST}"\nport = 0\n'
JSCH = Path("/usr/share/java/jsch.jar")  # 0.1.54, of 2016: Debian's libjsch-java
PUT = """
import com.jcraft.jsch.*;
public class Put {
    public static void main(String[] words) throws Exception {
        Session session = new JSch().getSession("acme", words[0], Integer.parseInt(words[1]));
        session.setPassword(words[2]);
        session.setConfig("StrictHostKeyChecking", "no");
        session.setConfig("kex", "diffie-hellman-group14-sha1");
        session.setConfig("server_host_key", "ssh-rsa");
        session.setConfig("cipher.c2s", "aes128-cbc");
        session.setConfig("cipher.s2c", "aes128-cbc");
        session.setConfig("mac.c2s", "hmac-sha1");
        session.setConfig("mac.s2c", "hmac-sha1");
        session.connect(30000);
        ChannelSftp sftp = (ChannelSftp) session.openChannel("sftp");
        sftp.connect(30000);
        sftp.put(words[3], "sales.csv");
        session.disconnect();
    }
}
"""


@pytest.fixture
def daemon(tmp_path: Path, host_keys: Path) -> Iterator[Daemon]:
    home = make_home(tmp_path / "home", host_keys, MAIN_TOML + LEGACY_TOML)
    started = Daemon(home).start()
    yield started
    started.stop()


@pytest.mark.skipif(
    not (JSCH.exists() and shutil.which("javac")), reason="libjsch-java or a JDK is not installed"
)
def test_jsch_of_old_delivers_by_the_legacy_door_alone(daemon: Daemon, tmp_path: Path) -> None:
    source, local = tmp_path / "Put.java", tmp_path / "sales.csv"
    source.write_text(PUT)
    local.write_text("Store,Id,Date,Time,Total\n12,1,2026-03-14,10:30,9.99\n")
    subprocess.run(["javac", "-cp", JSCH, "-d", tmp_path, source], check=True)
    port = daemon.status()["doors"]["sftp_legacy"]["port"]

    def put(port: int) -> subprocess.CompletedProcess[str]:
        words = ["java", "-cp", f"{tmp_path}:{JSCH}", "Put", HOST, str(port), PASSWORD, str(local)]
        return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)

    assert "Algorithm negotiation fail" in put(daemon.port).stderr
    ended = put(port)
    assert ended.returncode == 0, ended.stderr
    daemon.wait_for_state("sales.csv", State.IMPORTED)
    [warning] = daemon.events("login.was_legacy")
    assert (warning["customer"], warning["level"]) == ("acme", "warning")
    assert "JSCH" in warning["client"]


def test_it_is_shut_unless_it_is_asked_for(tmp_path: Path, host_keys: Path) -> None:
    daemon = Daemon(make_home(tmp_path / "home", host_keys)).start()
    try:
        assert not daemon.status()["doors"].get("sftp_legacy", {}).get("port")
    finally:
        daemon.stop()


def test_daemon_may_open_as_many_files_as_the_system_lets_it(daemon: Daemon) -> None:
    limits = Path(f"/proc/{daemon.pid}/limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max open files")]
    soft, hard = line.split()[3:5]
    assert soft == hard
