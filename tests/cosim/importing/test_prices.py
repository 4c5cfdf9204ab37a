from datetime import date
from zoneinfo import ZoneInfo

import pytest

from cosim.importing.errors import ImportRefused
from cosim.importing.prices import import_prices

BERLIN = ZoneInfo("Europe/Berlin")


def entsoe(points, curve="A03", resolution="PT60M", end="2024-06-21T22:00Z"):
    cells = "".join(
        f"<Point><position>{k}</position><price.amount>{price}</price.amount></Point>"
        for k, price in points.items()
    )
    return (
        '<Publication_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3">'
        "<TimeSeries>"
        f"<price_Measure_Unit.name>MWH</price_Measure_Unit.name><curveType>{curve}</curveType>"
        "<Period><timeInterval>"
        f"<start>2024-06-20T22:00Z</start><end>{end}</end></timeInterval><resolution>{resolution}</resolution>"
        f"{cells}</Period></TimeSeries></Publication_MarketDocument>"
    )


def written(tmp_path, text, name):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_positions_left_out_of_an_a03_curve_repeat_the_price_before(tmp_path):
    file = written(tmp_path, entsoe({1: 80.0, 3: 50.0, 24: 100.0}), "day.xml")
    found = import_prices(file, BERLIN)
    assert found.by_hour == pytest.approx([0.08, 0.08, *[0.05] * 21, 0.1])
    assert "21 positions left out repeat the price before" in found.notes[0]


def test_quarters_of_an_hour_are_averaged(tmp_path):
    points = {k: float(k % 4) for k in range(1, 97)}
    found = import_prices(written(tmp_path, entsoe(points, "A01", "PT15M"), "day.xml"), BERLIN)
    assert found.by_hour == pytest.approx([0.0015] * 24)


def test_a_table_of_prices_is_read_by_local_hour(tmp_path):
    rows = [f"2024-06-{day}T{hour:02d}:00+02:00,{hour + day}" for day in (21, 22) for hour in range(24)]
    file = written(tmp_path, "time,Price [EUR/MWh]\n" + "\n".join(rows), "prices.csv")
    found = import_prices(file, BERLIN)
    assert found.days == 2
    assert found.by_hour == pytest.approx([(hour + 21.5) / 1000 for hour in range(24)])
    assert import_prices(file, BERLIN, date(2024, 6, 22)).by_hour[0] == pytest.approx(0.022)
    with pytest.raises(ImportRefused, match="no prices on 2024-06-30"):
        import_prices(file, BERLIN, date(2024, 6, 30))


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        (entsoe({1: 1.0, 3: 2.0}, "A01"), "d.xml", "position 2 is missing"),
        (entsoe({1: 1.0}, resolution="P1D"), "d.xml", "a resolution of 'P1D'"),
        ("<a>", "d.xml", "cannot be read"),
        ("<a/>", "d.xml", "no prices in it"),
        ("time,price\n2024-06-21T00:00Z,1\n", "d.csv", "the name tells no unit; add per kWh or per MWh"),
        ("time,a\n2024-06-21T00:00Z,1\n", "d.csv", "one column of prices is needed"),
        ("time,price per kWh\n2024-06-21T00:00Z,1\n", "d.csv", "no price for"),
    ],
)
def test_what_holds_no_prices_is_one_line(tmp_path, text, name, says):
    with pytest.raises(ImportRefused) as caught:
        import_prices(written(tmp_path, text, name), BERLIN)
    assert says in str(caught.value)
