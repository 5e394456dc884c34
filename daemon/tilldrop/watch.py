"""The bell of the importer, and the watch that rings it when a file comes into `arrived/`.

Owns watchdog: no other module knows it. Promises a ring with cause `watchdog` for every file
that is renamed into the folder (or, if asked, written there), and with cause `scan` whenever
events may have been lost: the kernel's queue overflowed, or one of watchdog's threads ended.
Never reads a file, never knows a delivery: who is rung looks for itself.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from watchdog.events import (
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD, Mask
from watchdog.observers.polling import PollingObserver

from tilldrop import journal
from tilldrop.delivery import Cause

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLL_INTERVAL_S = 1.0  # on a network mount: one listing of the folder a second
JOIN_S = 5.0  # watchdog's threads end within milliseconds; never hang a stop on them


class Bell:
    """Wakes one thread and tells it why. Rings that nobody heard yet become one ring."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._cause: Cause | None = None

    def ring(self, cause: Cause) -> None:
        """Wake the waiting thread, or let its next wait return at once. First cause wins."""
        with self._changed:
            self._cause = self._cause or cause
            self._changed.notify()

    def wait(self, timeout_s: float | None) -> Cause | None:
        """Wait for a ring and take it; None if there was none in that time. None: for ever."""
        with self._changed:
            self._changed.wait_for(lambda: self._cause is not None, timeout_s)
            cause, self._cause = self._cause, None
            return cause


class Watch:
    """Watches one folder. polling: by listing it, for mounts that send no events.

    writes: ring also when a file that is there was written to and closed.
    """

    def __init__(
        self,
        folder: Path,
        ring: Callable[[Cause], None],
        *,
        polling: bool,
        writes: bool = False,
    ) -> None:
        self._folder = folder
        self._ring = ring
        self._polling = polling
        self._writes = writes
        self._observer: BaseObserver | None = None
        self._descriptor: InotifyFD | None = None

    def start(self) -> None:
        """Begin to watch. If the system refuses, that is logged and `check` tries again."""
        try:
            self._begin()
        except OSError as error:
            self.stop()
            journal.watch_failed(str(error))

    def check(self) -> None:
        """Begin anew if a thread of watchdog ended, and ring: events may have been lost."""
        if self._is_alive():
            return
        self.stop()
        self.start()
        if self._observer is not None:
            journal.watch_restarted()
        self._ring(Cause.SCAN)

    def stop(self) -> None:
        """End the watch and its threads; idempotent."""
        observer, descriptor = self._observer, self._descriptor
        self._observer = self._descriptor = None
        if observer is not None:
            observer.stop()
            if observer.ident is not None:
                observer.join(JOIN_S)
        if descriptor is not None:
            descriptor.stop()
            if descriptor.ident is not None:
                descriptor.join(JOIN_S)

    def _begin(self) -> None:
        if self._polling:
            self._observer = PollingObserver(timeout=POLL_INTERVAL_S)
        else:
            on_arrival = None if self._writes else self._arrived
            self._descriptor = _Descriptor(self._overflowed, on_arrival)
            emitter = _WriteEmitter if self._writes else _ArrivalEmitter
            self._observer = BaseObserver(emitter, inotify_fd=self._descriptor)
            self._descriptor.start()
        wanted: list[type[FileSystemEvent]] = [FileCreatedEvent, FileMovedEvent]
        if self._writes:
            wanted += [FileClosedEvent, FileModifiedEvent]
        self._observer.schedule(_Ringer(self._ring), str(self._folder), event_filter=wanted)
        self._observer.start()

    def _is_alive(self) -> bool:
        if self._observer is None or not self._observer.is_alive():
            return False
        emitters = self._observer.emitters
        if not emitters or not all(emitter.is_alive() for emitter in emitters):
            return False
        return self._descriptor is None or self._descriptor.is_alive()

    def _arrived(self) -> None:
        self._ring(Cause.WATCHDOG)

    def _overflowed(self) -> None:
        journal.watch_overflowed()
        self._ring(Cause.SCAN)


class _Ringer(FileSystemEventHandler):
    """Rings for a file that came, by a rename within the watch or from outside it, or changed."""

    def __init__(self, ring: Callable[[Cause], None]) -> None:
        self._ring = ring

    def on_created(self, event: FileSystemEvent) -> None:
        if not event.is_directory:
            self._ring(Cause.WATCHDOG)

    def on_moved(self, event: FileSystemEvent) -> None:
        if not isinstance(event, DirMovedEvent):
            self._ring(Cause.WATCHDOG)

    def on_closed(self, event: FileSystemEvent) -> None:
        if not event.is_directory:
            self._ring(Cause.WATCHDOG)

    def on_modified(self, event: FileSystemEvent) -> None:
        if not event.is_directory:
            self._ring(Cause.WATCHDOG)


class _Descriptor(InotifyFD):
    """watchdog's reader of inotify, which also tells of an overflow.

    watchdog 7.1 logs a warning and tells no event handler; 7.0 even drops the event.
    on_arrival: called for a file that comes, where nobody asks which: beside busy doors, the way
    through watchdog's two other threads takes longer than all else between rename and ring.
    """

    def __init__(
        self, on_overflow: Callable[[], None], on_arrival: Callable[[], None] | None
    ) -> None:
        super().__init__()
        self._on_overflow = on_overflow
        self._on_arrival = on_arrival

    def handle_event(self, event: InotifyEvent) -> None:
        comes = (event.is_moved_to or event.is_create) and not event.is_directory
        if self._on_arrival is not None and comes:
            self._on_arrival()
            return
        super().handle_event(event)
        if event.is_queue_overflow:
            self._on_overflow()


class _ArrivalEmitter(InotifyEmitter):
    """Asks the kernel only for files that come.

    watchdog holds back a "moved away" event for 0.5 s, and all that is queued behind it, to pair
    it with a "moved here". Every import ends with a file moved away to `kept/`, so with
    watchdog's own mask the next delivery's bell rang up to half a second late.
    """

    def get_event_mask_from_filter(self) -> Mask:
        constants = InotifyConstants
        return Mask(constants.IN_MOVED_TO | constants.IN_CREATE | constants.IN_DELETE_SELF)


class _WriteEmitter(_ArrivalEmitter):
    """Asks for ends of writing too; not for every write: a large file has thousands."""

    def get_event_mask_from_filter(self) -> Mask:
        return Mask(super().get_event_mask_from_filter() | InotifyConstants.IN_CLOSE_WRITE)
