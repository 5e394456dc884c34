"""Targets of what comes over a wire and of short texts: headers, names, patterns, requests."""

from __future__ import annotations

import asyncio
import io
import json
import re
import struct
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from tests.daemon import CUSTOMER_TOML
from tests.doors.odd_names import ODD_NAMES
from tests.fuzz.target import Target, bend, grammar
from tilldrop import (
    control,
    expression,
    journal_lines,
    patterns,
    proxy_protocol,
    sql_expression,
    view,
)
from tilldrop.config import load
from tilldrop.errors import TilldropError, WorkerLost
from tilldrop.ledger import Ledger
from tilldrop.spool import Spool

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

FEED_FILES = ("*.csv", "day-*/Check.csv", "at-*/*/Pay.csv", "transactions/*.csv")
PATTERN_TEXT_CHARS = 200


# -- the PROXY protocol


@contextmanager
def begin_proxy(_home: Path) -> Iterator[Callable[[bytes], None]]:
    """Parse a header, whole and byte by byte: the same answer, and never too much asked for."""

    def one(raw: bytes) -> None:
        whole = proxy_protocol.parse(raw)
        if whole is None:
            assert len(raw) < proxy_protocol.MOST_BYTES
        for end in range(len(raw) + 1):
            found = proxy_protocol.parse(raw[:end])
            if found is not None:
                break
        if isinstance(found, proxy_protocol.Header):
            assert 0 < found.size_bytes <= len(raw)
            assert found == whole, (found, whole)
            assert found.address.isprintable()
        else:
            assert type(found) is type(whole), (found, whole)

    yield one


def proxy_seeds() -> list[bytes]:
    """Return headers of both versions, good and nearly so."""
    v4, v6 = bytes(12), bytes(36)
    bodies = [(0x21, 0x11, v4), (0x21, 0x21, v6), (0x20, 0, b""), (0x21, 0x31, bytes(216))]
    return [
        b"PROXY TCP4 203.0.113.9 127.0.0.1 40000 22\r\nSSH-2.0-x\r\n",
        b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 22\r\n",
        b"PROXY UNKNOWN\r\n",
        *(
            proxy_protocol.V2_SIGNATURE + struct.pack("!BBH", how, family, len(body)) + body
            for how, family, body in bodies
        ),
    ]


# -- names


@contextmanager
def begin_names(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Resolve a name and ask the rules of it: a refusal, or one that stays within the root."""
    _configure(home, CUSTOMER_TOML.replace('"*.csv"', str(list(FEED_FILES)).replace("'", '"')))
    known = view.folders(load(home).customers["acme"])

    def one(raw: bytes) -> None:
        with suppress(UnicodeDecodeError, TilldropError):
            _check_name(raw.decode(), known)

    yield one


def _check_name(text: str, known: view.Folders) -> None:
    name = view.resolve(text)
    assert view.resolve(name) == name
    assert not name.startswith("/")
    assert not {"", ".", ".."} & set(name.split("/")) or name == ""
    assert name.isprintable()
    folder = name.rpartition("/")[0]
    view.is_temporary(name)
    known.suggests(name)
    assert folder not in known.held([name]) or known.fits(folder)
    view.check_place(name, known)
    assert known.takes_files(folder) or folder == ""
    with suppress(TilldropError):
        view.make_folder(name, known, is_file=False)
        assert known.fits(name)
        assert name.partition("/")[0].casefold() != view.RECEIPTS


# -- patterns and expressions of mappings


@contextmanager
def begin_patterns(_home: Path) -> Iterator[Callable[[bytes], None]]:
    """Take or refuse an expression or a pattern; one that is taken ends on any short text."""

    def one(raw: bytes) -> None:
        text = raw.decode(errors="replace")
        found = expression.parse(text)
        assert isinstance(found, expression.Expression | expression.Mistake)
        pattern, _, subject = text.partition("\n")
        complaint = patterns.check(pattern, groups=None)
        assert complaint is None or complaint
        if complaint is None and len(pattern) <= PATTERN_TEXT_CHARS:
            re.compile(pattern).search(subject[:PATTERN_TEXT_CHARS])
            re.compile(pattern).search((subject[:1] or "a") * 40 + "!")

    yield one


@contextmanager
def begin_sql(_home: Path) -> Iterator[Callable[[bytes], None]]:
    """Check an expression in SQL; one that is taken can be worked out and touches nothing."""
    con = sql_expression.connect()

    def one(raw: bytes) -> None:
        text = raw.decode(errors="replace")
        columns, complaint = sql_expression.check(text)
        if complaint:
            return
        names = ", ".join(sql_expression.quoted(name) for name in columns)
        values = f"(SELECT * FROM (VALUES ({', '.join(['?'] * len(columns))})) t({names}))"
        table = values if columns else "(SELECT 1)"
        query = f"SELECT {sql_expression.selected(text, shielded=True)} FROM {table}"
        con.execute(query, ["12.50"] * len(columns)).fetchall()

    yield one


def sql_seeds() -> list[bytes]:
    """Return what mappings of the tests say in SQL, and every function that is listed."""
    said = [line for line in grammar()[1] if b"sql" in line]
    texts = [each.encode() for line in said for each in re.findall(r'"([^"]*)"', line.decode())]
    calls = [f"{name}(a, 'b', 3)".encode() for name in sorted(sql_expression.FUNCTIONS)]
    return [*texts, *calls, b"CASE WHEN a > '1' THEN upper(b) ELSE a || 'x' END", b"a::int + 1"]


# -- the control socket


class _NoWorker:
    def task(self, what: dict[str, Any]) -> dict[str, Any]:
        raise WorkerLost(str(what)[:20])


@contextmanager
def begin_control(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Ask the daemon's socket for anything: an answer or a refusal, never a bug."""
    _configure(home, CUSTOMER_TOML)
    config = load(home)
    config.paths.run.mkdir(parents=True)
    ledger, spool = Ledger(config.paths.ledger), Spool(config.paths.spool, 0)
    verbs = control.delivery_verbs(ledger, spool, _NoWorker(), lambda: config, lambda _cause: None)
    listening = control.Control(config.paths.run, verbs)
    said = io.StringIO()
    journal_lines.configure("json", "info", said)

    async def ask(line: bytes) -> bytes:
        path = config.paths.run / control.SOCKET
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    def one(raw: bytes) -> None:
        said.seek(0)
        said.truncate()
        answer = json.loads(runner.run(ask(raw)))
        assert set(answer) in ({"ok"}, {"error", "text"}), answer
        assert "control.failed" not in said.getvalue(), said.getvalue()

    with closing(ledger), asyncio.Runner() as runner:
        runner.run(listening.start())
        yield one
        runner.run(listening.stop())


CONTROL_SEEDS = [
    b'{"do": "status"}',
    b'{"do": "replay", "ids": ["261121-204512-k7x2q"]}',
    b'{"do": "replay", "customer": "acme", "feed": "sales", "since": "2026-01-01T00:00:00Z"}',
    b'{"do": "hold", "ids": ["x", "y"]}',
    b'{"do": "release", "ids": []}',
    b'{"do": "undo", "id": "261121-204512-k7x2q"}',
    b"[" * 2000,
]


def _configure(home: Path, customer: str) -> None:
    folder = home / "config" / "customers"
    folder.mkdir(parents=True)
    (home / "config" / "tilldrop.toml").write_text("[limits]\nreserve_bytes = 0\n")
    (folder / "acme.toml").write_text(customer)


def bend_words(dice: random.Random, raw: bytes) -> bytes:
    """Change bytes, or put in a word of a mapping."""
    if dice.random() < 0.6:
        return bend(dice, raw)
    at = dice.randrange(len(raw) + 1)
    return raw[:at] + dice.choice(grammar()[0]) + raw[at + dice.randrange(4) :]


PATTERN_SEEDS = [
    *(rb"^(\d+)-", rb"shop-(\d+)", rb"(a|b)*c", rb"(?:x{1,3}y)+", rb"(?P<n>[A-Z]{2})\b"),
    *(b"Qty * Net * (1 - [Tax rate] / 100)", b"-[a]+(b*2.5)", b"((1))", b"[x"),
]

TARGETS = (
    Target(
        "proxy", "the header of the PROXY protocol, 1 and 2", begin_proxy, proxy_seeds, None, 1200
    ),
    Target(
        "names",
        "what names may be, and where they may stand",
        begin_names,
        lambda: [*ODD_NAMES, b"transactions/x.csv.part", b"day-1/Check.csv", b"at-1/2/Pay.csv"],
        None,
        600,
    ),
    Target(
        "patterns",
        "patterns and sums in mappings: refused, or soon done",
        begin_patterns,
        lambda: PATTERN_SEEDS,
        bend_words,
        300,
    ),
    Target(
        "sql", "expressions in SQL: refused, or worked out", begin_sql, sql_seeds, bend_words, 300
    ),
    Target("control", "requests on the control socket", begin_control, lambda: CONTROL_SEEDS),
)
