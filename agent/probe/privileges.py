"""Who asks, and what the systemd unit and its user will be allowed: from the files of the root directory `top`."""

from __future__ import annotations

import grp
import os
import pwd
import re
from pathlib import Path
from typing import Final

from agent.probe.board import text
from agent.probe.facts import Privileges, Service, Tpm

_UNITS: Final = ("etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system")


def privileges(top: Path = Path("/")) -> Privileges:
    """Name this process's user and groups, and the service where its unit is installed."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return Privileges(
        user=user, groups=tuple(sorted(map(_group, {os.getegid(), *os.getgroups()}))), service=service(top)
    )


def service(top: Path = Path("/")) -> Service | None:
    """Read the installed unit; None where there is none."""
    for directory in _UNITS:
        if unit := text(top / directory / "camward.service"):
            user = (re.findall(r"^User=(.*)$", unit, re.MULTILINE) or ["root"])[-1]
            return Service(
                path=f"/{directory}/camward.service",
                user=user,
                user_exists=re.search(rf"^{re.escape(user)}:", text(top / "etc/passwd"), re.MULTILINE) is not None,
                groups=_groups(user, text(top / "etc/group")),
                devices=tuple(line.split()[0] for line in re.findall(r"^DeviceAllow=(\S.*)$", unit, re.MULTILINE)),
            )
    return None


def tpm(directory: Path = Path("/dev")) -> Tpm:
    """Look for the TPM's resource manager."""
    path = directory / "tpmrm0"
    return Tpm(there=path.exists(), usable=os.access(path, os.R_OK | os.W_OK))


def _groups(user: str, groups: str) -> tuple[str, ...]:
    entries = [line.split(":") for line in groups.splitlines() if line.count(":") == 3]
    return tuple(sorted(name for name, _password, _gid, members in entries if user in members.split(",")))


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
