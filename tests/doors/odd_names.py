"""Names that a client might send by mistake or on purpose, for every request that takes one."""

from __future__ import annotations

ODD_NAMES: tuple[bytes, ...] = (
    b"",
    b" ",
    b".",
    b"..",
    b"/",
    b"//",
    b"./",
    b"...",
    b"../../../../../../etc/passwd",
    b"/etc/passwd",
    b"/../../etc/shadow",
    b"transactions/../../../x.csv",
    b"..\\..\\..\\windows\\win.ini",
    b"C:\\x.csv",
    b"\\\\host\\share\\x.csv",
    b"~root/x.csv",
    b"-rf",
    b"-rf.csv",
    b"--help.csv",
    b"=cmd|' /C calc'!A0.csv",
    b"+1.csv",
    b"@SUM(1).csv",
    b"$(reboot).csv",
    b"`reboot`.csv",
    b"; reboot #.csv",
    b"| reboot",
    b"%n%n%s%s.csv",
    b"%2e%2e%2fx.csv",
    b"{0.__class__}.csv",
    b"' OR 1=1 --.csv",
    b'"; DROP TABLE deliveries; --.csv',
    b"<script>alert(1)</script>.csv",
    b"a\nb.csv",
    b"a\rb.csv",
    b"a\tb.csv",
    b"a\x00b.csv",
    b"\x00",
    b"a\x7fb.csv",
    b"a\x1b[31mred.csv",
    b"\x1b]0;title\x07.csv",
    b"\x9b31m.csv",
    b"\xff\xfe.csv",
    b"\xc3\x28.csv",
    b"\xed\xa0\x80.csv",  # half a surrogate pair
    b"\xc0\xaf.csv",  # an overlong slash
    b"\xf4\x90\x80\x80.csv",  # beyond Unicode
    "\u202evsc.exe".encode(),  # right to left
    "a\u200bb.csv".encode(),  # no width
    "\ufeffa.csv".encode(),
    "e\u0301.csv".encode(),  # not composed
    "\u212a.csv".encode(),  # KELVIN SIGN
    "\u0130\u0131.csv".encode(),  # Turkish i
    "\u2028.csv".encode(),  # LINE SEPARATOR
    "\u2215etc\u2215passwd".encode(),  # looks like a slash
    "\U0001f4a9.csv".encode(),
    "\U000e0001.csv".encode(),  # a tag
    "\u0915\u094d\u200d\u0937.csv".encode(),
    "\u5bf8\u540d.csv".encode(),
    ("Z" + "\u0335" * 60 + ".csv").encode(),
    b"CON",
    b"NUL.csv",
    b"a.csv.",
    b"a.csv ",
    b" a.csv",
    b"a*b?.csv",
    b"[a-",
    b"a:b.csv",
    b".hidden.csv",
    b".in.a.csv.",
    b"receipts",
    b"receipts/x.txt",
    b"a.csv/b.csv",
    b"NaN",
    b"undefined",
    b"null",
    b"0",
    b"-1",
    b"99999999999999999999",
    b"a" * 255,
    b"b" * 251 + b".csv",
    b"c" * 256 + b".csv",
    b"d/" * 100 + b"x.csv",
    b"e" * 4096,
)
