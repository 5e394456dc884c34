from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilldrop.errors import UploadHasGaps
from tilldrop.upload import RANGES_MOST, Ranges


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=30))
def test_ranges_agree_with_a_plain_set_of_offsets(writes: list[tuple[int, int]]) -> None:
    ranges, offsets = Ranges(), set[int]()
    for start, length in writes:
        ranges.add(start, start + length)
        offsets.update(range(start, start + length))
    prefix = next(n for n in range(100) if n not in offsets)
    assert ranges.prefix == prefix
    assert ranges.end == max(offsets, default=-1) + 1
    assert ranges.whole == (len(offsets) == prefix)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=20), st.integers(0, 80))
def test_cut_forgets_what_lies_beyond(writes: list[tuple[int, int]], size: int) -> None:
    ranges, offsets = Ranges(), set[int]()
    for start, length in writes:
        ranges.add(start, start + length)
        offsets.update(range(start, start + length))
    ranges.cut(size)
    kept = {offset for offset in offsets if offset < size}
    assert ranges.prefix == next(n for n in range(100) if n not in kept)
    assert ranges.end == max(kept, default=-1) + 1


def test_endless_islands_are_refused() -> None:
    ranges = Ranges()
    for number in range(1, RANGES_MOST + 1):
        ranges.add(number * 2, number * 2 + 1)
    with pytest.raises(UploadHasGaps):
        ranges.add(0xFFFFFF, 0x1000000)
