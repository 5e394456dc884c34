"""Runs a command the way systemd would run the unit, where there is no systemd to ask.

Owns two stages, both programs of their own. The first, as root in a mount namespace of its own,
lays out what the unit shows the daemon: `/etc` and `/var/lib` of a scratch root, all of it
read-only but the state and the keys, no homes, a `/proc` of processes only. The second, as the
unit's user with the unit's capabilities, takes on its filter of system calls and its ban on
memory that is both written and executed, and becomes the command. What it needs to know it reads
in the unit.

    unshare --mount --propagation private python tests/as_unit.py ROOT UNIT COMMAND...
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

HOMES = ("/home", "/root", "/run/user")
SECOND = "--second-stage"
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1  # linux/prctl.h, since Linux 6.3
SCMP_ACT_ALLOW, SCMP_ACT_EPERM = 0x7FFF0000, 0x00050001
NO_SUCH_CALL = -1


def settings(unit: Path, key: str) -> list[str]:
    """Return the words of all lines of that key, in their order."""
    lines = (line.partition("=") for line in unit.read_text().splitlines())
    return [word for name, _, value in lines if name == key for word in value.split()]


def allowed_calls(unit: Path) -> set[str]:
    """Return the system calls that the unit's SystemCallFilter lets through."""
    allowed: set[str] = set()
    for line in unit.read_text().splitlines():
        if line.startswith("SystemCallFilter="):
            words = line.partition("=")[2]
            calls = {c for word in words.removeprefix("~").split() for c in _expanded(word)}
            allowed = allowed - calls if words.startswith("~") else allowed | calls
    # What systemd itself adds to an allow-list: systemd.exec(5).
    return allowed | _expanded("@default")


def _expanded(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    words = ("systemd-analyze", "syscall-filter", "--no-pager", name)
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    inside = (line.strip() for line in text.splitlines()[1:])
    return {call for each in inside if each and each[0] != "#" for call in _expanded(each)}


def command_in(root: Path, unit: Path, *command: str) -> tuple[str, ...]:
    """Return the command line that runs a command as the unit does."""
    first = (sys.executable, __file__, str(root), str(unit), *command)
    return ("unshare", "--mount", "--propagation", "private", *first)


def command_beside(pid: int, root: Path, *command: str, user: str = "root") -> tuple[str, ...]:
    """Return the command line that runs a command in the same namespace, as that user."""
    enter = ("nsenter", f"--target={pid}", "--mount", "--wd=/")
    return (*enter, *(_becoming(root, user) if user != "root" else ()), *command)


def _becoming(root: Path, user: str) -> tuple[str, ...]:
    lines = (line.split(":") for line in (root / "etc" / "passwd").read_text().splitlines())
    number = next(fields[2] for fields in lines if fields[0] == user)
    return ("setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups")


def _capabilities(unit: Path, key: str) -> str:
    """Return a set of capabilities as setpriv(1) wants it."""
    names = (name.removeprefix("CAP_").lower() for name in settings(unit, key))
    return ",".join(("-all", *(f"+{name}" for name in names)))


def _lay_out(root: Path) -> None:
    """Show what the unit shows."""
    python = Path(sys.base_prefix)
    hidden = any(python.is_relative_to(home) for home in HOMES)
    if hidden:  # where this machine keeps its interpreter; a service's is never there
        _mount("--bind", str(python), str(_made(root / "python")))
    for home in HOMES:
        if Path(home).is_dir():
            _mount("-t", "tmpfs", "-o", "mode=0755", "none", home)
    if hidden:
        _mount("--bind", str(root / "python"), str(_made(python)))
    _mount("--bind", str(root / "etc"), "/etc")
    _mount("--bind", str(root / "var" / "lib"), "/var/lib")
    for writable in ("/var/lib/tilldrop", "/etc/tilldrop/keys"):
        _mount("--bind", writable, writable)
    _mount("-t", "tmpfs", "-o", "mode=1777", "none", "/var/tmp")
    for closed in ("/", "/etc", "/var/lib"):
        _mount("-o", "remount,bind,ro", closed)
    _mount("-t", "proc", "-o", "subset=pid,hidepid=invisible", "proc", "/proc")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _mount(*words: str) -> None:
    subprocess.run(("mount", *words), check=True)


def _confine(unit: Path) -> None:
    """Take on the memory ban and the filter of system calls."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
        sys.stderr.write("this kernel has no PR_SET_MDWE\n")
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(SCMP_ACT_EPERM))
    for call in sorted(allowed_calls(unit)):
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number != NO_SUCH_CALL and seccomp.seccomp_rule_add(rules, SCMP_ACT_ALLOW, number, 0):
            sys.exit(f"no rule can be made for {call}")
    if seccomp.seccomp_load(rules) != 0:
        sys.exit("the filter of system calls cannot be loaded")


def main() -> None:
    """Be one of the two stages."""
    if sys.argv[1] == SECOND:
        _confine(Path(sys.argv[2]))
        os.execv(sys.argv[3], sys.argv[3:])
    root, unit = Path(sys.argv[1]), Path(sys.argv[2])
    wanted = _capabilities(unit, "AmbientCapabilities")
    (user,) = settings(unit, "User")
    becoming = _becoming(root, user)
    shutil.copy(unit, root / "etc")
    unit = Path("/etc", unit.name)
    _lay_out(root)
    words = [
        *becoming,
        f"--inh-caps={wanted}",
        f"--ambient-caps={wanted}",
        f"--bounding-set={_capabilities(unit, 'CapabilityBoundingSet')}",
        "--no-new-privs",
        *(sys.executable, __file__, SECOND, str(unit), *sys.argv[3:]),
    ]
    os.umask(0o077)
    os.execvp(words[0], words)


if __name__ == "__main__":
    main()
