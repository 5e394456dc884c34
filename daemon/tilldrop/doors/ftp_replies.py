"""FTP's two tables: the verbs that there are, and which error gets which reply.

A verb that is not in `VERBS` is not supported, whatever pyftpdlib knows. Codes are those of
RFC 959, 1123 and 4217: 4xx where trying later can help, else 5xx.
"""

from __future__ import annotations

from enum import Flag, auto

from tilldrop import errors
from tilldrop.errors import TilldropError


class Need(Flag):
    """What a verb needs."""

    LOGIN = auto()
    WORD = auto()  # an argument


LOGIN, WORD, NEITHER = Need.LOGIN, Need.WORD, Need(0)

# The X verbs are those of Windows' own ftp.exe and of others as old.
VERBS: dict[str, Need] = {
    "ABOR": LOGIN,
    "ALLO": LOGIN,
    "APPE": LOGIN | WORD,
    "AUTH": WORD,
    "CDUP": LOGIN,
    "CWD": LOGIN,
    "DELE": LOGIN | WORD,
    "EPRT": LOGIN | WORD,
    "EPSV": LOGIN,
    "FEAT": NEITHER,
    "LIST": LOGIN,
    "MDTM": LOGIN | WORD,
    "MFMT": LOGIN | WORD,
    "MKD": LOGIN | WORD,
    "MLSD": LOGIN,
    "MLST": LOGIN,
    "MODE": LOGIN | WORD,
    "NLST": LOGIN,
    "NOOP": NEITHER,
    "OPTS": WORD,
    "PASS": NEITHER,
    "PASV": LOGIN,
    "PBSZ": NEITHER,
    "PORT": LOGIN | WORD,
    "PROT": WORD,
    "PWD": LOGIN,
    "QUIT": NEITHER,
    "REST": LOGIN | WORD,
    "RETR": LOGIN | WORD,
    "RMD": LOGIN | WORD,
    "RNFR": LOGIN | WORD,
    "RNTO": LOGIN | WORD,
    "SITE": LOGIN | WORD,
    "SIZE": LOGIN | WORD,
    "STAT": LOGIN,
    "STOR": LOGIN | WORD,
    "STRU": LOGIN | WORD,
    "SYST": NEITHER,
    "TYPE": LOGIN | WORD,
    "USER": WORD,
    "XCUP": LOGIN,
    "XCWD": LOGIN,
    "XMKD": LOGIN | WORD,
    "XPWD": LOGIN,
    "XRMD": LOGIN | WORD,
}

REPLIES: dict[type[TilldropError], int] = {
    TilldropError: 550,  # whatever is not said more exactly below
    errors.TransferCut: 426,
    errors.NoDataConnection: 425,
    errors.NameRefused: 553,
    errors.NotSupported: 502,
    errors.TlsNeeded: 521,
    errors.TooLarge: 552,
    errors.SeekRefused: 554,
    errors.SpoolFull: 452,
    errors.SpoolFailed: 451,
    errors.LedgerBusy: 451,
    errors.LedgerFailed: 451,
    errors.DatabaseDamaged: 451,
    errors.UploadPoisoned: 451,
    errors.UploadHasGaps: 451,
    errors.MoveRefused: 450,
    errors.UploadTaken: 450,
    errors.TooManyOpen: 450,
    errors.StoredTooMuch: 452,
    errors.TooManyUploads: 450,
    errors.TooManySessions: 421,
    errors.ShuttingDown: 450,
}


def reply_to(error: TilldropError) -> str:
    """Turn an error into the reply that the client gets."""
    code = next(REPLIES[kind] for kind in type(error).__mro__ if kind in REPLIES)
    return f"{code} {error.to_customer}"
