import base64
import xml.etree.ElementTree as ET

import matplotlib
import pytest

from ptp.report.charts import Chart, counts, distribution, latency_overview
from ptp.results import Measurement

FAST = Measurement("fast", "ms", tuple(1 + i / 100 for i in range(300)))
SLOW = Measurement("slow", "ms", tuple(40 + i / 10 for i in range(300)))
LIMITS = {"fast": 50.0, "slow": 50.0}


def all_charts() -> list[Chart]:
    return [
        latency_overview([FAST, SLOW], limits=LIMITS),
        distribution(SLOW, limit=50.0),
        counts({"a": 1_000_000, "b": 0}, what="rows"),
    ]


def test_the_alternative_text_is_made_from_the_data():
    overview, spread, bars = (chart.alt for chart in all_charts())
    assert overview.startswith("2 measurements in ms. slow: p50 54.9, p95 68.4")
    assert (
        "slow: p50 54.9, p95 68.4, p99 69.6\N{NO-BREAK SPACE}ms, over the limit 50\N{NO-BREAK SPACE}ms; fast"
        in overview
    )
    assert "Distribution of 300 samples of slow: 40 to 69.9\N{NO-BREAK SPACE}ms, p95 68.4, bounds 67.8 to 69" in spread
    assert bars == "rows, 2 names. a: 1,000,000; b: 0."


def test_the_same_results_give_the_same_bytes_whatever_the_settings_of_matplotlib():
    first = [chart.svg for chart in all_charts()]
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}):
        assert [chart.svg for chart in all_charts()] == first
        assert matplotlib.rcParams["font.size"] == 30


def test_charts_are_small_well_formed_and_name_no_address_but_their_namespace():
    for chart in all_charts():
        ET.fromstring(chart.svg)
        assert len(chart.svg) < 25_000
        assert chart.svg.replace('xmlns="http://www.w3.org/2000/svg"', "").find("//") == -1
        assert "#00fe0" not in chart.svg and "prefers-color-scheme:dark" in chart.svg


def test_a_notebook_shows_an_image_with_its_text_and_no_svg_in_the_plain_form():
    chart = counts({'<a "quoted">': 3}, what="rows")
    shown = chart._repr_html_()
    assert 'alt="rows, 1 name. &lt;a &quot;quoted&quot;&gt;: 3."' in shown
    assert base64.b64decode(shown.split("base64,")[1].split('"')[0]).decode() == chart.svg
    assert "svg" not in repr(chart)


@pytest.mark.parametrize("name", ["$x_1$ & <b>", "漢字 🙂", "NUL \x00 \u202e", "x" * 1_000_000, "\ud800", ""])
def test_any_name_can_be_drawn(name: str):
    measurement = Measurement(name, name, (1.0, 2.0, 3.0))
    for chart in (latency_overview([measurement]), distribution(measurement), counts({name: 2}, what=name)):
        ET.fromstring(chart.svg.encode())
        assert len(chart.alt) < 5_000


def test_samples_of_zero_and_samples_all_alike_can_be_drawn():
    for samples in ((0.0, 0.0), (5.0,), (0.0, 3.0, 1e9), (-1.0, 1.0)):
        chart = distribution(Measurement("m", "rows", samples), limit=0.0)
        ET.fromstring(chart.svg)
        ET.fromstring(latency_overview([Measurement("m", "rows", samples)]).svg)


def test_rows_over_the_most_are_counted_in_the_text():
    many = [Measurement(f"q{i}", "ms", (1.0 + i,)) for i in range(45)]
    assert latency_overview(many).alt.endswith("; and 5 more, not drawn.")


def test_nothing_measured_and_mixed_units_are_refused():
    with pytest.raises(ValueError, match="none"):
        latency_overview([Measurement("m", "ms", ())])
    with pytest.raises(ValueError, match=r"\['ms', 'rows'\]"):
        latency_overview([FAST, Measurement("m", "rows", (1.0,))])
    with pytest.raises(ValueError, match="no values"):
        counts({}, what="rows")
