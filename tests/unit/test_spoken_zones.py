from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tilldrop import spoken_zones
from tilldrop.importer.moments import read_moment, settle_moment
from tilldrop.zones import is_zone


@pytest.mark.parametrize(
    ("spoken", "zone"),
    [
        ("Europe/Paris", "Europe/Paris"),
        ("Eastern Time (US & Canada)", "America/New_York"),
        ("eastern  time (us & canada)", "America/New_York"),
        ("(GMT-05:00) Eastern Time (US & Canada)", "America/New_York"),
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("PDT", "America/Los_Angeles"),
        ("CEST", "Europe/Berlin"),
        ("Middle Earth", None),
        ("IST", None),
        ("", None),
    ],
)
def test_zone_is_found_by_what_people_call_it(spoken: str, zone: str | None) -> None:
    assert spoken_zones.find_zone(spoken) == zone


def test_every_name_means_a_zone_that_exists() -> None:
    names = {**spoken_zones.RAILS, **spoken_zones.WINDOWS, **spoken_zones.SHORT}
    assert all(is_zone(zone) for zone in names.values())
    assert all(is_zone(zone) for zone, _ in spoken_zones.ABBREVIATED.values())


@pytest.mark.parametrize("word", spoken_zones.ABBREVIATED)
def test_abbreviation_is_an_offset_that_its_zone_has_in_winter_or_summer(word: str) -> None:
    zone, minutes = spoken_zones.ABBREVIATED[word]
    days = (datetime(2026, month, 1, tzinfo=ZoneInfo(zone)) for month in (1, 7))
    offsets = {(day.utcoffset(), day.dst()) for day in days}
    assert minutes * 60 in {offset.total_seconds() for offset, _ in offsets if offset is not None}


@pytest.mark.parametrize(
    ("text", "zone", "sold_at"),
    [
        ("2026-07-05 09:14 EDT", "Europe/Paris", "2026-07-05T09:14:00-04:00"),
        ("2026-07-05 09:14 EST", "Europe/Paris", "2026-07-05T09:14:00-05:00"),
        ("2026-07-05 09:14 cest", "UTC", "2026-07-05T09:14:00+02:00"),
        ("2026-07-05 09:14 IST", "Asia/Kolkata", "2026-07-05T09:14:00+05:30"),
        ("2026-07-05 09:14 CST", "Asia/Shanghai", "2026-07-05T09:14:00+08:00"),
        ("2026-01-05 09:14 CST", "UTC", "2026-01-05T09:14:00-06:00"),
        ("2026-07-05 09:14 Eastern Time (US & Canada)", "UTC", "2026-07-05T09:14:00-04:00"),
        ("2026-07-05 09:14 IST", "Europe/Paris", ""),
        ("2026-11-01 01:30 EDT", "America/New_York", "2026-11-01T01:30:00-04:00"),
        ("2026-11-01 01:30 EST", "America/New_York", "2026-11-01T01:30:00-05:00"),
    ],
)
def test_zone_within_a_date_decides_its_offset(text: str, zone: str, sold_at: str) -> None:
    moment = read_moment(text, ("YYYY-MM-DD HH:mm z",))
    assert moment is not None
    sold = settle_moment(moment, ZoneInfo(zone))
    assert sold.sold_at == sold_at
    assert sold.warning == ("" if sold_at else "zone-unknown")
