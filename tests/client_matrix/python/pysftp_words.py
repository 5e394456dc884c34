"""pysftp, told by words what to do. Login as in ../node/sftp.js.

It needs a paramiko before 4, so it has an environment of its own and runs as its own program.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pysftp


def main(verb: str, *words: str) -> None:
    settings = pysftp.CnOpts()
    settings.hostkeys = None  # it looks hosts up without their port
    key = os.environ.get("TD_KEY")
    with pysftp.Connection(
        os.environ["TD_HOST"],
        port=int(os.environ["TD_PORT"]),
        username=os.environ["TD_USER"],
        private_key=key,
        password=None if key else os.environ["TD_PASSWORD"],
        cnopts=settings,
    ) as sftp:
        if verb == "put":
            sftp.put(words[0], words[1], preserve_mtime=True)
        elif verb == "many":
            sftp.put_d(words[0], ".")
        elif verb == "resume":
            with sftp.open(words[1], "ab") as file:
                file.write(Path(words[0]).read_bytes()[sftp.stat(words[1]).st_size :])
        elif verb == "read":
            sftp.get(words[0], words[1])
        elif verb == "names":
            sys.stdout.write("\n".join(sftp.listdir()))
        elif verb == "delete":
            sftp.remove(words[0])
        else:
            sftp.rename(words[0], words[1])


main(*sys.argv[1:])
