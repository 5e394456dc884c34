"""Penalties and limits before login, by a clock that the test sets."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_network

import pytest

from tilldrop import guard as module
from tilldrop.config_guard import GuardSettings, Network, is_within
from tilldrop.guard import Guard, Offence, Pass, Refusal, source_of

HERE = "192.0.2.7"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def nets(*texts: str) -> list[Network]:
    return [ip_network(text) for text in texts]


def make(clock: Clock, settings: GuardSettings | None = None) -> Guard:
    return Guard(lambda: settings or GuardSettings(), clock)


def fail(guard: Guard, address: str = HERE, times: int = 3) -> None:
    for _ in range(times):
        guard.penalise(address, Offence.FAILED_LOGIN)


def test_two_failures_shut_nobody_out_and_three_do(clock: Clock) -> None:
    guard = make(clock)
    fail(guard, times=2)
    assert isinstance(guard.admit(HERE), Pass)
    fail(guard, times=1)
    assert guard.admit(HERE) is Refusal.PENALISED
    assert isinstance(guard.admit("192.0.2.8"), Pass)


def test_penalty_passes(clock: Clock) -> None:
    guard = make(clock)
    fail(guard)
    clock.now += 14.9
    assert guard.admit(HERE) is Refusal.PENALISED
    clock.now += 0.2
    assert isinstance(guard.admit(HERE), Pass)
    assert guard.penalties() == []


def test_penalty_grows_with_failures_up_to_the_most(clock: Clock) -> None:
    guard = make(clock)
    fail(guard, times=10)
    assert guard.penalties()[0].seconds == 50
    fail(guard, times=1000)
    assert guard.penalties()[0].seconds == GuardSettings().penalty_max_s


def test_source_shut_out_stays_out_until_all_has_passed(clock: Clock) -> None:
    guard = make(clock)
    fail(guard, times=6)
    clock.now += 20
    assert guard.penalties()[0].seconds == 10  # below the least that shuts out
    assert guard.admit(HERE) is Refusal.PENALISED


def test_a_check_of_the_port_now_and_then_never_shuts_out(clock: Clock) -> None:
    guard = make(clock)
    for _ in range(1000):
        clock.now += 5
        guard.penalise(HERE, Offence.NO_LOGIN)
        found = guard.admit(HERE)
        assert isinstance(found, Pass)
        found.end()


def test_addresses_of_one_ipv6_network_are_one_source(clock: Clock) -> None:
    guard = make(clock)
    fail(guard, "2001:db8:1:2::1", 2)
    fail(guard, "2001:db8:1:2:ffff::2", 1)
    assert guard.admit("2001:db8:1:2::3") is Refusal.PENALISED
    assert isinstance(guard.admit("2001:db8:1:3::1"), Pass)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not an address", "not an address"),
    ],
)
def test_source_of_an_address(address: str, source: str) -> None:
    assert source_of(address) == source


def test_listed_addresses_are_never_penalised(clock: Clock) -> None:
    guard = make(clock, GuardSettings(allow=(ip_network("192.0.2.0/24"),)))
    fail(guard, times=100)
    assert isinstance(guard.admit(HERE), Pass)
    assert guard.penalties() == []


def test_list_that_grows_lets_the_penalised_in(clock: Clock) -> None:
    settings = [GuardSettings()]
    guard = Guard(lambda: settings[0], clock)
    fail(guard)
    settings[0] = GuardSettings(allow=(ip_network("192.0.2.7"),))
    assert isinstance(guard.admit(HERE), Pass)


def test_only_so_many_wait_from_one_source_and_in_all(clock: Clock) -> None:
    guard = make(clock, GuardSettings(max_waiting=5, max_waiting_per_source=2))
    passes = [guard.admit(HERE), guard.admit(HERE)]
    assert guard.admit(HERE) is Refusal.TOO_MANY_FROM_SOURCE
    for number in range(3):
        assert isinstance(guard.admit(f"192.0.2.10{number}"), Pass)
    assert guard.admit("192.0.2.200") is Refusal.TOO_MANY_WAITING
    assert isinstance(passes[0], Pass)
    passes[0].end()
    passes[0].end()
    assert guard.waiting == 4
    assert isinstance(guard.admit("192.0.2.200"), Pass)


def test_operator_can_forgive(clock: Clock) -> None:
    guard = make(clock)
    fail(guard)
    assert guard.forgive(HERE)
    assert not guard.forgive(HERE)
    assert isinstance(guard.admit(HERE), Pass)


def test_memory_is_bounded_and_the_worst_are_kept(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOURCES_MOST", 100)
    guard = make(clock)
    fail(guard, "198.51.100.1", 50)
    for number in range(1000):
        clock.now += 0.001
        fail(guard, f"10.0.{number // 250}.{number % 250}", 1)
        assert len(guard.penalties()) <= 100
    assert guard.admit("198.51.100.1") is Refusal.PENALISED


def test_offences_without_end_of_one_source_take_no_room(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOURCES_MOST", 100)
    guard = make(clock)
    for _ in range(1000):
        clock.now += 100
        fail(guard, HERE, 1)
    assert len(vars(guard)["_forgiven_next"]) <= 200
    assert [one.source for one in guard.penalties()] == [HERE]


def test_offence_that_costs_nothing_is_not_noted(clock: Clock) -> None:
    guard = make(clock, GuardSettings(no_login_s=0))
    guard.penalise(HERE, Offence.NO_LOGIN)
    assert guard.penalties() == []


@pytest.mark.parametrize("offence", list(Offence))
def test_every_offence_has_a_setting(offence: Offence) -> None:
    assert GuardSettings().penalty_s(offence) > 0


def test_networks_of_both_families() -> None:
    assert is_within("::ffff:10.1.2.3", nets("10.0.0.0/8"))
    assert is_within("2001:db8::5", nets("10.0.0.0/8", "2001:db8::/32"))
    assert not is_within("11.1.2.3", nets("10.0.0.0/8"))
    assert not is_within("", nets("0.0.0.0/0"))


def test_who_is_shut_out_again_soon_is_so_for_twice_as_long(clock: Clock) -> None:
    guard = make(clock)
    lengths = []
    for _ in range(8):
        fail(guard)
        lengths.append(guard.penalties()[0].seconds)
        clock.now += lengths[-1]
    assert lengths == [15, 30, 60, 120, 240, 480, 600, 600]
    clock.now += GuardSettings().penalty_max_s
    fail(guard)
    assert guard.penalties()[0].seconds == 15


def crowd(guard: Guard, count: int) -> tuple[list[Pass], list[int]]:
    """Let strangers in who wait; return their passes, and where it is noted who had to leave."""
    left: list[int] = []
    passes = []
    for number in range(count):
        admitted = guard.admit(f"198.51.100.{number}")
        assert isinstance(admitted, Pass)
        admitted.may_be_ended(partial(left.append, number))
        passes.append(admitted)
    return passes, left


def test_stranger_who_got_nowhere_for_longest_makes_room_for_the_next(clock: Clock) -> None:
    guard = make(clock, GuardSettings(max_waiting=4))
    passes, left = crowd(guard, 4)
    passes[0].note_step()
    assert isinstance(guard.admit(HERE), Pass)
    assert left == [1]
    assert guard.waiting == 4
    crowd(guard, 3)
    assert left == [1, 2, 3, 0]


def test_who_has_logged_in_before_never_makes_room_for_strangers(clock: Clock) -> None:
    guard = make(clock, GuardSettings(max_waiting=2))
    before = guard.admit(HERE)
    assert isinstance(before, Pass)
    before.note_login()
    left: list[str] = []
    for _ in range(2):
        known = guard.admit(HERE)
        assert isinstance(known, Pass)
        known.may_be_ended(partial(left.append, HERE))
    assert guard.admit("192.0.2.200") is Refusal.TOO_MANY_WAITING
    assert left == []


def test_stranger_that_becomes_known_while_it_waits_makes_room_no_longer(clock: Clock) -> None:
    guard = make(clock, GuardSettings(max_waiting=3))
    passes, left = crowd(guard, 2)
    again = guard.admit("198.51.100.0")
    assert isinstance(again, Pass)
    again.note_login()
    passes[0].note_step()
    assert isinstance(guard.admit(HERE), Pass)
    assert isinstance(guard.admit(HERE), Pass)
    assert left == [1]
    assert guard.admit(HERE) is Refusal.TOO_MANY_WAITING


def test_suspects_make_room_before_strangers_and_each_time_counts(clock: Clock) -> None:
    guard = make(clock, GuardSettings(max_waiting=4))
    guard.penalise("198.51.100.2", Offence.FAILED_LOGIN)
    guard.penalise("198.51.100.3", Offence.NO_LOGIN)  # which makes nobody a suspect
    _, left = crowd(guard, 4)
    assert isinstance(guard.admit(HERE), Pass)
    assert left == [2]
    for _ in range(2):  # it comes again at once
        again = guard.admit("198.51.100.2")
        assert isinstance(again, Pass)
        again.may_be_ended(again.end)
    assert left == [2, 0]
    assert isinstance(guard.admit(HERE), Pass)
    assert guard.admit("198.51.100.2") is Refusal.PENALISED
    assert left == [2, 0]


def test_suspect_is_one_no_longer_once_its_penalty_is_forgotten(clock: Clock) -> None:
    guard = make(clock)
    guard.penalise(HERE, Offence.FAILED_LOGIN)
    assert guard.is_suspect(HERE)
    clock.now += 60
    assert not guard.is_suspect(HERE)
