"""What the benchmarks make of their records: medians, ratios and a plot."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from benchmarks.cell import percentile
from benchmarks.report import Results, growth, plot, table

SVG = "{http://www.w3.org/2000/svg}"


def record(sender: str, viewers: int, cpu: float, **more: Any) -> dict[str, Any]:
    figures = {
        "rss_mb": 50.0,
        "lost": 0,
        "fps": 30.0,
        "first_keyframe_ms_median": 100.0,
        "first_keyframe_ms_p95": 200.0,
    }
    return {
        "sender": sender,
        "viewers": viewers,
        "srtp": "cm",
        "cpu_s_per_viewer_minute": cpu,
        "repeat": 1,
        **figures,
        **more,
    }


def document(*records: dict[str, Any]) -> dict[str, Any]:
    machine = {"cpu": "a processor", "cores": 2, "kernel": "6", "load_before": 0.0}
    return {
        "at": "2026-01-01",
        "machine": machine,
        "versions": {},
        "compiled": True,
        "idle": [],
        "records": list(records),
    }


def test_a_figure_is_the_median_of_its_repeats() -> None:
    results = Results(document(record("pion", 4, 0.3), record("pion", 4, 0.9), record("pion", 4, 0.4)))

    assert results.cpu("pion", 4, "cm") == 0.4
    assert results.cpu("pion", 16, "cm") is None


def test_camward_is_compared_with_the_cheapest_peer_that_lost_nothing() -> None:
    results = Results(
        document(
            record("camward", 16, 0.2),
            record("aiortc", 16, 0.1),
            record("pion", 16, 0.8),
            record("libdatachannel", 16, 0.5),
            record("gstreamer", 16, 0.3, lost=7),
        )
    )

    assert results.ratio(16, "cm") == (0.4, "libdatachannel")
    assert results.ratio(16, "gcm") is None


def test_the_table_marks_what_was_not_delivered() -> None:
    text = table(document(record("camward", 1, 1.0), record("pion", 1, 1.25, fps=29.5)))

    assert "| camward | 1.000 |" in text
    assert "| pion | 1.250 † |" in text


def test_the_plot_has_a_line_a_sender_and_a_dot_a_cell() -> None:
    records = [record(sender, viewers, 1 / viewers) for sender in ("camward", "pion") for viewers in (1, 4, 16)]
    drawing = ElementTree.fromstring(plot(Results(document(*records))))  # noqa: S314  # our own

    assert len(drawing.findall(f".//{SVG}polyline")) == 2
    assert len(drawing.findall(f".//{SVG}circle")) == 6
    assert {"camward", "pion"} <= {text.text for text in drawing.findall(f".//{SVG}text")}


def test_growth_says_what_broke() -> None:
    step = {"viewers": 8, "cores": 0.5, "receiver_cores": 0.4, "idle_cores": 1.1, "rss_mb": 90.0}
    step |= {"fps": 29.0, "late": 2, "lost": 3}
    text, _ = growth({"srtp": "gcm", "broke": "with 8 viewers: the agent's thread is full", "steps": [step]})

    assert "AEAD_AES_128_GCM: with 8 viewers: the agent's thread is full." in text
    assert "| 8 | 0.5 | 0.4 | 1.1 | 90 | 29 | 2 | 3 |" in text


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.95) == 3.0
    assert percentile([float(value) for value in range(1, 101)], 0.95) == 95.0
