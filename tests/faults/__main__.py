"""`make faults`: the long kill sweep. usage: python -m tests.faults [SECONDS] [SEED]."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.faults.kill_sweep import Bed, sweep
from tilldrop import hostkeys, journal

SECONDS = 900.0

if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory(prefix="tilldrop-faults-") as name:
        folder = Path(name)
        journal.configure("auto", "warning")
        hostkeys.ensure(folder / "keys")
        bed = Bed(folder, folder / "keys")
        try:
            done = sweep(bed, seed, time.monotonic() + seconds)
        finally:
            bed.daemon.kill()
    sys.stdout.write(done.told() + "\n")
    for complaint in done.complaints:
        sys.stdout.write(f"  {complaint}\n")
    sys.exit(bool(done.complaints))
