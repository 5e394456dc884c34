"""Imports point one way, and a library's name stops at its adapter."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "daemon" / "tilldrop"

# Lowest first; a module imports from its own layer and from those above it in this list.
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "delivery",
        "rows",
        "sqlite",
        "secretfiles",
        "passwords",
        "mentions",
        "importer.cards",
    ),
    (
        "journal",
        "journal_lines",
        "toml_table",
        "formats",
        "expression",
        "zones",
        "month_names",
        "spoken_zones",
        "patterns",
        "presets",
    ),
    ("sql_expression",),
    ("sources", "mapping", "mapping_columns", "mapping_toml_reading", "mapping_toml_sources"),
    ("mapping_toml_sections", "mapping_toml"),
    ("config_guard", "config_limits", "proxy_protocol", "sd_notify", "listening", "mapping_words"),
    (
        "config",
        "config_changes",
        "home_lock",
        "config_customers",
        "companions",
        "config_folders",
        "config_ftp",
    ),
    (
        "spool",
        "ledger_schema",
        "ledger_reading",
        "ledger_claiming",
        "ledger_locks",
        "ledger_replays",
        "ledger_writing",
        "ledger",
        "public_keys",
        "customers",
        "hostkeys",
        "receipt_words",
        "receipts",
        "corrections",
        "ledger_forgetting",
        "ledger_keeping",
    ),
    (
        "certificates",
        "in_the_clear",
        "guard",
        "password_checks",
        "audit",
        "audit_noting",
        "backup",
        "sharing",
        "allocator",
        "garbage",
        "turns",
        "descriptors",
    ),
    ("view", "usage", "upload", "reader", "looking", "visit", "arrivals", "intake"),
    ("importer.*",),
    ("guess.*",),
    ("doors.*", "watch", "sweeping", "housekeeping", "retention"),
    ("removals", "erased_since"),
    ("control", "service"),
    (
        "home_files",
        "cli_context",
        "cli_output",
        "customer_list",
        "guide",
        "guide_feeds",
        "guide_words",
        "refusals",
        "ftp_checks",
    ),
    ("mapping_document", "mapping_document_reading"),
    ("cli_audit", "cli_backup", "cli_guard", "cli_mapping"),
    ("cli_bulk", "cli_customers", "cli_deliveries", "cli_guide", "cli_refusals"),
    ("trial",),
    ("cli_changes", "cli_guess", "cli_replay", "cli_service", "cli_try"),
    ("cli_live", "cli_removals"),
    ("cli", "demo"),
)

# The child: it runs without the daemon, and with its own SQLite only.
WORKER = ("importer.worker",)
NOT_IN_WORKER = {
    "sqlite",
    "ledger",
    "ledger_reading",
    "ledger_schema",
    "config",
    "journal",
    "journal_lines",
}

ADAPTERS = {
    "asyncssh": {
        "doors.sftp",
        "doors.sftp_connection",
        "doors.sftp_session",
        "doors.sftp_transport",
        "doors.sftp_wire",
    },
    "pyftpdlib": {
        "doors.ftp",
        "doors.ftp_control",
        "doors.ftp_loop",
        "doors.ftp_tls",
        "doors.ftp_transfer",
    },
    "watchdog": {"watch"},
    "click": {
        "cli",
        "cli_audit",
        "cli_backup",
        "cli_bulk",
        "cli_context",
        "cli_customers",
        "cli_deliveries",
        "cli_guard",
        "cli_guess",
        "cli_guide",
        "cli_live",
        "cli_mapping",
        "cli_output",
        "cli_refusals",
        "cli_removals",
        "cli_replay",
        "cli_service",
        "cli_try",
    },
    "tomlkit": {"home_files", "mapping_document_reading"},
    "argon2": {"passwords"},
    "bcrypt": {"passwords"},
    "passlib": {"passwords"},
    "jinja2": {"guide"},
    "mistune": {"guide"},
    "structlog": {"journal", "journal_lines"},
    "python_calamine": {"importer.sheet_child"},
    "xlsxwriter": {"mapping_document"},
    "adbc_driver_sqlite": {"importer.engine", "importer.store_connection", "importer.worker"},
    "nanoarrow": {"importer.arrow"},
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


MODULES = {
    module_name(path): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(SOURCE.rglob("*.py"))
    if path.name != "__init__.py"
}


def layer(name: str) -> int:
    for number, names in enumerate(LAYERS):
        if name in names or f"{name.partition('.')[0]}.*" in names:
            return number
    raise AssertionError(f"{name} stands in no layer: add it to LAYERS")


def for_types_only(tree: ast.Module) -> set[ast.AST]:
    """Return every node below `if TYPE_CHECKING:`."""
    guards = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )
    return {below for guard in guards for below in ast.walk(guard)}


def imports(tree: ast.Module, *, with_types: bool) -> set[str]:
    """Return the full names of all that a module imports."""
    left_out = set() if with_types else for_types_only(tree)
    found = set()
    for node in ast.walk(tree):
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(name: str, *, with_types: bool) -> set[str]:
    """Return which of our modules a module imports."""
    found = set()
    for full in imports(MODULES[name], with_types=with_types):
        inner = full.removeprefix("tilldrop.")
        found |= {known for known in MODULES if inner == known or inner.startswith(known + ".")}
    return found - {name}


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name: str) -> None:
    upward = {n for n in own_imports(name, with_types=True) if layer(n) > layer(name)}
    assert not upward, f"{name} imports from above: {sorted(upward)}"


def test_no_import_goes_round_in_a_circle() -> None:
    graph = {name: own_imports(name, with_types=False) for name in MODULES}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("library", ADAPTERS)
def test_a_librarys_name_stops_at_its_adapter(library: str) -> None:
    users = {
        name
        for name, tree in MODULES.items()
        if any(full.partition(".")[0] == library for full in imports(tree, with_types=True))
    }
    assert users <= ADAPTERS[library]


def test_a_door_never_sees_the_importer() -> None:
    for name in MODULES:
        if name.startswith("doors."):
            assert not any(n.startswith("importer.") for n in own_imports(name, with_types=True))


def test_the_worker_reaches_neither_ledger_nor_a_second_sqlite() -> None:
    reached: set[str] = set()
    ahead = set(WORKER)
    while ahead:
        name = ahead.pop()
        reached.add(name)
        ahead |= own_imports(name, with_types=False) - reached
    assert not reached & NOT_IN_WORKER
    for name in reached:
        libraries = {full.partition(".")[0] for full in imports(MODULES[name], with_types=False)}
        assert not libraries & {"sqlite3", "pysqlite3", "sqlite_utils", "asyncssh", "structlog"}
