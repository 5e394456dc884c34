"""The daemon takes all the descriptors it may have, and says if they are too few."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tilldrop.config import Config, load
from tilldrop.descriptors import OWN, needed

if TYPE_CHECKING:
    from pathlib import Path

START = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (200, int(sys.argv[2])))
from tilldrop import config, descriptors, journal_lines
journal_lines.configure("json", "info")
descriptors.allow_most(config.load(Path(sys.argv[1])))
assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == int(sys.argv[2])
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "config" / "customers").mkdir(parents=True)
    (tmp_path / "config" / "tilldrop.toml").write_text("[ftp]\nenabled = true\n")
    return tmp_path


def said(home: Path, hard_limit: int) -> list[dict[str, object]]:
    command = (sys.executable, "-c", START, str(home), str(hard_limit))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_limit_is_raised_and_nothing_said_if_it_is_enough(home: Path) -> None:
    assert said(home, needed(load(home))) == []


def test_too_low_a_limit_is_said(home: Path) -> None:
    wanted = needed(load(home))
    [event] = said(home, wanted - 1)
    assert event["event"] == "descriptors.scarce"
    assert (event["limit"], event["wanted"]) == (wanted - 1, wanted)


def test_closed_doors_need_none(home: Path) -> None:
    config: Config = load(home)
    assert needed(config) == OWN + 200 + 2 * 1000 + 3 * 500
    (home / "config" / "tilldrop.toml").write_text("[sftp]\nenabled = false\n")
    assert needed(load(home)) == OWN + 200
