"""The order checker, on what strace really writes."""

from __future__ import annotations

import pytest

from tests.faults.strace_log import complaints, read

PEER_PORT = 51324
ACKNOWLEDGED_AT = 107.5

OPEN = '11 100.0 openat(AT_FDCWD</>, "/s/receiving/x", O_RDWR|O_CREAT, 0600) = 6</s/receiving/x>'
WRITE = '11 101.0 pwrite64(6</s/receiving/x>, ""..., 8, 0) = 8'
FILE_SYNC = """\
11 102.0 fsync(6</s/receiving/x> <unfinished ...>
10 102.1 sendto(5<TCP:[127.0.0.1:2222->127.0.0.1:40000]>, ""..., 2, 0, NULL, 0) = 2
11 102.2 <... fsync resumed>)                   = 0"""
COMMIT = """\
12 103.0 pwrite64(7</s/ledger.db-wal>, "\\0\\1xreceivingarrivedclose"..., 4096, 4152) = 4096
12 103.1 fdatasync(7</s/ledger.db-wal>)         = 0"""
FAILED_SYNC = "11 102.0 fsync(6</s/receiving/x>) = -1 EIO (Input/output error) (INJECTED)"
ENDLESS_COMMIT = """\
12 103.0 pwrite64(7</s/ledger.db-wal>, "\\0\\1xreceivingarrivedclose"..., 4096, 4152) = 4096
12 103.1 fdatasync(7</s/ledger.db-wal> <unfinished ...>"""
BEGINNING = COMMIT.replace("receivingarrivedclose", "receivingbegin")
RENAME = '11 104.0 rename("/s/receiving/x", "/s/arrived/x") = 0'
FOLDERS = """\
11 105.0 fsync(9</s/arrived>) = 0
11 106.0 fsync(9</s/receiving>) = 0"""
REPLY = '10 107.0 sendto(5<TCP:[127.0.0.1:2222->127.0.0.1:51324]>, ""..., 2, 0, NULL, 0) = 2'
LATER = """\
10 108.0 sendto(5<TCP:[127.0.0.1:2222->127.0.0.1:51324]>, ""..., 2, 0, NULL, 0) = 2
10 109.0 +++ exited with 0 +++"""

RIGHT = (OPEN, WRITE, FILE_SYNC, COMMIT, RENAME, FOLDERS, REPLY, LATER)


def test_right_order_has_no_complaint() -> None:
    assert complaints(read("\n".join(RIGHT)), PEER_PORT, ACKNOWLEDGED_AT) == []


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        pytest.param(
            (OPEN, WRITE, REPLY, FILE_SYNC, COMMIT, RENAME, FOLDERS),
            "the reply went out before the file is on disk",
            id="acknowledge-before-fsync",
        ),
        pytest.param(
            (OPEN, WRITE, FILE_SYNC, REPLY, COMMIT, RENAME, FOLDERS),
            "the reply went out before the ledger is on disk",
            id="acknowledge-before-commit",
        ),
        pytest.param(
            (OPEN, WRITE, FILE_SYNC, COMMIT, RENAME, REPLY, FOLDERS),
            "the reply went out before arrived/ is on disk",
            id="acknowledge-before-folders",
        ),
        pytest.param(
            (OPEN, WRITE, FILE_SYNC, RENAME, COMMIT, FOLDERS, REPLY),
            "the rename came before the ledger is on disk",
            id="commit-after-rename",
        ),
        pytest.param(
            (OPEN, WRITE, FILE_SYNC, BEGINNING, RENAME, FOLDERS, REPLY, COMMIT),
            "the reply went out before the ledger is on disk",
            id="only-its-beginning-committed",
        ),
        pytest.param(
            (OPEN, WRITE, COMMIT, RENAME, FOLDERS, REPLY),
            "never: the file is on disk",
            id="no-fsync",
        ),
        pytest.param(
            (OPEN, FILE_SYNC, WRITE, COMMIT, RENAME, FOLDERS, REPLY),
            "never: the file is on disk",
            id="write-after-fsync",
        ),
        pytest.param(
            (OPEN, WRITE, FILE_SYNC, COMMIT, FOLDERS, RENAME, REPLY),
            "never: arrived/ is on disk",
            id="folders-before-rename",
        ),
        pytest.param(
            (OPEN, WRITE, FAILED_SYNC, COMMIT, RENAME, FOLDERS, REPLY),
            "never: the file is on disk",
            id="fsync-failed",
        ),
        pytest.param(
            (OPEN, WRITE, FILE_SYNC, ENDLESS_COMMIT, RENAME, FOLDERS, REPLY),
            "never: the ledger is on disk",
            id="commit-never-returned",
        ),
    ],
)
def test_wrong_order_is_named(order: tuple[str, ...], expected: str) -> None:
    assert expected in complaints(read("\n".join(order)), PEER_PORT, ACKNOWLEDGED_AT)


def test_calls_of_threads_that_interleave_are_told_apart() -> None:
    calls = read(FILE_SYNC)
    assert [(call.name, call.target, call.began, call.ended) for call in calls] == [
        ("fsync", "/s/receiving/x", 0, 2),
        ("sendto", "TCP:[127.0.0.1:2222->127.0.0.1:40000]", 1, 1),
    ]
