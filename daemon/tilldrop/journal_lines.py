"""How the journal's events become lines: JSON or for people, with card numbers masked.

Owns the log's stream. Promises: a log that cannot be written stops nothing; what others say is
masked before anybody reads it, and commands no terminal. Never says anything itself: the events
are `journal`'s.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from tilldrop.importer.cards import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Fields that hold what a client or a library says; ids and digests are ours and stay as they are.
_SAID_BY_OTHERS = frozenset(
    {"name", "text", "trace", "why", "customer", "request", "to", "client", "exception"}
)

_LEVELS = logging.getLevelNamesMapping()
# Made once: structlog's own renderer makes one for every line, which costs more than the line.
_JSON = json.JSONEncoder(default=repr)


def configure(
    form: str,
    level: str,
    stream: TextIO | None = None,
    note: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """Write events to stdout or a stream.

    note: is given every event, also those below the level. form: "json" for JSON lines,
    "console" for people, "auto" for people if it is a terminal.
    """
    stream = stream or sys.stdout
    readable = form == "console" or (form == "auto" and stream.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=_write_traceback)
        if readable
        else _json_line
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _mask_cards,
            _Passing(_LEVELS[level.upper()], note),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info if not readable else _unchanged,
            _mask_trace,
            _quote_unseen if readable else _unchanged,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            min(logging.INFO, _LEVELS[level.upper()])
        ),
        logger_factory=_Lines(stream),
        cache_logger_on_first_use=False,
    )


class _Lines:
    """Writes a line an event. A log that cannot be written never stops the work that it tells of.

    Any thread may log, so an error here would end the ledger's or the importer's: seen with a
    log file on a full disk.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, *_: object) -> _Lines:
        return self

    def msg(self, message: str) -> None:
        """Write one line, if that can be."""
        with self._lock, suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._stream.write(message + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def _mask_cards(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Mask card numbers in what others say: names, requests, texts of libraries."""
    for field in _SAID_BY_OTHERS & event.keys():
        if isinstance(event[field], str):
            event[field] = mask(event[field])
    return event


def _mask_trace(
    _logger: object, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Mask what a traceback quotes; it has only just been written."""
    return _mask_cards(_logger, method, event) if "exception" in event else event


def _json_line(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    return _JSON.encode(event)


def _write_traceback(stream: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    trace = io.StringIO()
    structlog.dev.plain_traceback(trace, exc_info)
    lines = mask(trace.getvalue()).split("\n")
    stream.write("\n".join(line if line.isprintable() else repr(line) for line in lines))


class _Quoted:
    """A text as Python writes it: structlog shows whatever is no text by its repr."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)


def _quote_unseen(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Quote what a terminal would obey: names of strangers come as they are."""
    for field, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[field] = _Quoted(value)
    return event


class _Passing:
    """Gives every event to `note`, and drops those below the level."""

    def __init__(self, level: int, note: Callable[[Mapping[str, Any]], None] | None) -> None:
        self._level = level
        self._note = note

    def __call__(
        self, _logger: object, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        if self._note is not None:
            self._note(event)
        if _LEVELS[method.upper()] < self._level:
            raise structlog.DropEvent
        return event


def _unchanged(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return event
