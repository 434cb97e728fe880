"""From TOML to the configuration: what stands in the file is checked, and what does not has its default.

An error names the key's path, the value that stood there, and what is allowed.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.config import CameraConfig, Config, ConfigError
from protocol.messages import CAMERA_NAME, MOST_CAMERAS

_SHARED_SOURCES = ("pattern", "clip:", "rtsp:")  # that more than one camera may have


def load(path: Path) -> Config:
    """Read and check `path`. Errors: ConfigError, in one line."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; systemd/agent.toml is one to start from") from error
    except (OSError, ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number too long, or nested too deep
        raise ConfigError(f"{path}: {error}") from error
    try:
        return parse(document)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(document: Mapping[str, Any]) -> Config:
    """Build a Config from what TOML gave. Errors: ConfigError."""
    tables = {entry.name: entry for entry in dataclasses.fields(Config)}
    _refuse_unknown("", document, tables)
    hints = typing.get_type_hints(Config)
    given = {name: _table(name, hints[name], document.get(name, {})) for name in tables if name != "cameras"}
    return Config(**given, cameras=_cameras(document.get("camera", {}), document.get("cameras", {})))


def camera_setting(name: str, value: Any) -> Any:
    """Check one setting of a camera as if it stood in the file; None leaves it out. Errors: ConfigError."""
    entry = next(entry for entry in dataclasses.fields(CameraConfig) if entry.name == name)
    if value is None and entry.default is None:
        return None
    return _value(f"camera.{name}", typing.get_type_hints(CameraConfig)[name], entry, value)


def _cameras(common: Mapping[str, Any], named: Any) -> dict[str, CameraConfig]:
    if not isinstance(named, Mapping) or len(named) > MOST_CAMERAS:
        raise ConfigError(f"cameras: at most {MOST_CAMERAS} tables are wanted, such as [cameras.door]")
    cameras = dict[str, CameraConfig]()
    for name, values in named.items():
        if not CAMERA_NAME.fullmatch(name):
            raise ConfigError(f"cameras.{name!r} is not allowed: small letters, digits and hyphens, at most 32")
        if not isinstance(values, Mapping):
            raise ConfigError(f"cameras.{name} = {values!r}: a table is wanted, [cameras.{name}]")
        camera = cameras[name] = _table(f"cameras.{name}", CameraConfig, {**common, **values})
        for other, config in cameras.items():
            if other != name and _may_be_the_same(config.source, camera.source):
                raise ConfigError(
                    f"cameras.{other} and cameras.{name} have the same source, or may find the same device: "
                    "one would wait for the other; say which device each is"
                )
    return cameras


def _may_be_the_same(one: str, other: str) -> bool:
    """Say whether two sources may take one device: auto takes any, and a kind without a name any of its kind."""
    if one.startswith(_SHARED_SOURCES) or other.startswith(_SHARED_SOURCES):
        return False
    kinds = {one.partition(":")[0], other.partition(":")[0]}
    return "auto" in kinds or one == other or (len(kinds) == 1 and bool(kinds & {one, other}))


def _table(path: str, kind: type, values: Any) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} = {values!r}: a table is wanted, [{path}]")
    settings = {entry.name: entry for entry in dataclasses.fields(kind)}
    _refuse_unknown(f"{path}.", values, settings)
    hints = typing.get_type_hints(kind)
    given = {}
    for name, entry in settings.items():
        if name in values:
            given[name] = _value(f"{path}.{name}", hints[name], entry, values[name])
        elif entry.default is dataclasses.MISSING:
            raise ConfigError(f"{path}.{name} is missing: {entry.metadata['doc']} ({entry.metadata['allowed']})")
    return kind(**given)


def _value(path: str, hint: Any, entry: dataclasses.Field[Any], value: Any) -> Any:
    if typing.get_origin(hint) is tuple:
        return _texts(path, entry, value)
    wanted = set(typing.get_args(hint)) - {types.NoneType} or {hint}
    if wanted == {float} and type(value) is int and abs(value) < 2**53:  # a larger one is nowhere allowed
        value = float(value)
    right_type = type(value) in ({str} if wanted == {Path} else wanted) and "\0" not in str(value)
    if not right_type or not entry.metadata["check"](value):
        raise ConfigError(f"{path} = {value!r} is not allowed: {entry.metadata['allowed']}")
    return Path(value) if wanted == {Path} else value


def _texts(path: str, entry: dataclasses.Field[Any], value: Any) -> tuple[str, ...]:
    if type(value) is not list or any(type(text) is not str for text in value) or not entry.metadata["check"](value):
        raise ConfigError(f"{path} = {value!r} is not allowed: a list of {entry.metadata['allowed']}")
    return tuple(value)


def _refuse_unknown(prefix: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"allowed are {', '.join(known)}"
            shown = name if name.isprintable() else repr(name)  # a quoted TOML key may hold a line break
            raise ConfigError(f"{prefix}{shown} is not a setting: {hint}")
