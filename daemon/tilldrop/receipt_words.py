"""The words of receipts: verdicts, and what a customer is to do next.

Owns one sentence for each state and each reason. Promises that they name no path, table or
version of ours. Nothing here is a function.
"""

from __future__ import annotations

from tilldrop.delivery import State

VERDICTS: dict[State, str] = {
    State.RECEIVING: "BEING RECEIVED",
    State.WAITING: "WAITING FOR THE END OF THE UPLOAD",
    State.BROKEN: "INCOMPLETE",
    State.ARRIVED: "WAITING FOR ITS IMPORT",
    State.IMPORTING: "IN WORK",
    State.IMPORTED: "ACCEPTED",
    State.REJECTED: "REFUSED",
    State.DUPLICATE: "DUPLICATE",
    State.UNCLAIMED: "NOT EXPECTED",
    State.HELD: "BEING LOOKED AT BY THE OPERATOR",
}
ACCEPTED_WITH_FAULTS = "ACCEPTED WITH FAULTS"

NEXT_BY_STATE: dict[State, str] = {
    State.RECEIVING: "Nothing yet: the upload is still going on.",
    State.WAITING: (
        "If your program uploads under a temporary name, let it finish by renaming the file."
        " Otherwise send the file again under its final name."
    ),
    State.BROKEN: (
        "The upload ended before the whole file was here, and nothing was booked."
        " Send the file again, whole, or let your program resume it."
    ),
    State.ARRIVED: "Nothing: the file is safely here and will be imported by itself.",
    State.IMPORTING: "Nothing: the file is being imported. Read this receipt again in a minute.",
    State.IMPORTED: "Nothing.",
    State.REJECTED: "Correct the file and send it again; nothing of it was booked.",
    State.DUPLICATE: "Nothing: the same content is already booked.",
    State.UNCLAIMED: (
        "Send the file under one of the agreed names. If this is a new kind of file, ask the"
        " operator to set it up; then this delivery can be imported without being sent again."
    ),
    State.HELD: "Nothing: the file is safely here, and the operator has been told.",
}
NEXT_WITH_FAULTS = (
    "Correct the rows listed above and send them in a new file. It may hold the other rows of"
    " this file too: transactions that are already booked are not booked twice."
)
NEXT_IF_CUT_SHORT = (
    "Nothing, unless the file should be longer than it is: then send it again, whole."
)
NEXT_FOR_CONTROL = (
    "Look whether the file is whole and its figures are right. If it is not, send the right one"
    " under the same name; if it is, tell the operator, who can let it in as it is."
)
NEXT_BY_REASON: dict[str, str] = {
    "file-empty": "Look whether your export ran, then send the file again.",
    "no-records": (
        "If there were no sales, there is nothing to do. Otherwise look whether your export"
        " ran, then send the file again."
    ),
    "not-text": "Export as CSV text or as a workbook (.xlsx, .xls, .ods), and send that.",
    "nul-bytes": "The file was probably damaged on its way. Export it and send it again.",
    "encoding-wrong": (
        "Export with the agreed character set, or tell the operator that it has changed;"
        " nothing of this file was booked."
    ),
    "header-missing": "Export with column names, as agreed, and send the file again.",
    "header-lacks": (
        "Add the missing columns to your export and send the file again. If your system now"
        " calls them by other names or writes its files in another way, tell the operator."
    ),
    "header-repeats": "Remove or rename the repeated column and send the file again.",
    "name-lacks-value": "Send the file again under a name of the agreed form.",
    "quote-unclosed": (
        "Close or remove the quotation mark on that line, and look whether the file was cut"
        " short. Then send it again; nothing of it was booked."
    ),
    "too-many-faults": (
        "Correct the rows listed above and send the whole file again. If your system now writes"
        " its files in another way, tell the operator. Nothing of this file was booked."
    ),
    "never-renamed": (
        "Send the file again under its final name, or let your program finish by renaming it."
    ),
    "counts-disagree": (
        "Look whether the file was cut short or has stray quotation marks, and send it again;"
        " nothing of it was booked."
    ),
    "card-data": (
        "Leave card numbers out of your export and send it again. Nothing of this file was booked,"
        " and its bytes were deleted here. Delete it on your side too."
    ),
    "card-track-data": (
        "What is on a card's stripe must never be stored or sent: have it removed from your system"
        " at once. Nothing of this file was booked, and its bytes were deleted here."
    ),
    "card-code": (
        "Card verification codes must never be stored or sent: have them removed from your system"
        " at once. Nothing of this file was booked, and its bytes were deleted here."
    ),
    "unpack-failed": (
        "Make it anew and send it again: it was probably damaged on its way. An archive may"
        " hold files only, no other archives, and have no password."
    ),
    "unpacked-too-large": "Send the content in several smaller files.",
    "member-missing": "Look whether the right files are in the archive, and send it again.",
    "members-differ": (
        "Put only files of one kind into an archive, with the same columns, and send it again."
    ),
    "sheet-missing": (
        "Send the workbook with the agreed sheet; if your system now calls it something else, tell"
        " the operator."
    ),
    "preamble-lacks-value": "Export with the lines above the column names, and send it again.",
    "control-differs": NEXT_FOR_CONTROL,
    "control-missing": NEXT_FOR_CONTROL,
    "companion-missing": (
        "Send the file that declares the figures of this one; then it is imported by itself."
    ),
    "undone": "Nothing, unless the operator asked you to send the right file.",
}
TAKEN_BACK = "TAKEN BACK BY THE OPERATOR"
SANDBOX = (
    "This was a test: the file was read and checked as it will be, and its rows are kept apart."
    " They do not count, except those of locations that are live already."
)
COMPANION = "Its figures are compared with those of the file that it belongs to."
MASTERS = {
    "transactions": "Transactions",
    "products": "Products",
    "shoppers": "Shoppers",
    "stock_levels": "Stock levels",
    "locations": "Locations",
}
CHILDREN = {"line_items": "  their lines", "tenders": "  their payments", "taxes": "  their taxes"}
# Notes that are about the file, not about its rows: each is told by itself, without its line.
ABOUT_THE_FILE = frozenset(
    {
        "card-masked",
        "column-new",
        "control-accepted",
        "layout-changed",
        "location-new",
        "location-renumbered",
        "older-ignored",
        "tender-new",
    }
)
