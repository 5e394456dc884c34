"""`make bench`: every bench, one after the other, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

BENCHES = (
    "bench_import",
    "bench_tables",
    "bench_sftp",
    "bench_latency",
    "bench_small",
    "bench_start",
)

if __name__ == "__main__":
    wanted = sys.argv[1:] or BENCHES
    failed = [
        bench
        for bench in wanted
        if subprocess.run((sys.executable, "-m", f"tests.bench.{bench}"), check=False).returncode
    ]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
