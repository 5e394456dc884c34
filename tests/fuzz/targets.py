"""Every target of the fuzzer, by name."""

from __future__ import annotations

from tests.fuzz import of_doors, of_files, of_packed, of_wires

_PARTS = (of_files, of_packed, of_wires, of_doors)
TARGETS = {target.name: target for part in _PARTS for target in part.TARGETS}
