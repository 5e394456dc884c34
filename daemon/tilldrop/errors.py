"""Every way Tilldrop can refuse, and every fault a file can have: one catalogue.

Owns the codes. A code is frozen once released and never reused; each appears in
`config/README.md`, and a test compares the two.

`TilldropError` says that we cannot go on and know why. `FAULTS` names what may be wrong
inside a file; a fault is a value (`rows.Fault`), never an exception.
What is neither is a bug: it is caught only at the edge of a unit of work.
"""

from __future__ import annotations

from typing import ClassVar


class TilldropError(Exception):
    """Base of all that Tilldrop refuses knowingly.

    code: frozen name. temporary: True if trying later can help; False if a person must act.
    exit_code: what the CLI exits with. to_customer: one sentence that reveals no path,
    table or version.
    """

    code: ClassVar[str] = "error"
    temporary: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1
    to_customer: ClassVar[str] = "The server could not do that."


class ConfigInvalid(TilldropError):
    """The configuration has mistakes; `str()` is all of them, one a line."""

    code = "config-invalid"
    exit_code = 78  # EX_CONFIG


class DocumentUnreadable(TilldropError):
    """A mapping document is no workbook, not made from the template, or cannot be written."""

    code = "document-unreadable"
    exit_code = 65  # EX_DATAERR


class AuditBroken(TilldropError):
    """The audit log was tampered with, or damaged."""

    code = "audit-broken"
    exit_code = 65  # EX_DATAERR


class BackupFailed(TilldropError):
    """A backup cannot be written or restored, or is not whole."""

    code = "backup-failed"
    exit_code = 74  # EX_IOERR


class HomeUnusable(TilldropError):
    """The home is missing, not a home, or not writable."""

    code = "home-unusable"
    exit_code = 73  # EX_CANTCREAT


class AlreadyRunning(TilldropError):
    """Another daemon holds this home's lock."""

    code = "already-running"
    exit_code = 75


class NotRunning(TilldropError):
    """The command needs the running daemon, and none answers."""

    code = "not-running"
    exit_code = 69  # EX_UNAVAILABLE


class PortTaken(TilldropError):
    """A door's address could not be bound."""

    code = "port-taken"
    exit_code = 71  # EX_OSERR


class SqliteTooOld(TilldropError):
    """The SQLite library lacks what the schema needs."""

    code = "sqlite-too-old"
    exit_code = 69


class SchemaTooNew(TilldropError):
    """A database was written by a newer Tilldrop."""

    code = "schema-too-new"
    exit_code = 65  # EX_DATAERR


class DatabaseDamaged(TilldropError):
    """SQLite says that a database file is malformed."""

    code = "database-damaged"
    exit_code = 65


class NoSuchCustomer(TilldropError):
    """No customer of that name is configured."""

    code = "no-such-customer"
    exit_code = 67  # EX_NOUSER


class NoSuchDelivery(TilldropError):
    """The ledger knows no delivery of that id."""

    code = "no-such-delivery"
    exit_code = 66  # EX_NOINPUT


class KeyUnusable(TilldropError):
    """A public key cannot be used: unreadable, too short, or of a kind not accepted."""

    code = "key-unusable"
    exit_code = 65


class UsageWrong(TilldropError):
    """A command was given words that do not fit together."""

    code = "usage-wrong"
    exit_code = 64  # EX_USAGE


class SampleUnreadable(TilldropError):
    """A sample holds no table that `guess` can read."""

    code = "sample-unreadable"
    exit_code = 65  # EX_DATAERR


class AlreadyLive(TilldropError):
    """What is to go live is live already."""

    code = "already-live"
    exit_code = 65


class ListInvalid(TilldropError):
    """A list of customers has mistakes; `str()` is all of them, one a line."""

    code = "list-invalid"
    exit_code = 65


class MoveRefused(TilldropError):
    """A delivery is not in a state from which that move exists."""

    code = "move-refused"
    exit_code = 65
    to_customer = "The file is being worked on, please try again."


class NoSuchFile(TilldropError):
    """The view shows nothing under that name."""

    code = "no-such-file"
    to_customer = "No such file."


class NoSuchFolder(TilldropError):
    """The view has no folder of that name."""

    code = "no-such-folder"
    to_customer = "No such folder; upload to the root or to a folder that is listed there."


class IsFolder(TilldropError):
    """A file was expected and a folder is there."""

    code = "is-folder"
    to_customer = "That is a folder."


class NameRefused(TilldropError):
    """A name that the view does not take: control characters, not UTF-8, too long, hidden."""

    code = "name-refused"
    to_customer = (
        "That file name is not accepted: use up to 200 visible characters,"
        " not beginning with a dot or a blank, without slashes or backslashes."
    )


class NameExists(TilldropError):
    """A client asked for a name only if it is not taken, and it is."""

    code = "name-exists"
    to_customer = "There is already something of that name."


class DeliveredStays(TilldropError):
    """A delivered file cannot be renamed, removed or shortened."""

    code = "delivered-stays"
    to_customer = (
        "Delivered files cannot be renamed or deleted: their data is already processed."
        " To correct data, upload a file with the same transaction ids."
    )


class FolderFixed(TilldropError):
    """Folders are made by the configuration, not by customers."""

    code = "folder-fixed"
    to_customer = "Folders cannot be made, renamed or removed; upload to the root."


class ReadOnly(TilldropError):
    """Receipts are written by Tilldrop alone."""

    code = "read-only"
    to_customer = "Receipts are read-only."


class NotSupported(TilldropError):
    """A request type that no client needs for an upload."""

    code = "not-supported"
    to_customer = "This request is not supported here."


class NoLongerKept(TilldropError):
    """The bytes of a delivery are gone by retention; its row remains."""

    code = "no-longer-kept"
    to_customer = "That file was processed; its bytes are no longer kept."


class TooLarge(TilldropError):
    """The upload would pass `limits.max_file_bytes`."""

    code = "too-large"
    to_customer = "The file is larger than this server accepts."


class SpoolFull(TilldropError):
    """Free space fell below `limits.reserve_bytes`."""

    code = "spool-full"
    temporary = True
    exit_code = 75
    to_customer = "Storage is full, please send again later."


class SpoolFailed(TilldropError):
    """The file system refused a write, a sync or a rename."""

    code = "spool-failed"
    temporary = True
    exit_code = 74  # EX_IOERR
    to_customer = "The file could not be stored, please send again later."


class SpoolSplit(TilldropError):
    """The spool's folders lie on more than one file system."""

    code = "spool-split"
    exit_code = 78


class LedgerBusy(TilldropError):
    """The ledger stayed locked by another program longer than the busy timeout."""

    code = "ledger-busy"
    temporary = True
    exit_code = 75
    to_customer = "The server is busy, please send again later."


class LedgerFailed(TilldropError):
    """SQLite could not commit to the ledger."""

    code = "ledger-failed"
    temporary = True
    exit_code = 74
    to_customer = "The file could not be recorded, please send again later."


class UploadPoisoned(TilldropError):
    """An earlier write of this upload failed, so its end is refused."""

    code = "upload-poisoned"
    temporary = True
    to_customer = "Part of the file could not be stored, please send it again."


class BytesMissing(TilldropError):
    """The ledger says that a delivery arrived, and its bytes are nowhere in the spool."""

    code = "bytes-missing"
    exit_code = 65
    to_customer = "The file is missing here, please send it again."


class UploadBroken(TilldropError):
    """An upload that broke off was asked to take its final name."""

    code = "upload-broken"
    to_customer = "This upload was not finished, so it cannot be renamed. Resume or send it again."


class UploadHasGaps(TilldropError):
    """The written ranges do not join up, so the file is not whole."""

    code = "upload-has-gaps"
    temporary = True
    to_customer = "Parts of the file are missing, please send it again."


class UploadTaken(TilldropError):
    """Another connection is already resuming this broken upload."""

    code = "upload-taken"
    temporary = True
    to_customer = "Another connection is resuming this upload; wait for it to end or send it whole."


class SeekRefused(TilldropError):
    """A resume was asked for at an offset beyond what is stored."""

    code = "seek-refused"
    to_customer = "Cannot resume from there: fewer bytes are stored. Send the file whole."


class TransferCut(TilldropError):
    """An FTP transfer ended without the client having meant it, as far as the wire tells."""

    code = "transfer-cut"
    temporary = True
    to_customer = "The transfer broke off; resume it or send the file again."


class NoDataConnection(TilldropError):
    """FTP's data connection did not come about."""

    code = "no-data-connection"
    temporary = True
    to_customer = "No data connection: use passive mode, or let firewalls pass its ports."


class TlsNeeded(TilldropError):
    """An FTP client wants to transfer in the clear, and `ftp.tls` is "required"."""

    code = "tls-needed"
    to_customer = "Data must be protected: use PROT P."


class StoredTooMuch(TilldropError):
    """The customer's stored bytes would pass `limits.max_stored_bytes`."""

    code = "stored-too-much"
    temporary = True
    to_customer = "The storage for this account is used up; ask the operator, or send later."


class TooManyUploads(TilldropError):
    """The customer has begun `limits.max_uploads_a_day` uploads today."""

    code = "too-many-uploads"
    temporary = True
    to_customer = "Too many uploads today, please go on tomorrow."


class TooManySessions(TilldropError):
    """The customer has `limits.max_sessions` sessions open."""

    code = "too-many-sessions"
    temporary = True
    to_customer = "Too many sessions of this account, please close one or come again later."


class CustomerBusy(TilldropError):
    """A customer cannot be removed: it is still configured, uploads, or is imported for."""

    code = "customer-busy"
    temporary = True
    exit_code = 75


class TooManyOpen(TilldropError):
    """A session holds more open files than `limits.max_open_files`."""

    code = "too-many-open"
    temporary = True
    to_customer = "Too many open files in this session."


class ShuttingDown(TilldropError):
    """The daemon is stopping and takes no new uploads."""

    code = "shutting-down"
    temporary = True
    exit_code = 75
    to_customer = "The server is restarting, please send again in a minute."


class WorkerLost(TilldropError):
    """The worker crashed, hung or grew past its memory limit during a job."""

    code = "worker-lost"
    temporary = True


class DataUnavailable(TilldropError):
    """data.db cannot be read or written: missing, read-only, or its disk fails. Imports wait."""

    code = "data-unavailable"
    temporary = True
    exit_code = 75


class DataBusy(DataUnavailable):
    """data.db stayed locked by another program longer than the busy timeout."""

    code = "data-busy"


class DataFull(DataUnavailable):
    """The disk of data.db, or that of temporary files, has no room for an import."""

    code = "data-full"


class BytesUnreadable(DataUnavailable):
    """The system refuses a file, or has no memory or descriptor for it. Its import waits."""

    code = "bytes-unreadable"


class DataDamaged(DataUnavailable):
    """SQLite says that data.db or sandbox.db is malformed: imports wait until it is restored."""

    code = "data-damaged"


# What may be wrong inside a file, or with a file as a whole: code -> what the customer reads.
# `{field}` and `{seen}` are filled in; `seen` is masked and shortened before it gets here.
FAULTS: dict[str, str] = {
    # one record
    "field-count": "the row has {seen}",
    "id-empty": "{field} is empty, so the transaction has no id",
    "location-empty": "{field} is empty, so the transaction has no location",
    "total-empty": "{field} is empty",
    "number-unreadable": "{field} is not a number: {seen}",
    "amount-out-of-range": "{field} is too large to be an amount: {seen}",
    "date-empty": "{field} is empty",
    "date-unreadable": "{field} is not a date of the agreed format: {seen}",
    "time-unreadable": "{field} is not a time of the agreed format: {seen}",
    "date-out-of-range": "{field} is not between the years 1900 and 2200: {seen}",
    "quote-unclosed": "a quotation mark opens here and is never closed",
    "quote-stray": "text stands before or after a quoted field: {seen}",
    "record-too-long": "the row is longer than {seen}",
    "transaction-incomplete": "another row of this transaction is faulty (line {seen})",
    "key-empty": "{field} is empty, so the row has no key",
    "value-unlisted": "{field} has a value that was not agreed: {seen}",
    "zone-unknown": "{field} is not a known time zone: {seen}",
    "currency-unknown": "{field} is not a currency: {seen}",
    "lookup-missing": "{field} is not in the master file received before: {seen}",
    "sql-failed": "{field} could not be worked out: {seen}",
    # warnings: the row is imported
    "time-skipped": "{seen} does not exist on that day (clocks go forward); one hour was added",
    "time-ambiguous": "{seen} happens twice on that day (clocks go back); the first was taken",
    "last-line-unterminated": "the last line has no line end, so the file may be cut short",
    "key-repeated": "the same transaction stands in several rows; the last one was taken",
    "timestamps-differ": "the rows of one transaction bear different times; the first was taken",
    "column-new": "a column that earlier files did not have was kept aside: {seen}",
    "location-new": "a location that was never seen before: {seen}",
    "location-renumbered": "a location appeared as another fell silent, renumbered? {seen}",
    "tender-new": "a payment method that was never seen before: {seen}",
    "layout-changed": "the file is written otherwise than agreed or than the ones before: {seen}",
    "id-reuse-suspected": "the id was used before for a sale of another day: {seen}",
    "card-masked": "{field} holds card numbers; all but six and four digits were masked: {seen}",
    "control-accepted": "the file declares other figures, the operator let it in: {seen}",
    "versions-gone": "rows went that older files had filled; that version is kept no more: {seen}",
    "older-ignored": "rows older than what is stored changed nothing: {seen}",
    # the file as a whole
    "card-data": "{field} holds card numbers, which must not be sent: {seen}",
    "card-track-data": "{field} holds what a card's magnetic stripe does: {seen}",
    "card-code": "{field} holds card verification codes, which must not be sent: {seen}",
    "unpack-failed": "the packed file cannot be unpacked: {seen}",
    "unpacked-too-large": "the packed file grows too large when unpacked: {seen}",
    "member-missing": "nothing in the archive has a name like {field}: {seen}",
    "members-differ": "the files in the archive do not look alike: {seen}",
    "sheet-missing": "the workbook has no sheet {field}: {seen}",
    "preamble-lacks-value": "the lines before the header do not contain the {field}",
    "control-differs": "the file declares other figures than it holds: {seen}",
    "control-missing": "the figures that the file should declare are missing: {seen}",
    "companion-missing": "the file that belongs to this one has not come: {seen}",
    "undone": "the operator took this file back",
    "file-empty": "the file is empty",
    "no-records": "the file has a header line but no rows",
    "not-text": "the file is not text: {seen}",
    "encoding-wrong": "the file is not {field}: {seen}",
    "nul-bytes": "the file contains NUL bytes, so it is damaged or not a text file",
    "header-missing": "there is no header line {seen}",
    "header-lacks": "columns are missing: {seen}",
    "header-repeats": "a needed column stands twice in the header: {seen}",
    "name-lacks-value": "the file name does not contain the {field}: {seen}",
    "too-many-faults": "{seen} of the rows are faulty, more than the agreed share",
    "no-feed": "no agreed file has a name like this: {seen}",
    "never-renamed": "the file was sent under a temporary name and never got its final one",
    "same-again": "the same file was already imported; nothing to do",
    "import-crashed": "the import failed again and again; the operator has been told",
    "counts-disagree": "the rows could not be counted reliably; nothing was booked",
}
