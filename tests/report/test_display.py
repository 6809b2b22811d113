import math

from ptp.evidence import Stage
from ptp.report.display import FINDING_COLUMNS, findings_frame, measurements_frame, samples_frame
from ptp.results import Finding, Measurement

STAGE = Stage(
    "s",
    "S",
    1.0,
    (
        Finding("a", "A holds", "fail", "data", 3, "rows", 0, where=("t, 1", "t, 2")),
        Finding("b", "B holds", "pass"),
        Measurement("q", "ms", tuple(float(i) for i in range(1, 301))),
        Measurement("few", "ms", (1.0, 2.0)),
        Measurement("none", "ms", ()),
    ),
)


def test_findings_are_a_frame_to_filter():
    frame = findings_frame(STAGE)
    assert tuple(frame.columns) == FINDING_COLUMNS
    assert frame[frame.verdict == "fail"]["where"].tolist() == ["t, 1; t, 2"]
    assert findings_frame([]).empty


def test_measurements_are_a_frame_with_bounds():
    frame = measurements_frame(STAGE).set_index("what")
    assert frame.loc["q", ["n", "p50", "p95", "p99", "most"]].tolist() == [300, 150, 285, 297, 300]
    assert frame.loc["q", "p95_low"] < 285 < frame.loc["q", "p95_high"]
    assert frame.loc["few", "p95_high"] == math.inf
    assert frame.loc["none", "n"] == 0


def test_raw_samples_are_a_frame_in_the_order_of_measuring():
    frame = samples_frame(STAGE)
    assert len(frame) == 302
    assert frame.iloc[2].tolist() == ["q", "ms", 2, 3.0]
