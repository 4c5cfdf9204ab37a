import re

import pytest

from cosim.report.convergence import cost_figure, price_figure, write_convergence
from cosim.results.errors import ResultsError
from market.rounds.trace import TraceRow
from tests.cosim.report.sunny_day import embedded


def rows(count, per_wam_round=3):
    return [
        TraceRow(n + 1, n // per_wam_round, 0.5**n, 0.1 * 0.5**n, 0.05 * 0.5**n, 0.2 * 0.5**n, 2.0 * 0.5**n)
        for n in range(count)
    ]


def test_the_page_holds_both_figures_and_needs_no_network(tmp_path):
    page = write_convergence(rows(9), tmp_path / "trace.html", "two <LAMs>: plain bids").read_text()
    assert "two &lt;LAMs&gt;: plain bids" in page
    assert "9 rounds of the members, over 3 of the WAM" in page
    data = embedded(page)
    assert set(data["figures"]) == set(re.findall(r'data-figure="(\w+)"', page)) == {"cost", "price"}
    assert not re.search(r'<(?:script|link)[^>]+(?:src|href)="http', page)


def test_errors_of_zero_stay_on_a_logarithmic_axis():
    exact = [TraceRow(1, 0, 0.0, 0.0, 0.0, 0.0, 0.0)]
    for figure in (cost_figure(exact), price_figure(exact)):
        assert all(value > 0 for trace in figure["data"] for value in trace["y"])


def test_lines_mark_new_prices_of_the_wam_where_they_tell_something():
    assert [shape["x0"] for shape in cost_figure(rows(9))["layout"]["shapes"]] == [3.5, 6.5]
    assert cost_figure(rows(9, per_wam_round=1))["layout"]["shapes"] == []
    assert cost_figure(rows(600))["layout"]["shapes"] == []


def test_a_page_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(ResultsError, match=r"trace\.html: .*; check the path"):
        write_convergence(rows(2), tmp_path / "no" / "trace.html", "nowhere")
