"""Readable pages of boards' records: one a board, and docs/boards.md, which collects them.

python -m benchmarks.board.page      makes docs/boards/*.md and the table in docs/boards.md anew, of docs/boards/*.json
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

DOCS: Final = Path(__file__).parents[2] / "docs"
BEGIN: Final = "<!-- made by benchmarks.board.page -->"
END: Final = "<!-- end of what is made -->"

WANTED: Final = {  # a board that is to be tried: what its model begins with
    "Raspberry Pi Zero 2 W": "Raspberry Pi Zero 2",
    "Raspberry Pi 3 B+": "Raspberry Pi 3 Model B Plus",
    "Raspberry Pi 4 B": "Raspberry Pi 4",
    "Raspberry Pi Compute Module 4": "Raspberry Pi Compute Module 4",
    "Raspberry Pi 5": "Raspberry Pi 5",
}
_HEAD: Final = (
    *("board", "camera", "encoder", "contracts: held, broken, skipped"),
    *("first picture ms", "fps", "cores", "RSS MB", "whole for so many viewers", "light to picture ms", "run"),
)


def write(path: Path) -> str:
    """Write the page of one record beside it, and give it."""
    text = one(json.loads(path.read_text()))
    path.with_suffix(".md").write_text(text)
    return text


def collect(docs: Path = DOCS) -> None:
    """Write the pages of all records, and the table in boards.md between its marks."""
    paths = sorted((docs / "boards").glob("*.json"))
    for path in paths:
        write(path)
    page = docs / "boards.md"
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    made = table([json.loads(path.read_text()) for path in paths])
    page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}")


def table(records: Iterable[dict[str, Any]]) -> str:
    """Give a row for each record, those of wanted boards first, and an empty one for each that has none."""
    left, rows = list(records), []
    for board, begins in WANTED.items():
        own = [record for record in left if record["board"]["model"].startswith(begins)]
        left = [record for record in left if record not in own]
        rows += [_row(record) for record in own] or [[board, "not run", *[""] * (len(_HEAD) - 2)]]
    return _markdown(_HEAD, rows + [_row(record) for record in left])


def one(record: dict[str, Any]) -> str:
    """Give the page of one record."""
    board, software = record["board"], record["software"]
    tried = record["contracts"]
    odd = Counter((one["test"].partition(":")[0], one["outcome"], one["why"]) for one in tried)
    rows = [[f"{count} of {file}", outcome, why] for (file, outcome, why), count in odd.items() if why]
    parts = [
        f"# {board['model']}",
        f"`{record['name']}`, {record['at']}, made by `make hw` ([all boards](../boards.md)).",
        f"{board['cores']} x {board['cpu']} ({board['architecture']}), {board['memory_mib']} MiB,"
        f" {'with' if board['aes'] else 'without'} AES instructions.\n{software['system']}, Linux {software['kernel']},"
        f" Python {software['python']}, camward {software['camward']}; load before the run {record['load_before']}.",
        _camera(record),
        "## Encoders, a second each",
        _markdown(
            ("encoder", "pictures a second", "ms of the processor, a picture"), map(_encoder, record["encoders"])
        ),
        "## Contracts",
        f"{_count(tried)}. Tried with `{record['source']}`.",
        _markdown(("which", "how", "why"), rows) if rows else "",
        "## The camera by itself",
        _running(record["running"]),
        "## Viewers",
        _viewers(record["viewers"]),
        "## From light to an encoded picture",
        _light(record["light"]),
    ]
    if not record["real"]:
        parts.insert(
            2, "**No real camera was taken here: the figures are of the test pattern, and say nothing about cameras.**"
        )
    return "\n\n".join(filter(None, parts)) + "\n"


def _row(record: dict[str, Any]) -> list[str]:
    running, viewers, light = record["running"], record["viewers"], record["light"]
    whole = [step["viewers"] for step in viewers.get("steps", ()) if step["lost"] == 0 and step["late"] == 0]
    model = f"[{record['board']['model']}](boards/{record['name']}.md)"
    return [
        f"{model}, {record['board']['cpu']}",
        _seen(record),
        record["choice"]["encoder"] or record["choice"]["kind"] or "none",
        _count(record["contracts"]),
        *(str(running.get(name, "skipped")) for name in ("first_picture_ms", "fps", "cores", "rss_mb")),
        str(max(whole, default=0)) if "steps" in viewers else "skipped",
        str(light.get("median_ms", "skipped")),
        record["at"],
    ]


def _seen(record: dict[str, Any]) -> str:
    if not record["real"]:
        return "none: the test pattern"
    return ", ".join(record["libcamera"]["sensors"] + record["cameras"]) or record["choice"]["source"]


def _camera(record: dict[str, Any]) -> str:
    sensors = ", ".join(record["libcamera"]["sensors"]) or "none"
    nodes = ", ".join(record["cameras"]) or "none"
    choice = record["choice"]
    encoder = f"{choice['encoder'] or 'nothing'} ({choice['kind']})"
    chosen = (
        f"The agent takes {choice['source']}, encoded by {encoder}" if choice["source"] else "The agent takes nothing"
    )
    pins = ", ".join(record["pins"]["chips"]) or "none"
    return (
        f"libcamera: {sensors}. V4L2 cameras: {nodes}. {chosen}.\n"
        f"Pins: {pins}, driven by {record['pins']['library'] or 'nothing'}."
        f" RTC: {record['rtc'] or 'none'}. TPM: {'yes' if record['tpm'] else 'none'}."
    )


def _encoder(encoder: dict[str, Any]) -> list[str]:
    if not encoder["works"]:
        return [encoder["codec"], "no", encoder["problem"] or ""]
    return [f"{encoder['codec']}, {encoder['width']}x{encoder['height']}", str(encoder["fps"]), str(encoder["cpu_ms"])]


def _running(running: dict[str, Any]) -> str:
    if "skipped" in running:
        return f"Skipped: {running['skipped']}."
    return (
        f"{running['source']}: the first picture after {running['first_picture_ms']} ms,"
        f" then for {running['seconds']} s {running['fps']} pictures a second of {running['kbps']} kbit/s,"
        f" {running['cores']} of a core, {running['rss_mb']} MB RSS, {running['dropped']} dropped."
    )


def _viewers(viewers: dict[str, Any]) -> str:
    if "skipped" in viewers:
        return f"Skipped: {viewers['skipped']}."
    names = {"viewers": "viewers", "cores": "agent, cores", "receiver_cores": "receiver, cores", "rss_mb": "RSS MB"}
    names |= {"fps": "lowest fps", "late": f"viewers below {viewers['least_fps']}", "lost": "packets lost"}
    rows = [[f"{step[name]:g}" for name in names] for step in viewers["steps"]]
    return f"Agent, broker and receiver share the board. What broke: {viewers['broke']}.\n\n" + _markdown(
        tuple(names.values()), rows
    )


def _light(light: dict[str, Any]) -> str:
    if "skipped" in light:
        return f"Skipped: {light['skipped']}."
    return f"{light['median_ms']} ms, from {light['least_ms']} to {light['most_ms']}, of {light['switches']} switches."


def _count(tried: list[dict[str, str]]) -> str:
    count = Counter(one["outcome"] for one in tried)
    return f"{count['passed']} held, {count['failed']} broken, {count['skipped']} skipped"


def _markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


if __name__ == "__main__":
    collect()
