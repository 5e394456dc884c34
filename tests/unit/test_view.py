"""The view's rules as tables: request x what is known of a name -> answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.spine import customer
from tilldrop import view
from tilldrop.delivery import ACCEPTED, Delivery, State
from tilldrop.errors import (
    DeliveredStays,
    FolderFixed,
    IsFolder,
    NameExists,
    NameRefused,
    NoLongerKept,
    NoSuchFile,
    NoSuchFolder,
    ReadOnly,
    TilldropError,
    UploadBroken,
)
from tilldrop.view import Begin, Known, Resume

if TYPE_CHECKING:
    from collections.abc import Callable

T0 = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def delivery(state: State, minute: int, size_bytes: int = 100, *, gone: bool = False) -> Delivery:
    at = T0 + timedelta(minutes=minute)
    return Delivery(
        id=f"{state}-{minute}",
        arrival_seq=minute if state in ACCEPTED else None,
        customer="acme",
        door="sftp",
        name="sales.csv",
        state=state,
        size_bytes=size_bytes,
        gap_from=None,
        mtime=None,
        began_at=at,
        arrived_at=at if state in ACCEPTED else None,
        changed_at=at,
        run=0,
        attempts=0,
        not_before=None,
        feed=None,
        reason=None,
        sha256=None,
        fingerprint=None,
        bytes_gone_at=at if gone else None,
    )


ACCEPTED_5 = delivery(State.IMPORTED, 5)
GONE_5 = delivery(State.IMPORTED, 5, gone=True)
BROKEN_3 = delivery(State.BROKEN, 3, 30)
BROKEN_7 = delivery(State.BROKEN, 7, 70)
BROKEN_7_EMPTY = delivery(State.BROKEN, 7, 0)
WAITING_7 = delivery(State.WAITING, 7, 77)

KNOWN = {
    "nothing": Known(),
    "own": Known(own_size=12),
    "own over accepted": Known(own_size=12, accepted=ACCEPTED_5),
    "accepted": Known(accepted=ACCEPTED_5),
    "accepted, bytes gone": Known(accepted=GONE_5),
    "broken": Known(unfinished=BROKEN_7),
    "broken, nothing stored": Known(unfinished=BROKEN_7_EMPTY),
    "broken after accepted": Known(unfinished=BROKEN_7, accepted=ACCEPTED_5),
    "broken before accepted": Known(unfinished=BROKEN_3, accepted=ACCEPTED_5),
    "waiting": Known(unfinished=WAITING_7),
    "waiting after accepted": Known(unfinished=WAITING_7, accepted=ACCEPTED_5),
}

# What each request answers for each of these; an exception's class stands for a refusal.
TABLE: dict[str, dict[str, object]] = {
    "size": {
        "nothing": NoSuchFile,
        "own": 12,
        "own over accepted": 12,
        "accepted": 100,
        "accepted, bytes gone": 100,
        "broken": 70,
        "broken, nothing stored": NoSuchFile,
        "broken after accepted": 70,
        "broken before accepted": 100,
        "waiting": 77,
        "waiting after accepted": 77,
    },
    "open, truncating": {
        "nothing": Begin(),
        "own": Begin(),
        "own over accepted": Begin(),
        "accepted": Begin(),
        "accepted, bytes gone": Begin(),
        "broken": Begin(),
        "broken, nothing stored": Begin(),
        "broken after accepted": Begin(),
        "broken before accepted": Begin(),
        "waiting": Resume(WAITING_7, keep_bytes=0),
        "waiting after accepted": Resume(WAITING_7, keep_bytes=0),
    },
    "open, going on": {
        "nothing": Begin(),
        "own": Begin(),
        "own over accepted": Begin(seed=ACCEPTED_5),
        "accepted": Begin(seed=ACCEPTED_5),
        "accepted, bytes gone": NoLongerKept,
        "broken": Resume(BROKEN_7, keep_bytes=70),
        "broken, nothing stored": Begin(),
        "broken after accepted": Resume(BROKEN_7, keep_bytes=70),
        "broken before accepted": Begin(seed=ACCEPTED_5),
        "waiting": Resume(WAITING_7, keep_bytes=77),
        "waiting after accepted": Resume(WAITING_7, keep_bytes=77),
    },
    "open to read": {
        "nothing": NoSuchFile,
        "own": NoSuchFile,
        "own over accepted": ACCEPTED_5,
        "accepted": ACCEPTED_5,
        "accepted, bytes gone": NoLongerKept,
        "broken": BROKEN_7,
        "broken, nothing stored": NoSuchFile,
        "broken after accepted": BROKEN_7,
        "broken before accepted": ACCEPTED_5,
        "waiting": WAITING_7,
        "waiting after accepted": WAITING_7,
    },
    "rename": {
        "nothing": NoSuchFile,
        "own": None,
        "own over accepted": None,
        "accepted": DeliveredStays,
        "accepted, bytes gone": DeliveredStays,
        "broken": UploadBroken,
        "broken, nothing stored": NoSuchFile,
        "broken after accepted": UploadBroken,
        "broken before accepted": DeliveredStays,
        "waiting": WAITING_7,
        "waiting after accepted": WAITING_7,
    },
    "remove": {
        "nothing": NoSuchFile,
        "own": NoSuchFile,
        "own over accepted": DeliveredStays,
        "accepted": DeliveredStays,
        "accepted, bytes gone": DeliveredStays,
        "broken": BROKEN_7,
        "broken, nothing stored": NoSuchFile,
        "broken after accepted": BROKEN_7,
        "broken before accepted": DeliveredStays,
        "waiting": WAITING_7,
        "waiting after accepted": WAITING_7,
    },
    "remove, while N.filepart waits": {
        "nothing": None,
        "own": None,
        "own over accepted": None,
        "accepted": None,
        "accepted, bytes gone": None,
        "broken": BROKEN_7,
        "broken, nothing stored": None,
        "broken after accepted": BROKEN_7,
        "broken before accepted": None,
        "waiting": WAITING_7,
        "waiting after accepted": WAITING_7,
    },
}


ASK: dict[str, Callable[[Known], object]] = {
    "size": lambda known: view.stat("sales.csv", known, now=0).size_bytes,
    "open, truncating": lambda known: view.open_write(known, truncate=True),
    "open, going on": lambda known: view.open_write(known, truncate=False),
    "open to read": lambda known: view.open_read("sales.csv", known),
    "rename": lambda known: view.rename("sales.csv", known),
    "remove": lambda known: view.remove("sales.csv", known, ["other.csv.filepart"]),
    "remove, while N.filepart waits": lambda known: view.remove(
        "sales.csv", known, ["sales.csv.filepart"]
    ),
}


@pytest.mark.parametrize(
    ("request_", "state", "answer"),
    [
        pytest.param(request, state, answer, id=f"{request}: {state}")
        for request, answers in TABLE.items()
        for state, answer in answers.items()
    ],
)
def test_every_request_in_every_state_has_its_answer(
    request_: str, state: str, answer: object
) -> None:
    if isinstance(answer, type) and issubclass(answer, TilldropError):
        with pytest.raises(answer):
            ASK[request_](KNOWN[state])
    else:
        assert ASK[request_](KNOWN[state]) == answer


def test_the_table_leaves_no_state_out() -> None:
    assert all(set(answers) == set(KNOWN) for answers in TABLE.values())


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("/", ""),
        ("", ""),
        (".", ""),
        ("/sales.csv", "sales.csv"),
        ("sales.csv", "sales.csv"),
        ("/../../etc/passwd", "etc/passwd"),
        ("/a/../b.csv", "b.csv"),
        ("//x//y.csv", "x/y.csv"),
        ("/a/./b", "a/b"),
        ("Ku\u0308che.csv", "K\u00fcche.csv"),
        ("-rf", "-rf"),
        ("=1+1.csv", "=1+1.csv"),
        ("/.in.sales.csv.", ".in.sales.csv."),
    ],
)
def test_paths_are_resolved_within_the_root(path: str, resolved: str) -> None:
    assert view.resolve(path) == resolved


@pytest.mark.parametrize(
    "path",
    [
        "a\nb.csv",
        "a\x00b",
        "a\x1b[31m.csv",
        "a\u202egpj.csv",
        "a\u2028b",
        " lead.csv",
        "trail ",
        "a\\b.csv",
        "x" * 201,
        "\u00fc" * 150,
        "\ue000.csv",
    ],
)
def test_odd_names_are_refused(path: str) -> None:
    with pytest.raises(NameRefused):
        view.resolve(path)


@pytest.mark.parametrize(
    ("temporary", "final"),
    [
        ("sales.csv.filepart", "sales.csv"),
        ("sales.csv.part", "sales.csv"),
        ("sales.csv.PARTIAL", "sales.csv"),
        ("sales.csv.1a2b3c4d.partial", "sales.csv"),
        ("sales.csv.tmp", "sales.csv"),
        (".in.sales.csv.", "sales.csv"),
        (".sales.csv", "sales.csv"),
        ("transactions/a.csv.part", "transactions/a.csv"),
    ],
)
def test_temporary_names_are_known_unprompted(temporary: str, final: str) -> None:
    assert view.is_temporary(temporary)
    assert view.finishes_as(temporary, final)
    assert not view.is_temporary(final)


@pytest.mark.parametrize(
    ("temporary", "other"),
    [
        ("sales.csv.filepart", "other.csv"),
        ("transactions/a.csv.part", "a.csv"),
        ("sales.csv", "sales.csv.bak"),
    ],
)
def test_a_temporary_name_finishes_as_no_other_file(temporary: str, other: str) -> None:
    assert not view.finishes_as(temporary, other)


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("", IsFolder),
        ("transactions", IsFolder),
        ("receipts", IsFolder),
        ("receipts/x.txt", ReadOnly),
        ("elsewhere/x.csv", NoSuchFolder),
        ("sales.csv/x.csv", NoSuchFolder),
    ],
)
def test_files_are_written_to_root_and_feed_folders_only(
    path: str, refusal: type[TilldropError]
) -> None:
    with pytest.raises(refusal):
        view.check_place(path, view.folders(customer()))


def test_a_feeds_folder_takes_files() -> None:
    view.check_place("transactions/a.csv", view.folders(customer()))
    view.check_place("a.csv", view.folders(customer()))
    assert view.folders(customer()).named == {"transactions", "receipts"}


# -- folders that feeds name by a pattern


PATTERNS = ("*.csv", "*/CheckDetails.csv", "*/*/PaymentDetails.csv", "Data/Shop*/x.csv")


def folders_of(*patterns: str) -> view.Folders:
    feed = replace(customer().feeds[0], files=patterns)
    return view.folders(replace(customer(), feeds=(feed,)))


FITTING = folders_of(*PATTERNS)


@pytest.mark.parametrize(
    ("path", "fits", "suggests"),
    [
        ("20260314", True, True),
        ("Store 12", True, True),
        ("20260314/12", True, True),
        ("20260314/12/3", False, False),
        ("2026.03.14", True, False),
        ("sales.csv", True, False),
        ("Data", False, False),  # named: it is always there
        ("data", True, True),
        ("Data/shop7", True, True),
        ("receipts", False, False),
        ("Receipts", False, False),
        ("receipts/12", False, False),
    ],
)
def test_folder_fits_if_a_pattern_takes_it(path: str, fits: bool, suggests: bool) -> None:  # noqa: FBT001
    assert (FITTING.fits(path), FITTING.suggests(path)) == (fits, suggests)


def test_name_that_a_feed_takes_as_a_file_does_not_suggest_a_folder() -> None:
    assert not folders_of("*/a.csv", "EXPORT*").suggests("EXPORT0314")


def test_only_folders_without_wildcards_are_always_there() -> None:
    assert FITTING.named == {"receipts", "Data"}
    assert folders_of("a/b/*.csv").named == {"receipts", "a", "a/b"}
    assert not folders_of("a/b/*.csv").patterns


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("20260314/CheckDetails.csv", None),
        ("20260314/anything", None),
        ("20260314/12/PaymentDetails.csv", None),
        ("20260314/12/3/x.csv", NoSuchFolder),
        ("Data/Shop 7/x.csv", None),
        ("Data", IsFolder),
        ("receipts/x.csv", ReadOnly),
        ("Receipts/x.csv", NoSuchFolder),
    ],
)
def test_files_are_written_into_folders_that_fit(
    path: str, refusal: type[TilldropError] | None
) -> None:
    if refusal is None:
        view.check_place(path, FITTING)
    else:
        with pytest.raises(refusal):
            view.check_place(path, FITTING)


@pytest.mark.parametrize(
    ("path", "is_file", "refusal"),
    [
        ("20260314", False, None),
        ("2026.03.14", False, None),
        ("20260314/12", False, None),
        ("20260314", True, NameExists),
        ("", False, NameExists),
        ("Data", False, NameExists),
        ("receipts", False, NameExists),
        ("receipts/12", False, FolderFixed),
        ("a/b/c", False, FolderFixed),
    ],
)
def test_folder_that_fits_may_be_made(
    path: str,
    is_file: bool,  # noqa: FBT001
    refusal: type[TilldropError] | None,
) -> None:
    if refusal is None:
        view.make_folder(path, FITTING, is_file=is_file)
    else:
        with pytest.raises(refusal):
            view.make_folder(path, FITTING, is_file=is_file)


def test_folders_are_there_that_hold_something() -> None:
    names = ["20260314/CheckDetails.csv", "a/b/PaymentDetails.csv", "x.csv", "p/q/r/s.csv"]
    assert FITTING.held(names) == {"20260314", "a", "a/b", "p", "p/q"}
