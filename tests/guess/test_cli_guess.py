"""`tilldrop guess` as a person meets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from tests.guess.layouts import one_day_ambiguous, plain_english
from tilldrop.cli import tilldrop
from tilldrop.errors import SampleUnreadable, UsageWrong

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: str) -> Result:
    return CliRunner().invoke(tilldrop, ["guess", *words])


def written(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    return str(path)


def test_a_usable_mapping_is_printed_with_its_figures(tmp_path: Path) -> None:
    export = plain_english(1)
    told = run(written(tmp_path, export.name, export.data), "--currency", "USD")
    assert told.exit_code == 0
    assert "[[feeds]]" in told.stdout
    assert f"{export.total} USD" in told.stdout
    assert f"transactions  {export.count}" in " ".join(told.stdout.split(" ")).replace("   ", "  ")


def test_open_questions_are_numbered_and_exit_with_65(tmp_path: Path) -> None:
    export = one_day_ambiguous(1)
    told = run(written(tmp_path, export.name, export.data))
    assert told.exit_code == 65
    assert "Question 1 (date-order)" in told.stdout
    assert "--answer '1=dmy'" in told.stdout


def test_output_is_written_and_holds_what_was_tried(tmp_path: Path) -> None:
    export = one_day_ambiguous(1)
    target = tmp_path / "feed.toml"
    sample = written(tmp_path, export.name, export.data)
    told = run(sample, "--answer", "1=dmy", "-o", str(target))
    assert told.exit_code == 0
    assert "DD/MM/YYYY" in target.read_text(encoding="utf-8")


def test_json_bears_verdict_questions_and_figures(tmp_path: Path) -> None:
    export = plain_english(1)
    told = json.loads(run(written(tmp_path, export.name, export.data), "--json").stdout)
    assert told["verdict"] == "confident"
    assert (told["figures"]["transactions"], told["questions"]) == (export.count, [])


@pytest.mark.parametrize(
    "words", [["--answer", "nonsense"], ["--zone", "Paris"], ["--currency", "EURO"]]
)
def test_a_wrong_option_is_a_usage_error(words: list[str], tmp_path: Path) -> None:
    export = plain_english(1)
    told = run(written(tmp_path, export.name, export.data), *words)
    assert isinstance(told.exception, UsageWrong)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7 ..."], ids=["empty", "pdf"])
def test_what_holds_no_table_is_refused(content: bytes, tmp_path: Path) -> None:
    told = run(written(tmp_path, "sample.csv", content))
    assert isinstance(told.exception, SampleUnreadable)


def test_an_answer_to_no_question_is_told(tmp_path: Path) -> None:
    export = plain_english(1)
    told = run(written(tmp_path, export.name, export.data), "--answer", "colour=red")
    assert "colour" in told.stderr
