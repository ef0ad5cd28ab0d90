import xml.etree.ElementTree as ET

import numpy as np
import pytest

from benchmarks.report.render.svg import inline, spread_labels, tidy

RAW = """<?xml version="1.0" encoding="utf-8" standalone="no"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="10pt" viewBox="0 0 10 5"
 xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata><RDF>http://elsewhere</RDF></metadata>
 <defs><style type="text/css">*{stroke-linejoin: round}</style></defs>
 <g id="figure_1"><defs><path id="m1" d="M 0.123456 -0.000012"/></defs>
 <use xlink:href="#m1" clip-path="url(#p1)"/><clipPath id="p1"/></g>
</svg>
"""


def test_tidy_keeps_only_ids_that_are_used_and_makes_them_its_own():
    svg = tidy(RAW, "plot-a", "A < B")
    root = ET.fromstring(svg)
    ids = {e.get("id") for e in root.iter() if e.get("id")}
    assert ids == {"plot-a-m1", "plot-a-p1"}
    assert 'href="#plot-a-m1"' in svg
    assert "url(#plot-a-p1)" in svg
    assert root[0].text == "A < B"


def test_tidy_fills_the_width_and_reaches_nowhere():
    svg = tidy(RAW, "plot-a", "A")
    root = ET.fromstring(svg)
    assert root.get("viewBox") == "0 0 10 5"
    assert root.get("width") == "100%"
    assert root.get("height") is None
    assert svg.count("http") == 1  # the name space of a file of its own
    assert "http" not in inline(svg)
    assert "<style" not in svg


def test_tidy_rounds_long_numbers():
    assert 'd="M 0.12 -0"' in tidy(RAW, "a", "A")


@pytest.mark.parametrize("seed", range(20))
def test_labels_do_not_overlap_keep_their_order_and_stay_inside(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 12))
    wanted = random.uniform(0, 100, count).tolist()
    heights = random.uniform(2, 8, count).tolist()
    centres = np.array(spread_labels(wanted, heights, 0, 100))
    order = np.argsort(wanted, kind="stable")
    gaps = (
        np.diff(centres[order]) - (np.array(heights)[order][1:] + np.array(heights)[order][:-1]) / 2
    )
    assert (gaps > -1e-9).all()
    assert (centres - np.array(heights) / 2).min() > -1e-9
    assert (centres + np.array(heights) / 2).max() < 100 + 1e-9


def test_labels_with_room_stay_where_they_are_wanted():
    assert spread_labels([80.0, 20.0, 50.0], [10.0] * 3, 0, 100) == [80.0, 20.0, 50.0]


def test_labels_that_want_one_place_are_stacked_around_it():
    assert spread_labels([50.0, 50.0], [10.0, 10.0], 0, 100) == [45.0, 55.0]
