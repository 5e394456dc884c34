"""`tilldrop mapping`: the workbook in which a retailer says what its files hold.

Writes nothing but what it was told to write. The feeds of a filled document are printed for an
operator to read; they are never put into a customer's file unseen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tilldrop.cli_context import PATH, as_json, plural
from tilldrop.cli_output import visible, write_json
from tilldrop.errors import DocumentUnreadable
from tilldrop.mapping_document import write_template
from tilldrop.mapping_document_reading import read_document

if TYPE_CHECKING:
    from pathlib import Path

EXIT_INCOMPLETE = 65  # EX_DATAERR


@click.group("mapping")
def mapping_group() -> None:
    """Exchange mapping documents with retailers."""


@mapping_group.command("template")
@click.argument("file", type=PATH)
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
def template(file: Path, force: bool) -> None:  # noqa: FBT001
    """Write an empty mapping document (.xlsx) for a retailer to fill in."""
    if file.suffix.casefold() != ".xlsx":
        raise click.UsageError(f"{visible(str(file))}: the name must end in .xlsx")
    if file.exists() and not force:
        raise click.UsageError(f"{visible(str(file))} exists; --force overwrites it")
    try:
        write_template(file)
    except OSError as refused:
        raise DocumentUnreadable(f"{file}: {refused.strerror}") from refused
    click.echo(f"wrote {visible(str(file))}", err=True)


@mapping_group.command("import")
@click.argument("file", type=PATH)
@as_json
@click.pass_context
def import_document(context: click.Context, file: Path, as_json: bool) -> None:  # noqa: FBT001
    """Turn a filled mapping document (.xlsx, .xls, .ods) into feeds, printed as TOML.

    What could not be used is told cell by cell, on stderr; the exit status is then 65 and the
    feeds are a draft.
    """
    found = read_document(file)
    if as_json:
        write_json(found)
    else:
        click.echo(found.toml, nl=False)
    for one in found.complaints:
        click.echo(f"{visible(one.cell)}: {visible(one.text)}", err=True)
    done = plural(len(found.feeds), "feed")
    if found.complaints:
        click.echo(f"{done}, {plural(len(found.complaints), 'cell')} to correct", err=True)
        context.exit(EXIT_INCOMPLETE)
    click.echo(f"{done}; put them into the customer's file and try them", err=True)
