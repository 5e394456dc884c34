"""The bell rings for every file that comes, at once, and whenever one may have been missed."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tilldrop
from tilldrop.delivery import Cause
from tilldrop.watch import Bell, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 20
# watchdog holds "moved away" events for 0.5 s; a ring behind one must not share that fate.
PROMPT_S = 0.3


class Rings:
    """Collects rings."""

    def __init__(self) -> None:
        self.heard: queue.Queue[Cause] = queue.Queue()

    def next(self, timeout_s: float = DEADLINE_S) -> Cause:
        return self.heard.get(timeout=timeout_s)

    def drain(self) -> None:
        while not self.heard.empty():
            self.heard.get_nowait()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("receiving", "arrived"):
        (tmp_path / name).mkdir()
    return tmp_path / "receiving", tmp_path / "arrived"


@pytest.fixture
def rings() -> Rings:
    return Rings()


@pytest.fixture(params=[False, True], ids=["inotify", "polling"])
def watch(
    request: pytest.FixtureRequest, folders: tuple[Path, Path], rings: Rings
) -> Iterator[Watch]:
    made = Watch(folders[1], rings.heard.put, polling=request.param)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def inotify_watch(folders: tuple[Path, Path], rings: Rings) -> Iterator[Watch]:
    made = Watch(folders[1], rings.heard.put, polling=False)
    made.start()
    yield made
    made.stop()


def arrive(folders: tuple[Path, Path], name: str) -> None:
    receiving, arrived = folders
    (receiving / name).write_bytes(b"x")
    (receiving / name).rename(arrived / name)


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while time.monotonic() < deadline:
        if condition():
            return True
        pause.wait(0.01)
    return False


@pytest.mark.usefixtures("watch")
def test_a_file_renamed_into_the_folder_rings(folders: tuple[Path, Path], rings: Rings) -> None:
    arrive(folders, "one")
    assert rings.next() is Cause.WATCHDOG


@pytest.mark.usefixtures("inotify_watch")
def test_the_ring_does_not_wait_behind_a_file_that_left(
    folders: tuple[Path, Path], rings: Rings
) -> None:
    for number in range(5):
        arrive(folders, f"before-{number}")
        rings.next()
        rings.drain()
        (folders[1] / f"before-{number}").rename(folders[0] / "gone")
        began = time.monotonic()
        arrive(folders, f"after-{number}")
        assert rings.next() is Cause.WATCHDOG
        assert time.monotonic() - began < PROMPT_S
        rings.drain()


@pytest.mark.usefixtures("inotify_watch")
def test_a_file_that_leaves_does_not_ring(folders: tuple[Path, Path], rings: Rings) -> None:
    arrive(folders, "one")
    rings.next()
    rings.drain()
    (folders[1] / "one").rename(folders[0] / "one")
    with pytest.raises(queue.Empty):
        rings.next(timeout_s=0.7)


def test_a_dead_watch_is_begun_anew_and_rings_for_a_scan(
    folders: tuple[Path, Path], rings: Rings, inotify_watch: Watch
) -> None:
    for name in ("arrived", "receiving"):
        (folders[1].parent / name).rmdir()
        (folders[1].parent / name).mkdir()
    assert until(lambda: not inotify_watch._is_alive())
    inotify_watch.check()
    assert rings.next() is Cause.SCAN
    arrive(folders, "one")
    assert rings.next() is Cause.WATCHDOG


def test_the_death_of_the_thread_that_reads_events_is_seen(
    folders: tuple[Path, Path], rings: Rings, inotify_watch: Watch
) -> None:
    descriptor = inotify_watch._descriptor
    assert descriptor is not None
    descriptor.stop()
    descriptor.join(DEADLINE_S)
    inotify_watch.check()
    assert rings.next() is Cause.SCAN
    arrive(folders, "one")
    assert rings.next() is Cause.WATCHDOG


def test_a_watch_that_lives_is_left_alone(rings: Rings, watch: Watch) -> None:
    watch.check()
    assert rings.heard.empty()


def test_a_folder_that_cannot_be_watched_is_tried_again(tmp_path: Path, rings: Rings) -> None:
    watch = Watch(tmp_path / "missing", rings.heard.put, polling=False)
    watch.start()
    watch.check()
    assert rings.next() is Cause.SCAN  # importing goes on without the watch
    (tmp_path / "missing").mkdir()
    watch.check()
    assert rings.next() is Cause.SCAN
    (tmp_path / "missing" / "one").write_bytes(b"x")
    assert rings.next() is Cause.WATCHDOG
    watch.stop()


@pytest.mark.parametrize("polling", [False, True], ids=["inotify", "polling"])
def test_a_file_that_is_written_to_rings_where_that_is_asked_for(
    folders: tuple[Path, Path], rings: Rings, *, polling: bool
) -> None:
    path = folders[1] / "one"
    path.write_bytes(b"x")
    watch = Watch(folders[1], rings.heard.put, polling=polling, writes=True)
    watch.start()
    try:
        with path.open("ab") as file:
            file.write(b"more")
        assert rings.next() is Cause.WATCHDOG
    finally:
        watch.stop()


WATCHING = """
import os, sys
from pathlib import Path
from tilldrop.watch import Watch

def say(word):  # in one write: two threads ring
    os.write(1, f"{word}\\n".encode())

watch = Watch(Path(sys.argv[1]), say, polling=False)
watch.start()
say("ready")
sys.stdin.read()
watch.stop()
"""


@pytest.mark.timeout(60)
def test_an_overflow_of_the_kernels_queue_rings_for_a_scan(folders: tuple[Path, Path]) -> None:
    """A stopped watcher and more renames than the queue holds: the overflow is a real one."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 100_000:
        pytest.skip(f"this machine's queue holds {most} events; filling it takes too long")
    environment = {**os.environ, "PYTHONPATH": str(Path(tilldrop.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", WATCHING, str(folders[1])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            child.send_signal(signal.SIGSTOP)
            os.waitpid(child.pid, os.WUNTRACED)  # until it stands still, it empties the queue
            for name in ("one", "two"):  # the kernel merges equal events that follow each other
                (folders[0] / name).write_bytes(b"x")
            for _ in range(most // 2 + 100):
                for name in ("one", "two"):
                    (folders[0] / name).rename(folders[1] / name)
                    (folders[1] / name).rename(folders[0] / name)
            child.send_signal(signal.SIGCONT)
            assert any(line == "scan\n" for line in child.stdout)
        finally:
            child.kill()


def test_a_ring_before_the_wait_is_not_lost() -> None:
    bell = Bell()
    bell.ring(Cause.WATCHDOG)
    assert bell.wait(DEADLINE_S) is Cause.WATCHDOG


def test_rings_that_nobody_heard_are_one_and_the_first_cause_wins() -> None:
    bell = Bell()
    bell.ring(Cause.WATCHDOG)
    bell.ring(Cause.SCAN)
    assert bell.wait(DEADLINE_S) is Cause.WATCHDOG
    assert bell.wait(0) is None


def test_a_ring_wakes_a_waiting_thread() -> None:
    bell, heard = Bell(), Rings()
    thread = threading.Thread(target=lambda: heard.heard.put(bell.wait(DEADLINE_S) or Cause.LOST))
    thread.start()
    bell.ring(Cause.OPERATOR)
    assert heard.next() is Cause.OPERATOR
    thread.join()
