"""Which time zones and currencies exist.

Owns the list of currencies (ISO 4217, in use in 2026); zones are the IANA database's, from the
system or the tzdata package. Never converts anything.
"""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, available_timezones

from tilldrop.toml_table import nearest

_CODES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN
BZD CAD CDF CHF CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP
GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES
KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU
MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON
RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND
TOP TRY TTD TWD TZS UAH UGX USD UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF
YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_CODES.split())
_AREA = re.compile(r"UTC|[A-Z][A-Za-z]+(/[A-Za-z0-9_+-]+){1,2}")


def is_zone(name: str) -> bool:
    """Tell whether a name is a zone of the form Area/City, or UTC."""
    if not _AREA.fullmatch(name):
        # Others exist ("EST", "localtime"), but mean a fixed offset or this machine's own.
        return False
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def nearest_zone(found: str) -> str:
    """Return '; did you mean "Area/City"?', or "" if nothing is like it."""
    zones = sorted(zone for zone in available_timezones() if _AREA.fullmatch(zone))
    cities = {zone.rpartition("/")[2].casefold(): zone for zone in zones}
    city = cities.get(found.strip().replace(" ", "_").casefold())
    return f'; did you mean "{city}"?' if city else nearest(found, zones)


def nearest_currency(found: str) -> str:
    """Return '; did you mean "EUR"?', or ""."""
    return nearest(found, CURRENCIES)
