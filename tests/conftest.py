"""What tests share: homes, and a daemon that is gone when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from tests.daemon import MAIN_TOML, Daemon, make_home
from tilldrop import hostkeys

MakeHome = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _journal_as_at_the_beginning() -> Iterator[None]:
    """A test hears the journal only if it configures it, and leaves nothing behind."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def host_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Host keys made once, as a `keys/` folder to copy."""
    keys = tmp_path_factory.mktemp("keys")
    hostkeys.ensure(keys)
    return keys


@pytest.fixture
def home(tmp_path: Path, host_keys: Path) -> Path:
    """A home with the customer `acme`; no daemon runs on it yet."""
    return make_home(tmp_path / "home", host_keys, MAIN_TOML)


@pytest.fixture
def idle_daemon(home: Path) -> Iterator[Daemon]:
    """A daemon that the test starts itself."""
    daemon = Daemon(home)
    yield daemon
    daemon.kill()


@pytest.fixture
def daemon(idle_daemon: Daemon) -> Daemon:
    """A running daemon."""
    return idle_daemon.start()
