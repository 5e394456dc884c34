"""What a customer's term has ended for goes while the daemon runs; the delivery itself stays."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from tests.daemon import Daemon, wait_for
from tests.journeys.test_removals import REFUSED, SALES, SHOP
from tests.journeys.test_sandbox import ask, deliver, write_customer
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = "\n[limits]\nkeep_rejected_days = 30\nkeep_history_days = 30\nkeep_reports_days = 30\n"


def age(daemon: Daemon, years: int) -> None:
    """Let all that a stopped daemon's databases hold be so much older, ids and files as well."""
    for path in (daemon.paths.ledger, daemon.paths.data):
        with closing(sqlite3.connect(path)) as connection:
            sql = (
                "SELECT m.name, c.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c"
                " WHERE m.type = 'table' AND (c.name IN ('id', 'delivery', 'replaced', 'at')"
                " OR c.name LIKE '%!_at' ESCAPE '!') AND c.name <> 'applied_at'"
                " AND c.name <> 'sold_at'"
            )
            for table, column in connection.execute(sql).fetchall():
                first = 3 if column == "at" or column.endswith("_at") else 1
                connection.execute(
                    f"UPDATE {table} SET {column} = substr({column}, 1, {first - 1})"
                    f" || printf('%02d', substr({column}, {first}, 2) - {years})"
                    f" || substr({column}, {first + 2}) WHERE {column} IS NOT NULL"
                )
            connection.commit()
    for file in (daemon.paths.spool / "kept").iterdir():
        file.rename(file.with_name(f"{int(file.name[:2]) - years:02}{file.name[2:]}"))


def test_old_records_go_and_the_delivery_stays_with_its_figures(
    idle_daemon: Daemon, tmp_path: Path
) -> None:
    daemon = idle_daemon
    write_customer(daemon, SHOP.replace("[[feeds]]", LIMITS + "[[feeds]]", 1))
    daemon.start()
    deliver(daemon, tmp_path, "sales.csv", SALES)
    old = deliver(daemon, tmp_path, "sales.csv", SALES.replace("2.00", "2.50") + REFUSED)
    assert daemon.rows("SELECT count(*) FROM history") == [(1,)]
    assert daemon.rows("SELECT count(*) FROM rejected_rows") == [(1,)]
    daemon.stop()
    age(daemon, 1)
    old = f"{int(old[:2]) - 1:02}{old[2:]}"
    daemon.start()
    [said] = wait_for("retention", lambda: daemon.events("records.expired"))
    assert (said["refused"], said["versions"], said["reports"]) == (1, 1, 2)
    for table in ("history", "rejected_rows"):
        assert daemon.rows(f"SELECT count(*) FROM {table}") == [(0,)]
    assert daemon.ledger().moves(old) == []
    shown = ask(daemon, "show", old)
    assert "Rows refused" in shown
    assert "Faults: 1 (which they were is no longer kept)" in shown
    assert "not a day" not in shown
    assert "(limits.keep_history_days)" in ask(daemon, "undo", old)
    assert daemon.rows("SELECT total_minor FROM transactions WHERE transaction_id = '1'") == [
        (250,)
    ]
