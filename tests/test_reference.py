"""The references say exactly what the code knows: keys, codes, verbs and their options."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from tilldrop import config, config_folders, config_ftp, config_guard
from tilldrop.cli import tilldrop
from tilldrop.errors import FAULTS, ConfigInvalid, TilldropError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
REFERENCE = (ROOT / "config" / "README.md").read_text()
CLI = (ROOT / "docs" / "cli.md").read_text()


def section(heading: str) -> str:
    """Return what stands between a heading of the reference and the next of its rank."""
    text = REFERENCE.split(f"\n{heading}", 1)[1]
    return re.split(r"\n#{2,3} ", text, maxsplit=1)[0]


def table(text: str) -> dict[str, list[str]]:
    """Return the rows of a section's tables by their first cell, which is `code`."""
    rows = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip().strip("`"): [cell.strip() for cell in cells[1:]] for cells in rows}


SECTIONS = {
    "sftp": config.SftpDoor,
    "sftp_legacy": config.SftpLegacyDoor,
    "ftp": config_ftp.FtpDoor,
    "limits": config.Limits,
    "guard": config_guard.GuardSettings,
    "importer": config.ImporterSettings,
    "log": config.LogSettings,
}


def test_every_setting_is_listed_with_its_default() -> None:
    listed = {key: cells[0] for key, cells in table(section("## config/tilldrop.toml")).items()}
    expected = {
        f"{name}.{field.name}": f"`{json.dumps(field.default)}`"
        for name, kind in SECTIONS.items()
        for field in fields(kind)
    }
    assert listed == {"paths.state": '`"var"`', **expected}


def test_every_key_of_a_folder_is_listed_with_its_default() -> None:
    shown = {True: "true", False: "false", (): "all"}
    expected = {
        f"folders.{field.name}": "required"
        if field.default is MISSING
        else shown.get(field.default, json.dumps(field.default))
        for field in fields(config_folders.FolderDoor)
    }
    listed = {key: cells[0].strip("`") for key, cells in table(section("### [[folders]]")).items()}
    assert listed == expected


def test_every_range_belongs_to_a_setting() -> None:
    numbers = {
        f"{name}.{field.name}"
        for name, kind in SECTIONS.items()
        for field in fields(kind)
        if type(field.default) in {int, float}
    }
    assert set(config.RANGES) == numbers


def test_every_key_of_a_customer_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / config.CUSTOMERS_FOLDER
    folder.mkdir(parents=True)
    (tmp_path / config.MAIN_FILE).touch()
    (folder / "acme.toml").write_text('zone = "UTC"\ncurrency = "EUR"\nzzzz = 1\n')
    with pytest.raises(ConfigInvalid) as refused:
        config.load(tmp_path)
    known = str(refused.value).partition("known are ")[2].split(", ")
    assert set(table(section("## config/customers/NAME.toml"))) == set(known)


def test_example_in_the_reference_is_a_customer_without_mistakes(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", REFERENCE, re.DOTALL)
    folder = tmp_path / config.CUSTOMERS_FOLDER
    folder.mkdir(parents=True)
    (tmp_path / config.MAIN_FILE).touch()
    (folder / "acme.toml").write_text(example)
    assert config.load(tmp_path).customers["acme"].feeds


def errors(kind: type[TilldropError] = TilldropError) -> Iterator[type[TilldropError]]:
    for below in kind.__subclasses__():
        if below.__module__ == "tilldrop.errors":
            yield below
            yield from errors(below)


def test_every_error_code_is_listed_with_its_exit_code() -> None:
    listed = {code: cells[:2] for code, cells in table(section("## Error codes")).items()}
    expected = {
        error.code: [str(error.exit_code), "yes" if error.temporary else ""] for error in errors()
    }
    assert listed == expected


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in errors()] + list(FAULTS)
    assert len(codes) == len(set(codes))


def test_every_fault_code_is_listed_with_its_text() -> None:
    listed = {code: cells[0] for code, cells in table(section("## Fault codes")).items()}
    assert listed == FAULTS


def verbs(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


VERBS = dict(verbs(tilldrop, "tilldrop"))


def test_every_verb_has_its_section_and_no_other_has() -> None:
    assert set(re.findall(r"^## (.*)$", CLI, re.MULTILINE)) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_told(verb: str) -> None:
    told = CLI.split(f"\n## {verb}\n", 1)[1].split("\n## ", 1)[0]
    options = {
        name
        for parameter in VERBS[verb].params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }
    assert {name for name in options if f"`{name}" not in told} == set()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does(verb: str) -> None:
    assert VERBS[verb].help
