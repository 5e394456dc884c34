from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilldrop.importer import moments
from tilldrop.importer.moments import Moment


@pytest.mark.parametrize(
    ("written", "text", "local", "has_time"),
    [
        ("iso", "2026-07-18", "2026-07-18T00:00:00", False),
        ("iso", "2026-07-18 12:59", "2026-07-18T12:59:00", True),
        ("iso", "2026-07-18T12:59:30.999999999", "2026-07-18T12:59:30", True),
        ("compact", "20260718", "2026-07-18T00:00:00", False),
        ("compact", "20260718T1259", "2026-07-18T12:59:00", True),
        ("compact", "20260718125930", "2026-07-18T12:59:30", True),
        ("D/M/YYYY", "1/2/2026", "2026-02-01T00:00:00", False),
        ("D/M/YYYY", "01/02/2026", "2026-02-01T00:00:00", False),
        ("M/D/YY h:mm a", "7/28/26 1:33 PM", "2026-07-28T13:33:00", True),
        ("M/D/YY h:mm a", "7/28/26 12:00 am", "2026-07-28T00:00:00", True),
        ("M/D/YY h:mm a", "7/28/26 12:00 P.M.", "2026-07-28T12:00:00", True),
        ("DD.MM.YY", "01.02.69", "1969-02-01T00:00:00", False),
        ("DD.MM.YY", "01.02.68", "2068-02-01T00:00:00", False),
        ("DD-MMM-YYYY", "16-dEc-2023", "2023-12-16T00:00:00", False),
        ("D MMM YYYY", "1 September 2023", "2023-09-01T00:00:00", False),
        ("D MMM YYYY", "3 févr. 2024", "2024-02-03T00:00:00", False),
        ("D. MMM YYYY", "15. MÄRZ 2024", "2024-03-15T00:00:00", False),
        ("DD-MMM-YY", "07-ago-24", "2024-08-07T00:00:00", False),
        ("D MMM YYYY", "12 grudnia 2024", "2024-12-12T00:00:00", False),
        ("D/M/YYYY HH'h'mm", "14/3/2026 14h35", "2026-03-14T14:35:00", True),
        ("D 'de' MMM 'de' YYYY", "22 de noviembre de 2026", "2026-11-22T00:00:00", False),
        ("DD.MM.'YY", "14.03.'26", "2026-03-14T00:00:00", False),
        ("YYYYMMDDHHmmss", "20260718125930", "2026-07-18T12:59:30", True),
        ("YYYY.MM.DD H:mm:ss.fff", "2026.07.18 7:05:09.1", "2026-07-18T07:05:09", True),
        ("YYYY-MM-DDTHH:mm", "2026-07-18T12:59", "2026-07-18T12:59:00", True),
    ],
)
def test_dates_are_read_by_their_format(
    written: str, text: str, local: str, has_time: object
) -> None:
    moment = moments.read_moment(text, (written,))
    assert moment == Moment(datetime.fromisoformat(local), bool(has_time))


@pytest.mark.parametrize(
    ("text", "offset_s"),
    [
        ("2026-07-18 12:59Z", 0),
        ("2026-07-18 12:59 +02", 7200),
        ("2026-07-18T12:59:30-0330", -12600),
        ("2026-07-18T12:59:30.5+05:45", 20700),
    ],
)
def test_a_time_may_name_its_own_offset(text: str, offset_s: int) -> None:
    moment = moments.read_moment(text, ("iso",))
    assert moment is not None
    assert moment.offset_s == offset_s


def test_seconds_since_1970_are_told_in_the_zone() -> None:
    moment = moments.read_moment("1784372370.5", ("epoch",))
    assert moment is not None
    sold = moments.settle_moment(moment, ZoneInfo("Europe/Paris"))
    assert sold.sold_at == "2026-07-18T12:59:30+02:00"
    assert sold.business_date == "2026-07-18"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("iso", "2026-07-18 24:00"),
        ("iso", "2026-07-18 12:60"),
        ("iso", "2026-02-30"),
        ("iso", "2026-7-18"),
        ("iso", "2026-07-18 12:59x"),
        ("iso", "2026-07-18 12:59 +15:00"),
        ("iso", "\u0662\u0660\u0662\u0666-07-18"),
        ("D/M/YYYY", "31/2/2026"),
        ("D/M/YYYY", "0/2/2026"),
        ("D/M/YYYY", "1/13/2026"),
        ("D/M/YYYY", "1/1/26"),
        ("D/M/YYYY", "1/1/2026 10:00"),
        ("DD/MM/YYYY", "1/1/2026"),
        ("h:mm a D.M.YYYY", "13:00 PM 1.1.2026"),
        ("h:mm a D.M.YYYY", "0:30 AM 1.1.2026"),
        ("DD-MMM-YYYY", "16-Mak-2023"),
        ("epoch", "-5"),
    ],
)
def test_what_no_calendar_or_clock_shows_is_refused(written: str, text: str) -> None:
    assert moments.read_moment(text, (written,)) is None


def test_first_format_that_fits_wins() -> None:
    formats = ("D/M/YYYY", "M/D/YYYY")
    moment = moments.read_moment("2/1/2026", formats)
    other = moments.read_moment("1/13/2026", formats)
    assert moment == Moment(datetime(2026, 1, 2), has_time=False)  # noqa: DTZ001  wall clock
    assert other == Moment(datetime(2026, 1, 13), has_time=False)  # noqa: DTZ001


def test_part_at_fault_is_known_where_date_and_time_are_joined() -> None:
    assert moments.date_fits("18.07.2026", ("DD.MM.YYYY HH:mm",))
    assert not moments.date_fits("18/07/2026", ("DD.MM.YYYY HH:mm",))


@pytest.mark.parametrize(
    ("zone", "local", "sold_at", "warning"),
    [
        ("Europe/Paris", "2026-01-05T13:08:00", "2026-01-05T13:08:00+01:00", ""),
        ("Europe/Paris", "2026-03-29T02:30:00", "2026-03-29T03:30:00+02:00", "time-skipped"),
        ("Europe/Paris", "2026-10-25T02:30:00", "2026-10-25T02:30:00+02:00", "time-ambiguous"),
        ("Australia/Lord_Howe", "2026-10-04T02:10:00", "2026-10-04T02:40:00+11:00", "time-skipped"),
        ("Asia/Kathmandu", "2026-01-05T00:00:00", "2026-01-05T00:00:00+05:45", ""),
        ("America/New_York", "2026-11-01T01:30:00", "2026-11-01T01:30:00-04:00", "time-ambiguous"),
        ("Europe/Amsterdam", "1915-01-05T12:00:00", "1915-01-05T12:00:00+00:19:32", ""),
    ],
)
def test_hours_that_the_clocks_skip_or_repeat_have_one_outcome(
    zone: str, local: str, sold_at: str, warning: str
) -> None:
    if zone == "Europe/Amsterdam" and datetime(1915, 1, 5, tzinfo=ZoneInfo(zone)).utcoffset() == (
        timedelta(0)
    ):
        pytest.skip("this zone database merges Amsterdam with Brussels")
    sold = moments.settle_moment(
        Moment(datetime.fromisoformat(local), has_time=True), ZoneInfo(zone)
    )
    assert (sold.sold_at, sold.warning) == (sold_at, warning)
    assert sold.business_date == local[:10]


def test_a_date_alone_is_never_warned_about() -> None:
    midnight = Moment(datetime(2018, 11, 4), has_time=False)  # noqa: DTZ001  wall clock
    sold = moments.settle_moment(midnight, ZoneInfo("America/Sao_Paulo"))
    assert (sold.sold_at, sold.warning) == ("2018-11-04T01:00:00-02:00", "")
    assert sold.business_date == "2018-11-04"


@settings(deadline=None, max_examples=60)
@given(
    zone=st.sampled_from(
        ["Europe/Paris", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Tehran"]
    ),
    first=st.dates(date(1900, 1, 1), date(2150, 1, 1)),
    hours=st.lists(st.integers(0, 24 * 800), min_size=1, max_size=40),
)
def test_changes_of_a_zone_tell_every_offset_in_their_span(
    zone: str, first: date, hours: list[int]
) -> None:
    start = datetime(first.year, first.month, first.day)  # noqa: DTZ001  wall clock
    times = [start + timedelta(hours=hour, minutes=17) for hour in hours]
    start_s, changes = moments.changes(ZoneInfo(zone), first, max(times).date())
    for local in times:
        offset_s = start_s
        for one in changes:
            offset_s = one.after_s if local >= one.until else offset_s
        expected = moments.settle_moment(Moment(local, has_time=True), ZoneInfo(zone))
        assert expected.sold_at.endswith(moments.offset_text(offset_s))
        skipped = any(one.is_forward and one.until <= local < one.until_after for one in changes)
        twice = any(not one.is_forward and one.until_after <= local < one.until for one in changes)
        assert expected.warning == (
            "time-skipped" if skipped else "time-ambiguous" if twice else ""
        )


def test_only_years_in_which_a_till_may_have_rung_are_taken() -> None:
    assert not moments.is_in_range(Moment(datetime(1899, 12, 31), has_time=True))  # noqa: DTZ001
    assert moments.is_in_range(Moment(datetime(2200, 12, 31, tzinfo=UTC), has_time=True))
