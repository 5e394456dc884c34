"""How many descriptors the process may have: as many as the system lets it, and enough.

Owns that limit. Never refuses a start for it: the doors say when there are none left, and go on
when there are again.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from tilldrop import journal

if TYPE_CHECKING:
    from tilldrop.config import Config

OWN = 300  # databases, threads, the worker, folders watched, listening sockets


def allow_most(config: Config) -> None:
    """Raise the limit to what the system grants; say so if the doors may need more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # of the usual 1024, sessions use up all
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < (wanted := needed(config)):
        journal.descriptors_scarce(most, wanted)


def needed(config: Config) -> int:
    """Return how many are in use when every connection is taken and sends one file."""
    sftp = config.sftp.max_connections * (config.sftp.enabled + config.sftp_legacy.enabled)
    ftp = config.ftp.max_connections if config.ftp.enabled else 0
    # By SFTP a socket and a file; by FTP a port that waits, or a connection, for the data as well.
    return OWN + config.guard.max_waiting + 2 * sftp + 3 * ftp
