"""The unit: systemd finds nothing wrong with it, and the daemon lives within its bounds."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest

from tests import as_unit
from tests.daemon import CUSTOMER_TOML, PASSWORD, TILLDROP, sales, wait_for
from tilldrop import config
from tilldrop.cli_service import drop_in_for
from tilldrop.config import Config, ImporterSettings, Limits, LogSettings, Paths, SftpDoor
from tilldrop.config_folders import FolderDoor
from tilldrop.delivery import State
from tilldrop.ledger_reading import LedgerReader

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEMD = Path(__file__).parents[1] / "systemd"
UNIT = SYSTEMD / "tilldrop.service"
WITHIN_S = 60
LOOK_S = 0.5
WATCHDOG_S = 0.4
EXPOSURE_MOST = 2.0


def run(*words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, input=typed, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    for program in ("systemd-analyze",):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not installed: apt-get install systemd")
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/tilldrop/bin/tilldrop", str(TILLDROP)))
    return path


# -- what systemd says ---------------------------------------------------------------------------


def test_systemd_finds_no_mistake(unit: Path) -> None:
    said = run("systemd-analyze", "verify", str(unit))
    assert (said.returncode, said.stderr) == (0, "")


def test_exposure_is_low(unit: Path) -> None:
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"exposure level for \S+: ([0-9.]+)", said.stdout)
    assert found, said.stderr
    assert float(found[1]) <= EXPOSURE_MOST


def a_config(*folders: FolderDoor, state: str = "/var/lib/tilldrop") -> Config:
    return Config(
        paths=Paths(config.SYSTEM_HOME, Path(state)),
        sftp=SftpDoor(),
        limits=Limits(),
        importer=ImporterSettings(),
        log=LogSettings(),
        customers={},
        folders=folders,
    )


def lines_for(*folders: FolderDoor, state: str = "/var/lib/tilldrop") -> list[str]:
    text = drop_in_for(a_config(*folders, state=state))
    return text.partition("[Service]\n")[2].splitlines()


@pytest.mark.parametrize(
    ("path", "after", "line"),
    [
        ("/srv/export", "keep", None),
        ("/srv/export", "move", 'ReadWritePaths="-/srv/export"'),
        ("/srv/export", "delete", 'ReadWritePaths="-/srv/export"'),
        ("/home/till/export", "keep", 'BindReadOnlyPaths="-/home/till/export"'),
        ("/home/till/export", "delete", 'BindPaths="-/home/till/export"'),
        ("/tmp/export", "keep", 'BindReadOnlyPaths="-/tmp/export"'),
        ('/srv/50 % "new"', "move", 'ReadWritePaths="-/srv/50 %% \\"new\\""'),
    ],
)
def test_drop_in_lets_the_daemon_into_what_the_unit_keeps_from_it(
    path: str, after: str, line: str | None
) -> None:
    folder = FolderDoor(Path(path), "acme", after=after)
    assert lines_for(folder) == ([] if line is None else [line])


def test_drop_in_lets_the_daemon_write_its_state_wherever_that_is() -> None:
    assert lines_for(state="/var/lib/tilldrop") == []
    assert lines_for(state="/data/tilldrop") == ['ReadWritePaths="-/data/tilldrop"']


def test_systemd_finds_no_mistake_in_a_drop_in(unit: Path) -> None:
    names = ("/srv/a b", '/srv/"x"', "/srv/50%", "/home/till/a:b", "/srv/caf\u00e9", "/srv/a\\b")
    folders = [FolderDoor(Path(name), "acme", after="move") for name in names]
    drop_in = unit.with_name(f"{unit.name}.d") / "folders.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(drop_in_for(a_config(*folders)))
    said = run("systemd-analyze", "verify", str(unit))
    assert (said.returncode, said.stderr) == (0, "")
    drop_in.write_text('[Service]\nReadWritePaths="relative"\n')
    assert "relative" in run("systemd-analyze", "verify", str(unit)).stderr  # it does read them


def test_the_systems_files_make_user_and_folders_for_the_home_that_init_fills(
    machine: Machine,
) -> None:
    passwd = (machine.root / "etc" / "passwd").read_text()
    (line,) = re.findall(r"^tilldrop:x:(\d+):(\d+):.*$", passwd, re.MULTILINE)
    user, group = int(line[0]), int(line[1])
    places = {
        "etc/tilldrop": (0, 0, 0o755),
        "etc/tilldrop/config": (0, group, 0o750),
        "etc/tilldrop/config/customers": (0, group, 0o750),
        "etc/tilldrop/keys": (user, group, 0o700),
        "etc/tilldrop/keys/customers": (user, group, 0o700),
        "var/lib/tilldrop": (user, group, 0o700),
    }
    (machine.home / "config" / "tilldrop.toml").unlink()
    made = run(str(TILLDROP), "init", str(machine.home))
    assert made.returncode == 0, made.stderr
    found = {name: (machine.root / name).stat() for name in places}
    assert {
        name: (each.st_uid, each.st_gid, each.st_mode & 0o7777) for name, each in found.items()
    } == places


def test_the_systems_home_keeps_its_state_where_systemd_makes_it() -> None:
    assert config.default_state(config.SYSTEM_HOME) == "/var/lib/tilldrop"
    assert config.default_state(Path("/srv/tilldrop")) == "var"


# -- the daemon within the unit ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Machine:
    """A scratch root with the daemon's user and folders, and one daemon on it at a time."""

    root: Path
    unit: Path
    port: int

    @property
    def home(self) -> Path:
        """What is /etc/tilldrop within."""
        return self.root / "etc" / "tilldrop"

    @property
    def state(self) -> Path:
        """What is /var/lib/tilldrop within."""
        return self.root / "var" / "lib" / "tilldrop"

    @property
    def log(self) -> str:
        """What the daemon wrote."""
        return (self.root / "log").read_text(errors="replace")

    @contextmanager
    def daemon(self) -> Iterator[Started]:
        """Start the unit's ExecStart and end it."""
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        told.bind(f"\0{self.root}")  # in no folder: the unit sees few
        told.settimeout(LOOK_S)
        environment = {
            "PATH": os.defpath,
            "TILLDROP_HOME": "/etc/tilldrop",
            "NOTIFY_SOCKET": f"@{self.root}",
            "WATCHDOG_USEC": str(int(WATCHDOG_S * 1_000_000)),
        }
        command = as_unit.command_in(self.root, self.unit, str(TILLDROP), "run")
        with closing(told), (self.root / "log").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            try:
                yield Started(self, process, told)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait(WITHIN_S)


@dataclass(frozen=True, slots=True)
class Started:
    """A daemon that was started as the unit does."""

    machine: Machine
    process: subprocess.Popen[bytes]
    told: socket.socket

    def next_word(self) -> str:
        """Return what it tells systemd next."""

        def look() -> str | None:
            with suppress(TimeoutError):
                return self.told.recv(4096).decode()
            assert self.process.poll() is None, self.machine.log[-4000:]
            return None

        return wait_for("a word to systemd", look, WITHIN_S)

    def wait_for_word(self, word: str) -> None:
        """Wait until it tells systemd that."""
        wait_for(word, lambda: self.next_word().startswith(word), WITHIN_S)

    def tilldrop(
        self, *words: str, user: str = "root", typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line beside it."""
        command = (str(TILLDROP), *words)
        beside = as_unit.command_beside(self.process.pid, self.machine.root, *command, user=user)
        return run(*beside, typed=typed)

    def put(self, name: str, text: str) -> None:
        """Upload a file as the customer `acme`."""
        with closing(paramiko.Transport(("127.0.0.1", self.machine.port))) as transport:
            transport.connect(username="acme", password=PASSWORD)
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            with client.open(name, "w") as file:
                file.write(text)

    def wait_for_import(self, name: str) -> None:
        """Wait until the delivery of that name is imported."""
        with closing(LedgerReader(self.machine.state / "ledger.db")) as ledger:
            wait_for(name, lambda: ledger.find(name=name, state=State.IMPORTED), WITHIN_S)


def free_low_port() -> int:
    """Find a port below 1024, which only a capability lets the daemon have."""
    for port in range(1023, 600, -1):
        with suppress(OSError), socket.socket() as trying:
            trying.bind(("127.0.0.1", port))
            return port
    pytest.fail("no port below 1024 is free")


@pytest.fixture
def machine(unit: Path) -> Iterator[Machine]:
    """A machine on which Tilldrop was installed as docs/service.md says."""
    if os.geteuid() != 0 or run("unshare", "--mount", "true").returncode != 0:
        pytest.skip("only root can make the unit's view of a machine")
    root = Path(tempfile.mkdtemp(prefix="tilldrop-unit-", dir="/var/tmp"))
    try:
        shutil.copytree("/etc", root / "etc", symlinks=True, ignore=shutil.ignore_patterns("ssl"))
        made = run("systemd-sysusers", f"--root={root}", str(SYSTEMD / "sysusers.conf"))
        assert made.returncode == 0, made.stderr
        made = run("systemd-tmpfiles", "--create", f"--root={root}", str(SYSTEMD / "tmpfiles.conf"))
        assert made.returncode == 0, made.stderr
        port = free_low_port()
        (root / "etc/tilldrop/config/tilldrop.toml").write_text(
            f'[sftp]\nlisten = "127.0.0.1"\nport = {port}\n[limits]\nreserve_bytes = 0\n'
        )
        (root / "etc/tilldrop/config/tilldrop.toml").chmod(0o644)
        yield Machine(root, unit, port)
    finally:
        shutil.rmtree(root)


def add_customer(machine: Machine) -> None:
    """Add the customer `acme` as an operator who is root."""
    words = ("customer", "add", "acme", "--zone", "Europe/Paris", "--currency", "EUR")
    command = (str(TILLDROP), "--home", str(machine.home), *words, "--password-stdin")
    added = run(*command, typed=f"{PASSWORD}\n")
    assert added.returncode == 0, added.stderr
    (machine.home / "config" / "customers" / "acme.toml").write_text(CUSTOMER_TOML)


def test_daemon_lives_its_whole_life_within_the_unit(machine: Machine) -> None:
    with machine.daemon() as daemon:
        daemon.wait_for_word("READY=1")
        assert confinement(daemon.process.pid) == {
            "Seccomp": "2",
            "NoNewPrivs": "1",
            "CapEff": "0000000010000400",  # CAP_LEASE, CAP_NET_BIND_SERVICE
            "CapBnd": "0000000010000400",
        }
        add_customer(machine)
        told = daemon.tilldrop("reload", user="tilldrop")  # ExecReload
        assert (told.returncode, told.stdout) == (0, "the running daemon knows 1 customer\n")
        daemon.put("sales.csv", sales(1, 3))
        daemon.wait_for_import("sales.csv")
        for _ in range(3):
            assert daemon.next_word() == "WATCHDOG=1"
        assert daemon.tilldrop("status").returncode == 0  # root may ask, too
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_for_word("STOPPING=1")
        assert daemon.process.wait(WITHIN_S) == 0, machine.log[-4000:]
    assert '"level": "error"' not in machine.log
    made = [*machine.state.rglob("*"), *machine.home.glob("keys/**/*")]
    assert {path.stat().st_uid for path in made} == {machine.state.stat().st_uid}
    assert {path.stat().st_mode & 0o007 for path in made if path.suffix != ".pub"} == {0}


def confinement(pid: int) -> dict[str, str]:
    """Read what the kernel holds a process to."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":\t", 1) for line in lines)
    return {key: found[key] for key in ("Seccomp", "NoNewPrivs", "CapEff", "CapBnd")}


def test_a_file_that_another_user_still_writes_waits(machine: Machine) -> None:
    add_customer(machine)
    folder = machine.root / "var" / "lib" / "tills"
    folder.mkdir()
    with (machine.home / "config" / "tilldrop.toml").open("a") as file:
        file.write('[[folders]]\npath = "/var/lib/tills"\ncustomer = "acme"\nquiet_s = 0.2\n')
    with machine.daemon() as daemon:
        daemon.wait_for_word("READY=1")
        with (folder / "sales.csv").open("w") as file:
            file.write(sales(1, 3))
            file.flush()
            wait_for("a word about the file", lambda: "sales.csv" in machine.log)
            assert "original.put_off" in machine.log
        daemon.wait_for_import("sales.csv")


def test_a_reload_with_mistakes_fails_and_changes_nothing(machine: Machine) -> None:
    add_customer(machine)
    with machine.daemon() as daemon:
        daemon.wait_for_word("READY=1")
        (machine.home / "config" / "customers" / "acme.toml").write_text("zone = 1\n")
        told = daemon.tilldrop("reload", user="tilldrop")
        assert told.returncode == 78
        assert "acme.toml:1: zone" in told.stderr
        daemon.put("sales.csv", sales(1, 3))
        daemon.wait_for_import("sales.csv")


def test_nothing_that_people_write_can_be_written_by_the_daemon(machine: Machine) -> None:
    add_customer(machine)
    with machine.daemon() as daemon:
        daemon.wait_for_word("READY=1")
        for place in ("/etc/tilldrop", "/etc/tilldrop/config", "/etc/tilldrop/config/customers"):
            assert daemon.tilldrop("check", user="tilldrop").returncode == 0
            beside = as_unit.command_beside(
                daemon.process.pid, machine.root, "touch", f"{place}/x", user="tilldrop"
            )
            assert run(*beside).returncode != 0
