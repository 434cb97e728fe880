import dataclasses
import re
import tomllib
import typing
from pathlib import Path
from typing import Any

import pytest

from agent.config import Config, ConfigError
from agent.config_file import load, parse

EXAMPLE = Path(__file__).parents[2] / "systemd" / "agent.toml"
IDENTITY = {"root": "/etc/camward/root.pem", "est": "https://fleet.example"}
BROKER = {"host": "mqtt.fleet.example"}
SOURCES = "auto, pattern, clip:FILE, v4l2, v4l2:/dev/videoN, picamera, picamera:NAME or rtsp://HOST/PATH"
REQUIRED = {"identity.root", "identity.est", "broker.host"}
MINIMAL = {"identity": {"root": "root.pem", "est": "https://fleet"}, "broker": {"host": "broker"}}


def document(**tables: Any) -> dict[str, Any]:
    return {"identity": IDENTITY, "broker": BROKER} | tables


def refusal(given: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(given)
    text = str(caught.value)
    assert "\n" not in text
    return text


def settings() -> dict[str, Any]:
    """Path of every setting of the dataclasses, and its default (MISSING where one must be given)."""
    tables = typing.get_type_hints(Config)
    return {
        f"{table}.{entry.name}": entry.default
        for table, kind in tables.items()
        if table != "cameras"  # they have the settings of `camera`
        for entry in dataclasses.fields(kind)
    }


def as_toml(default: Any) -> Any:
    """A default as a configuration file shows it."""
    return str(default) if isinstance(default, Path) else list(default) if isinstance(default, tuple) else default


def test_what_is_not_given_has_its_default() -> None:
    config = parse(document())
    assert config.identity.directory == Path("/var/lib/camward/identity")
    assert (config.broker.port, config.camera.source, config.camera.linger_s) == (8883, "auto", 10.0)
    assert (config.panel.on_air_pin, config.panel.privacy_pin) == (None, None)


def test_given_values_replace_the_defaults() -> None:
    config = parse(document(camera={"source": "clip:a.mp4", "fps": 25}, panel={"privacy_pin": 27}))
    assert (config.camera.source, config.camera.fps, config.panel.privacy_pin) == ("clip:a.mp4", 25, 27)


def test_a_whole_number_is_good_where_a_fraction_may_stand() -> None:
    assert repr(parse(document(camera={"linger_s": 3})).camera.linger_s) == "3.0"


@pytest.mark.parametrize(
    ("table", "key", "value", "allowed"),
    [
        ("camera", "fps", 0, "1 to 120"),
        ("camera", "fps", 29.97, "1 to 120"),
        ("camera", "fps", True, "1 to 120"),
        ("camera", "fps", "30", "1 to 120"),
        ("camera", "width", 1281, "an even number from 64 to 4096"),
        ("camera", "height", 5000, "an even number from 64 to 4096"),
        ("camera", "bitrate_bps", 1, "50000 to 50000000"),
        ("camera", "keyframe_interval_s", 0.1, "0.5 to 60"),
        ("camera", "keyframe_interval_s", float("nan"), "0.5 to 60"),
        ("camera", "linger_s", float("inf"), "0 to 3600"),
        ("camera", "linger_s", 10**400, "0 to 3600"),
        ("camera", "source", "clip:a\0b", SOURCES),
        ("camera", "always_on", 1, "true or false"),
        ("camera", "source", "webcam", SOURCES),
        ("camera", "source", "clip", SOURCES),
        ("camera", "source", "auto:", SOURCES),
        ("camera", "source", "picamera:", SOURCES),
        ("session", "max_viewers", 0, "1 to 1000"),
        ("session", "max_pending", 101, "1 to 100"),
        ("session", "setup_s", 0.5, "1 to 60"),
        ("session", "longest_s", 86401, "10 to 86400"),
        ("panel", "on_air_pin", 28, "0 to 27"),
        ("panel", "privacy_pin", -1, "0 to 27"),
        ("log", "level", "INFO", "debug, info, warning or error"),
        ("log", "level", ["info"], "debug, info, warning or error"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_its_path_and_what_is(
    table: str, key: str, value: Any, allowed: str
) -> None:
    text = refusal(document(**{table: {key: value}}))
    assert text == f"{table}.{key} = {value!r} is not allowed: {allowed}"


@pytest.mark.parametrize(
    ("table", "key", "value", "allowed"),
    [
        ("identity", "est", "http://fleet.example", "an https:// address"),
        ("identity", "est", "https://", "an https:// address"),
        ("identity", "root", "", "a path"),
        ("identity", "directory", "", "a path"),
        ("broker", "host", "", "a name"),
        ("broker", "host", "camera..example", "a name"),
        ("broker", "host", f"{'a' * 64}.example", "a name"),
        ("broker", "port", 65536, "1 to 65535"),
        ("broker", "keepalive_s", 4, "5 to 1200"),
    ],
)
def test_required_tables_are_checked_alike(table: str, key: str, value: Any, allowed: str) -> None:
    given = document()
    given[table] = given[table] | {key: value}
    assert refusal(given) == f"{table}.{key} = {value!r} is not allowed: {allowed}"


@pytest.mark.parametrize("path", sorted(REQUIRED))
def test_a_setting_that_must_be_given_is_asked_for(path: str) -> None:
    table, key = path.split(".")
    given = document()
    given[table] = {name: value for name, value in given[table].items() if name != key}
    assert refusal(given).startswith(f"{path} is missing: ")


def test_a_table_that_must_be_given_is_asked_for_by_its_first_setting() -> None:
    assert refusal({"broker": BROKER}).startswith("identity.root is missing: ")


RELAYED = {"turn": ["turn:turn.example"], "turn_credential": "/etc/camward/turn.toml"}


def test_a_list_is_read_as_one() -> None:
    network = parse(document(network=RELAYED | {"addresses": "relay", "interfaces": ["eth*", "fd00::/8"]})).network
    assert (network.turn, network.interfaces) == (("turn:turn.example",), ("eth*", "fd00::/8"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("interfaces", ["192.168.1.7/24"]),
        ("interfaces", [""]),
        ("interfaces", ["an-interface-with-too-long-a-name"]),
        ("interfaces", "eth0"),
        ("interfaces", [7]),
        ("stun", ["stun.example"]),
        ("stun", ["turn:turn.example"]),
        ("stun", ["stun:stun.example?transport=tcp"]),
        ("stun", ["stun:stun.example:99999"]),
        ("stun", ["stun:stun.example"] * 5),
        ("turn", ["stun:stun.example"]),
        ("turn", ["turns:turn.example?transport=udp"]),
        ("turn", ["turn:turn.example:3478 "]),
    ],
)
def test_a_list_with_an_entry_that_is_not_allowed_is_named(key: str, value: Any) -> None:
    text = refusal(document(network={key: value}))
    assert text.startswith(f"network.{key} = {value!r} is not allowed: a list of ")


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({"addresses": "relay"}, "network.turn"),
        ({"addresses": "relay", "stun": ["stun:stun.example"]}, "network.turn"),
        ({"addresses": "direct"}, "network.stun or network.turn"),
        ({"turn": ["turn:turn.example"]}, "network.turn_credential"),
    ],
)
def test_a_mode_without_the_servers_it_stands_on_is_refused(given: dict[str, Any], lacking: str) -> None:
    assert f"needs {lacking}" in refusal(document(network=given))


def test_a_misspelt_setting_is_told_its_neighbour() -> None:
    assert refusal(document(camera={"bitrate": 1})) == (
        "camera.bitrate is not a setting: did you mean camera.bitrate_bps?"
    )


def test_a_misspelt_table_is_told_its_neighbour() -> None:
    assert refusal(document(cammera={})) == "cammera is not a setting: did you mean camera?"


def test_a_setting_without_a_neighbour_is_told_all_of_them() -> None:
    assert refusal(document(log={"zzz": 1})) == "log.zzz is not a setting: allowed are level"


def test_a_name_with_a_line_break_stays_in_one_line() -> None:
    assert "a\\nb" in refusal(document(log={"a\nb": 1}))


def test_a_value_where_a_table_belongs_is_refused() -> None:
    assert refusal(document(camera="auto")) == "camera = 'auto': a table is wanted, [camera]"


def test_a_file_that_is_not_there_names_one_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("systemd/agent.toml")):
        load(tmp_path / "agent.toml")


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[camera\n", "line 1"),
        (b"\xff\xfe", "decode"),
        (b"[log]\nlevel = 'x'\n", "log.level = 'x'"),
        (b"a = " + b"[" * 2000, "recursion"),
        (b"a = " + b"9" * 5000, "digits"),
    ],
)
def test_an_error_in_the_file_names_the_file(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(b"[identity]\nroot='/r'\nest='https://e'\n[broker]\nhost='h'\n" * (b"log" in content) + content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert said in text
    assert "\n" not in text


def test_the_example_file_loads_and_changes_no_default() -> None:
    example = load(EXAMPLE)
    assert dataclasses.replace(example, identity=None, broker=None) == dataclasses.replace(
        parse(document()), identity=None, broker=None
    )


def test_the_example_file_shows_every_setting_and_its_default() -> None:
    shown = tomllib.loads(re.sub(r"(?m)^# (?=\w+ = |\[)", "", EXAMPLE.read_text(encoding="utf-8")))
    named = shown.pop("cameras")
    values = {f"{table}.{key}": value for table, keys in shown.items() for key, value in keys.items()}
    defaults = settings()
    assert list(values) == list(defaults)
    for path, default in defaults.items():
        if path not in REQUIRED and default is not None:
            assert values[path] == as_toml(default), path
    assert list(parse({**shown, "cameras": named}).every_camera()) == list(named)


def _cameras(**cameras: Any) -> Config:
    return parse({**MINIMAL, "camera": {"fps": 15, "source": "pattern"}, "cameras": cameras})


def test_the_only_camera_has_no_name() -> None:
    config = parse({**MINIMAL, "camera": {"fps": 15}})
    assert dict(config.every_camera()) == {"": config.camera}


def test_several_cameras_share_what_they_do_not_say_themselves() -> None:
    every = _cameras(door={"source": "v4l2:/dev/video0"}, yard={"width": 640, "fps": 10}).every_camera()

    assert list(every) == ["door", "yard"]
    assert (every["door"].source, every["door"].fps, every["door"].width) == ("v4l2:/dev/video0", 15, 1280)
    assert (every["yard"].source, every["yard"].fps, every["yard"].width) == ("pattern", 10, 640)


@pytest.mark.parametrize(
    ("cameras", "says"),
    [
        ({"Front Door": {}}, "small letters, digits and hyphens"),
        ({"door": 5}, "a table is wanted, [cameras.door]"),
        ({"door": {"fsp": 30}}, "did you mean cameras.door.fps?"),
        ({"door": {"fps": 0}}, "cameras.door.fps = 0 is not allowed"),
        ({str(number): {} for number in range(5)}, "at most 4"),
        (
            {"a": {"source": "v4l2:/dev/video0"}, "b": {"source": "v4l2:/dev/video0"}},
            "a and cameras.b have the same source",
        ),
        ({"a": {"source": "auto"}, "b": {"source": "auto"}}, "have the same source"),
        ({"a": {"source": "v4l2:/dev/video0"}, "b": {"source": "v4l2"}}, "may find the same device"),
        ({"a": {"source": "picamera"}, "b": {"source": "auto"}}, "may find the same device"),
    ],
)
def test_a_mistake_in_a_named_camera_is_named(cameras: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        _cameras(**cameras)


def test_sources_that_never_meet_stand_side_by_side() -> None:
    for one, other in [
        ("v4l2", "picamera"),
        ("auto", "pattern"),
        ("clip:a.mp4", "clip:a.mp4"),
        ("picamera:a", "picamera:b"),
    ]:
        _cameras(a={"source": one}, b={"source": other})


def test_cameras_that_are_no_table_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most 4 tables"):
        parse({**MINIMAL, "cameras": [1]})
