"""Every event the daemon can log, a typed function each: read this file to know what it says.

Events are a name and fields, never prose. Names are `noun.past_verb`. `error`: a person must
act; `warning`: we coped; `info`: the story; `debug`: protocol chatter. No password, key or
file content is ever a field; names that customers chose are field values.
"""

from __future__ import annotations

import logging
import sys

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger("tilldrop")


def configure(form: str, level: str) -> None:
    """Write events to stdout: JSON lines, or a readable form ("auto": readable on a terminal)."""
    readable = form == "console" or (form == "auto" and sys.stdout.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if readable
        else structlog.processors.JSONRenderer(ensure_ascii=True)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info if not readable else _unchanged,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=False,
    )


def _unchanged(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return event


def delivery_moved(
    delivery: str,
    customer: str,
    name: str,
    before: str,
    after: str,
    cause: str,
    reason: str | None,
) -> None:
    """Say a delivery changed its state; called by `ledger` alone."""
    log.info(
        "delivery.moved",
        delivery=delivery,
        customer=customer,
        name=name,
        before=before,
        after=after,
        cause=cause,
        reason=reason,
    )
