"""Parts of the load in a process of their own: `python -m tests.load.generate ORDERS`.

ORDERS is JSON, a list of [part, order]; see the part's function for the order's keys. Each begins
when the one before is at work. Says {"ready": true} when all are, goes on until its standard input
ends, brings to an end what is under way, and says what came of each as one line of JSON, with the
processor time that all took.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.daemon import sales
from tests.load.clients import Refused, Session, address, ftp, sftp

LOGINS_AT_ONCE = 10  # of this process, so that its own sessions do not fill the waiting room
ROWS_A_FILE = 200
PIECES = 10
WAYS = ("sftp, key", "sftp, password", "ftp, password")


@dataclass(slots=True)
class Part:
    """What a part is told, and what it has to say. stop: set when it is to come to its end."""

    order: dict[str, Any]
    stop: asyncio.Event
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    said: dict[str, Any] = field(default_factory=dict)

    async def sleep(self, seconds: float) -> bool:
        """Wait, but not beyond the end; tell whether there is more to do."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return True
        return False

    def ready(self) -> None:
        """Tell that it is at work."""
        self.is_ready.set()


async def sessions(part: Part) -> None:
    """Hold sessions and do nothing. count, customers; every fourth by FTP."""
    order, turn = part.order, asyncio.Semaphore(LOGINS_AT_ONCE)
    failed: list[str] = []

    async def begin(number: int) -> Session | None:
        customer = order["customers"][number % len(order["customers"])]
        source = address(10, number)
        async with turn:
            try:
                if number % 4 == 3:
                    return await ftp(order["ftp"], customer, source)
                return await sftp(order["sftp"], customer, source, order["key"])
            except Refused as problem:
                failed.append(str(problem))
                return None

    held = await asyncio.gather(*(begin(number) for number in range(order["count"])))
    part.ready()
    await part.stop.wait()
    lost = 0
    for session in held:
        try:
            if session is not None:
                await session.put(f"held-{id(session)}.bin", b"still here")
                await session.end()
        except (Refused, OSError) as problem:
            lost += 1
            failed.append(str(problem))
    part.said |= {"held": sum(one is not None for one in held), "lost": lost, "failed": failed[:5]}


async def uploads(part: Part) -> None:
    """Send file after file, each slowly. count, customers, takes_s; every other one by FTP.

    Tells the acknowledged as [customer, name, store, rows], and those that failed.
    """
    order, turn = part.order, asyncio.Semaphore(LOGINS_AT_ONCE)
    acknowledged: list[tuple[str, str, str, int]] = []
    failed: list[str] = []
    logins: list[int] = []

    async def begin(number: int, customer: str) -> Session:
        source = address(20, number)
        async with turn:
            try:
                if number % 2:
                    return await ftp(order["ftp"], customer, source)
                return await sftp(order["sftp"], customer, source, order["key"])
            finally:
                logins.append(number)
                if len(logins) == order["count"]:
                    part.ready()

    async def send_all(number: int) -> None:
        customer = order["customers"][number % len(order["customers"])]
        session = await begin(number, customer)
        store, sent = f"u{number}", 0
        while not part.stop.is_set() or not sent:
            name = f"{store}-{sent}.csv"
            content = sales(sent * ROWS_A_FILE, ROWS_A_FILE, store).encode()
            await session.put(name, content, PIECES, order["takes_s"] / PIECES)
            acknowledged.append((customer, name, store, ROWS_A_FILE))
            sent += 1
        await session.end()

    async def guarded(number: int) -> None:
        try:
            await send_all(number)
        except (Refused, OSError, asyncio.IncompleteReadError) as problem:
            failed.append(f"{type(problem).__name__}: {problem}")

    await asyncio.gather(*(guarded(number) for number in range(order["count"])))
    part.said |= {"acknowledged": acknowledged, "failed": failed}


async def guesses(part: Part) -> None:
    """Guess passwords at a steady rate. count: a second; sources: how many addresses.

    Every other guess by FTP, every other of each of a customer that exists.
    """
    order, came = part.order, Counter[str]()
    under_way: set[asyncio.Task[None]] = set()

    async def guess(number: int) -> None:
        source = address(66, number % order["sources"])
        customer = order["customers"][0] if number % 4 < 2 else f"nobody{number % 7}"
        try:
            if number % 2:
                await ftp(order["ftp"], customer, source, f"guess-{number}")
            else:
                await sftp(order["sftp"], customer, source, password=f"guess-{number}")
            came["let in"] += 1
        except Refused as problem:
            text = str(problem)
            judged = "530" in text or "421" in text or "PermissionDenied" in text
            came["judged" if judged else "turned away"] += 1
        except (OSError, TimeoutError):
            came["turned away"] += 1

    part.ready()
    began, number = time.monotonic(), 0
    while await part.sleep(max(0.0, began + number / order["count"] - time.monotonic())):
        if len(under_way) < order["count"] * 10:
            task = asyncio.create_task(guess(number))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        number += 1
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    part.said |= {"guesses": number, "seconds": time.monotonic() - began, **came}


async def probe(part: Part) -> None:
    """Log in and part again, in each of three ways, every so often. every_s, customers.

    Tells [way, seconds since the start, milliseconds] of each login; milliseconds from before the
    connection until a first request was answered; -1 if it failed.
    """
    order, seen, why = part.order, list[tuple[str, float, float]](), Counter[str]()
    began = time.monotonic()

    async def one(way: str) -> Session:
        customer = order["customers"][0]
        if way == "ftp, password":
            return await ftp(order["ftp"], customer, order["source"])
        key = order["key"] if way == "sftp, key" else ""
        return await sftp(order["sftp"], customer, order["source"], key)

    async def again_and_again(way: str) -> None:
        while await part.sleep(order["every_s"]):
            at = time.monotonic()
            try:
                session = await one(way)
                seen.append((way, at - began, (time.monotonic() - at) * 1000))
                await session.end()
            except (Refused, OSError) as problem:
                seen.append((way, at - began, -1.0))
                why[str(problem)] += 1

    for way in WAYS:  # a source that nobody knows yet is another case
        await (await one(way)).end()
    part.ready()
    await asyncio.gather(*(again_and_again(way) for way in WAYS))
    part.said |= {"logins": seen, "why": dict(why)}


async def small(part: Part) -> None:
    """Send one small file after the other. door, customers; anew: log in again for each.

    Tells the milliseconds that each took, its login and its end included if it was anew.
    """
    order, took = part.order, list[float]()
    content = sales(0, ROWS_A_FILE, "small").encode()

    async def begin() -> Session:
        if order["door"] == "ftp":
            return await ftp(order["ftp"], order["customers"][0], order["source"])
        return await sftp(order["sftp"], order["customers"][0], order["source"], order["key"])

    part.ready()
    session = None
    while not part.stop.is_set():
        at = time.monotonic()
        session = session or await begin()
        await session.put(f"small-{len(took) % 50}.bin", content)
        if order["anew"]:
            await session.end()
            session = None
        took.append((time.monotonic() - at) * 1000)
    part.said |= {"took": took}


async def strangers(part: Part) -> None:
    """Connect and say nothing, from ever new addresses, count a second."""
    order, held = part.order, list[asyncio.StreamWriter]()
    part.ready()
    number, began = 0, time.monotonic()
    while await part.sleep(max(0.0, began + number / order["count"] - time.monotonic())):
        port = order["ftp"] if number % 2 else order["sftp"]
        try:
            source = (address(77, number % order["sources"]), 0)
            _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
            held.append(writer)
        except OSError:
            part.said["refused"] = part.said.get("refused", 0) + 1
        if len(held) > order["count"] * 30:
            held.pop(0).close()
        number += 1
    for writer in held:
        writer.close()
    part.said["strangers"] = number


PARTS = {each.__name__: each for each in (sessions, uploads, guesses, probe, small, strangers)}


async def main(orders: list[tuple[str, dict[str, Any]]]) -> None:
    """Do the parts until standard input ends."""
    stop = asyncio.Event()
    reading = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    reading.add_done_callback(lambda _: stop.set())
    at_work: list[asyncio.Task[None]] = []
    said: dict[str, Any] = {}
    for name, order in orders:
        part = Part(order, stop)
        said[name] = part.said
        at_work.append(asyncio.create_task(PARTS[name](part)))
        ready = asyncio.create_task(part.is_ready.wait())
        await asyncio.wait({ready, at_work[-1]}, return_when=asyncio.FIRST_COMPLETED)
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    await asyncio.gather(*at_work)
    used = resource.getrusage(resource.RUSAGE_SELF)
    for part_said in said.values():
        part_said["cpu_s"] = round(used.ru_utime + used.ru_stime, 2)
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(main(json.loads(sys.argv[1])))
