"""The tables and plots of docs/benchmarks.md, made of what the runs have written.

    .venv/bin/python -m benchmarks.report [--results FILE] [--page FILE]

What has not been run is left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from benchmarks.plot import Panel, draw

_HERE: Final = Path(__file__).parent
_DOCS: Final = _HERE.parent / "docs"
_BEGIN: Final = "<!-- made by benchmarks.report -->"
_END: Final = "<!-- end -->"
_PROFILES: Final = {"cm": "AES128_CM_SHA1_80", "gcm": "AEAD_AES_128_GCM"}
_RIVALS: Final = ("pion", "libdatachannel", "gstreamer")
_FPS: Final = 29.9
_UP: Final = "CPU-seconds a viewer-minute"


class Results:
    """The records of one run, by cell; a cell's figure is the median of its repeats."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        records = document["records"]
        self.senders = list(dict.fromkeys(record["sender"] for record in records))
        self.viewers = sorted({record["viewers"] for record in records})
        self.profiles = [name for name in _PROFILES if any(record["srtp"] == name for record in records)]

    def figure(self, name: str, sender: str, viewers: int, srtp: str) -> float | None:
        """Give the median of one figure, or None where there is no record."""
        values = [
            record[name]
            for record in self.document["records"]
            if (record["sender"], record["viewers"], record["srtp"]) == (sender, viewers, srtp)
        ]
        return statistics.median(values) if values else None

    def is_whole(self, sender: str, viewers: int, srtp: str) -> bool:
        """Say whether every viewer got everything in time."""
        lost, fps = (self.figure(name, sender, viewers, srtp) for name in ("lost", "fps"))
        return lost == 0 and fps is not None and fps >= _FPS

    def cpu(self, sender: str, viewers: int, srtp: str) -> float | None:
        """Give CPU-seconds a viewer-minute."""
        return self.figure("cpu_s_per_viewer_minute", sender, viewers, srtp)

    def ratio(self, viewers: int, srtp: str) -> tuple[float, str] | None:
        """Compare camward with the cheapest peer that delivered everything: the ratio, and which it was."""
        own = self.cpu("camward", viewers, srtp)
        rivals = [
            (cost, name)
            for name in _RIVALS
            if self.is_whole(name, viewers, srtp) and (cost := self.cpu(name, viewers, srtp)) is not None
        ]
        return (own / min(rivals)[0], min(rivals)[1]) if own is not None and rivals else None


def table(document: dict[str, Any]) -> str:
    """Give the tables of a run of `python -m benchmarks`, as Markdown."""
    results = Results(document)
    costs = (f"{_UP}, {_PROFILES[srtp]}:\n\n" + _costs(results, srtp) for srtp in results.profiles)
    parts = [_machine(document), *costs, _ratios(results), _others(results)]
    return "\n\n".join(parts) + "\n"


def _machine(document: dict[str, Any]) -> str:
    machine, versions = document["machine"], document["versions"]
    taking_part = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{document['at']}, {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']};"
        f" load before the run {machine['load_before']}.\n{taking_part}; camward's hot path {_how(document)}."
    )


def _how(document: dict[str, Any]) -> str:
    return "compiled" if document["compiled"] else "plain Python"


def _costs(results: Results, srtp: str) -> str:
    rows = []
    for sender in results.senders:
        cells = []
        for viewers in results.viewers:
            cost = results.cpu(sender, viewers, srtp)
            mark = "" if results.is_whole(sender, viewers, srtp) else " †"
            cells.append("-" if cost is None else f"{cost:.3f}{mark}")
        rows.append([sender, *cells])
    return _markdown(["sender", *(f"N={viewers}" for viewers in results.viewers)], rows)


def _ratios(results: Results) -> str:
    rows = []
    for srtp in results.profiles:
        against_best, against_aiortc = [], []
        for viewers in results.viewers:
            ratio = results.ratio(viewers, srtp)
            against_best.append(f"{ratio[0]:.2f} ({ratio[1]})" if ratio else "-")
            own, aiortc = results.cpu("camward", viewers, srtp), results.cpu("aiortc", viewers, srtp)
            against_aiortc.append(f"{aiortc / own:.1f}" if own and aiortc else "-")
        rows.append([f"{srtp}: camward / best of {', '.join(_RIVALS)}", *against_best])
        rows.append([f"{srtp}: aiortc / camward", *against_aiortc])
    return _markdown(["ratio", *(f"N={viewers}" for viewers in results.viewers)], rows)


def _others(results: Results) -> str:
    most = 16 if 16 in results.viewers else results.viewers[-1]
    srtp = results.profiles[0]
    idle = {one["sender"]: one for one in results.document["idle"]}
    names = ("rss_mb", "first_keyframe_ms_median", "first_keyframe_ms_p95", "fps", "lost")
    rows = []
    for sender in results.senders:
        figures = [results.figure(name, sender, most, srtp) for name in names]
        alone = idle.get(sender)
        resting = [f"{alone['rss_mb']:.0f}", f"{alone['cpu_s_per_minute']:.2f}"] if alone else ["-", "-"]
        rows.append([sender, *resting, *("-" if value is None else f"{value:.4g}" for value in figures)])
    head = ["sender", "idle: RSS MB", "CPU-s a minute", f"N={most}: RSS MB"]
    return _markdown([*head, "first keyframe ms", "95 %", "lowest fps", "packets lost"], rows)


def plot(results: Results) -> str:
    """Draw the cost over the number of viewers."""
    panels = []
    for srtp in results.profiles:
        lines = {}
        for sender in results.senders:
            costs = [(viewers, results.cpu(sender, viewers, srtp)) for viewers in results.viewers]
            if line := [(float(viewers), cost) for viewers, cost in costs if cost]:
                lines[sender] = line
        panels.append(Panel(title=_PROFILES[srtp], across="viewers", up=_UP, lines=lines))
    return draw(panels)


def growth(document: dict[str, Any]) -> tuple[str, str]:
    """Give the table of a run of `benchmarks.growth`, and its plot."""
    names = {
        "viewers": "viewers",
        "cores": "agent, cores",
        "receiver_cores": "receiver, cores",
        "idle_cores": "idle, cores",
        "rss_mb": "RSS MB",
        "fps": "lowest fps",
        "late": "viewers below 29.9",
        "lost": "packets lost",
    }
    rows = [[f"{step[name]:g}" for name in names] for step in document["steps"]]
    lines = {
        "camward": [(step["viewers"], step["cores"]) for step in document["steps"]],
        "receiver": [(step["viewers"], step["receiver_cores"]) for step in document["steps"]],
    }
    text = f"What broke, {_PROFILES[document['srtp']]}: {document['broke']}.\n\n" + _markdown(
        list(names.values()), rows
    )
    return text, draw([Panel(title="Growth", across="viewers", up="cores", lines=lines)])


def _markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _read(name: str) -> dict[str, Any] | None:
    path = _HERE / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _joins(document: dict[str, Any]) -> str:
    cost = ", ".join(f"{name} {value:g}" for name, value in document["cpu_ms_of_a_join"].items())
    return (
        f"Call to first keyframe, 16 viewers at random times, {document['joins']} joins of camward:"
        f" median {document['first_keyframe_ms_median']:.0f} ms,"
        f" 95 % within {document['first_keyframe_ms_p95']:.0f} ms.\nCPU milliseconds of coming and going: {cost}."
    )


def _churn(document: dict[str, Any]) -> str:
    memory = ", ".join(f"{value:g} after {gone}" for gone, value in document["rss_mb_after_viewers"].items())
    return (
        f"RSS of camward in MB when viewers have come and gone: {memory}.\n"
        f"Idle, camera asleep: {document['idle_cpu_s_per_minute']:.3f} CPU-s a minute."
    )


def main() -> None:
    """Write the tables between the page's marks, and the plots beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=_HERE / "results.json")
    parser.add_argument("--page", type=Path, default=_DOCS / "benchmarks.md")
    arguments = parser.parse_args()
    images = arguments.page.parent / "images"
    images.mkdir(exist_ok=True)
    document = json.loads(arguments.results.read_text())
    (images / "benchmarks.svg").write_text(plot(Results(document)))
    parts = ["![CPU over viewers](images/benchmarks.svg)", table(document).rstrip()]
    if grown := _read("growth"):
        text, drawing = growth(grown)
        (images / "growth.svg").write_text(drawing)
        parts += ["### Growth", text, "![CPU as viewers join](images/growth.svg)"]
    if joined := _read("join"):
        parts += ["### Joining", _joins(joined)]
    if churned := _read("churn"):
        parts += ["### Coming and going", _churn(churned)]
    before, _, rest = arguments.page.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    arguments.page.write_text(f"{before}{_BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{_END}{after}")


if __name__ == "__main__":
    main()
