import math
import re

from ptp.report.pictures import bar, histogram, interval


def test_an_interval_shows_bounds_value_and_limit_in_their_order():
    picture = interval(value=20.0, low=10.0, high=30.0, limit=40.0)
    bounds = re.search(r'class="range" x="([\d.]+)" y="5.5" width="([\d.]+)"', picture)
    value, limit = re.search(r'cx="([\d.]+)"', picture), re.search(r'class="limit" d="M([\d.]+)', picture)
    assert bounds and value and limit
    left, width = float(bounds[1]), float(bounds[2])
    assert 0 < left < float(value[1]) < left + width < float(limit[1]) < 132
    assert 'role="img" aria-label="20, at least 10 and at most 30; limit 40"' in picture


def test_an_open_bound_runs_to_the_edge():
    for high in (None, math.inf):
        assert re.search(r'x="4.0" y="5.5" width="128.0"', interval(value=1.0, low=0.0, high=high, limit=2.0))


def test_without_bounds_there_is_no_picture():
    assert interval(value=1.0, low=None, high=None, limit=2.0) == ""
    assert interval(value=0.0, low=0.0, high=0.0, limit=None) == ""


def test_a_histogram_has_a_bar_for_each_bin_with_samples_and_the_limit():
    picture = histogram([1.0, 1.0, 10.0], low=1.0, high=100.0, limit=100.0)
    assert picture.count("17v-") == 2
    assert "17v-16.0" in picture and "17v-8.0" in picture
    assert 'class="limit" d="M131.0' in picture


def test_a_histogram_of_zeros_is_drawn_on_a_linear_scale():
    assert histogram([0.0, 0.0], low=0.0, high=0.0, limit=None).count("17v-16.0") == 1


def test_bars_that_follow_each_other_do_not_overlap_and_stay_inside() -> None:
    places = [re.search(r'x="([\d.]+)" y="4" width="([\d.]+)"', bar(start, 0.25)) for start in (0.0, 0.25, 0.75, 1.0)]
    ends = [(float(found[1]), float(found[1]) + float(found[2])) for found in places if found]
    assert ends[0][1] == ends[1][0] == 33.0 and ends[2] == (99.0, 132.0) and ends[3][1] == 132.0
