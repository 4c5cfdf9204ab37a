from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from cosim.importing.errors import ImportRefused
from cosim.importing.profiles import ProfileOptions, import_profiles, magnitudes, write_profiles

BERLIN = ZoneInfo("Europe/Berlin")
DAY = [0.5 + 0.1 * (k % 7) for k in range(96)]


def stamps(count, step_min=15, start="2024-06-21T00:00+02:00", form=None):
    first = datetime.fromisoformat(start)
    times = [first + timedelta(minutes=step_min * k) for k in range(count)]
    return [time.strftime(form) if form else time.isoformat(timespec="minutes") for time in times]


def imported(tmp_path, text, encoding="utf-8", name="lab.csv", **options):
    file = tmp_path / name
    file.write_bytes(text.encode(encoding))
    return import_profiles([file], ProfileOptions(**options))


def refused(tmp_path, text, **options):
    with pytest.raises(ImportRefused) as caught:
        imported(tmp_path, text, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def day_table(divider=",", decimal=".", time="time", form=None, value="load_kw.house", quote=""):
    cells = [f"{quote}{kw:.3f}{quote}".replace(".", decimal) for kw in DAY]
    rows = [f"{at}{divider}{cell}" for at, cell in zip(stamps(96, form=form), cells, strict=True)]
    return "\n".join([f"{time}{divider}{value}", *rows]) + "\n"


@pytest.mark.parametrize(
    ("table", "encoding", "notes"),
    [
        (day_table(), "utf-8-sig", []),
        (day_table(), "utf-16", ["text is UTF-16"]),
        (day_table(";", ","), "utf-8-sig", ["divided by a semicolon", "decimals are written with a comma"]),
        (day_table("\t"), "utf-8", ["divided by a tab"]),
        (day_table(quote='"', decimal=","), "utf-8", ["decimals are written with a comma"]),
        (day_table().replace("\n", "\r\n") + "\r\n,\r\n", "utf-8", ["empty lines left out: 2"]),
        (day_table().replace("\n", ",\n"), "utf-8", ["empty columns without a name left out: 1"]),
        ("Export of meter 7\n" + day_table(), "utf-8", ["lines above the header left out: 1"]),
    ],
)
def test_a_table_in_any_clothes_is_the_same_table(tmp_path, table, encoding, notes):
    found = imported(tmp_path, table, encoding)
    assert [each.name for each in found.series] == ["load_kw.house"]
    assert found.series[0].kw == pytest.approx(DAY)
    assert found.series[0].epoch_s[0] == datetime.fromisoformat("2024-06-21T00:00+02:00").timestamp()
    assert len(found.notes) == len(notes)
    for note, expected in zip(found.notes, notes, strict=True):
        assert note.startswith("lab.csv: ")
        assert expected in note


def test_local_times_need_a_zone_and_a_unit_is_asked_for(tmp_path):
    table = day_table(";", ",", "Zeit", "%d.%m.%Y %H:%M", "Last Bäcker")
    assert "'21.06.2024 00:00' has no UTC offset; say whose local time" in refused(tmp_path, table)
    assert "column Last Bäcker: the name tells no unit; say --unit" in refused(tmp_path, table, zone=BERLIN)
    found = imported(tmp_path, table, "cp1252", zone=BERLIN, unit="W")
    assert found.series[0].name == "load_kw.Last-Baecker"
    assert found.series[0].kw == pytest.approx(np.array(DAY) / 1000.0)
    assert any("not UTF-8" in note for note in found.notes)


def test_the_doubled_hour_is_told_apart_by_order_and_the_missing_one_left_out(tmp_path):
    autumn = [f"2024-10-27 {h:02d}:{m:02d}" for h in (0, 1, 2, 2, 3) for m in (0, 30)]
    text = "time,load_kw.a\n" + "\n".join(f"{at},{k}" for k, at in enumerate(autumn))
    found = imported(tmp_path, text, zone=BERLIN, step_min=30)
    assert np.diff(found.series[0].epoch_s).tolist() == [1800] * 9
    assert "2 rows stand twice, told apart by order" in found.notes[0]
    spring = [f"2024-03-31 {h:02d}:{m:02d}" for h in (0, 1, 2, 3) for m in (0, 30)]
    text = "time,load_kw.a\n" + "\n".join(f"{at},1" for at in spring)
    found = imported(tmp_path, text, zone=BERLIN, step_min=30)
    assert np.diff(found.series[0].epoch_s).tolist() == [1800] * 5
    assert "2 rows at times that the clock of Europe/Berlin leaves out" in found.notes[0]


def test_a_long_table_of_energy_becomes_power_in_the_asked_step(tmp_path):
    rows = [f"{who},{at},{kwh}" for who, kwh in (("mill-1", 0.25), ("Müller", 0.5)) for at in stamps(48, 30)]
    found = imported(tmp_path, "id,timestamp,kWh\n" + "\n".join(rows))
    assert [each.name for each in found.series] == ["load_kw.mill-1", "load_kw.Mueller"]
    assert found.series[0].kw.tolist() == [0.5] * 96
    assert found.series[1].kw.tolist() == [1.0] * 96
    assert "'Müller' is called Mueller" in found.notes


def test_smart_meters_of_london_are_read_as_published(tmp_path):
    rows = [
        f"MAC000002,Std,{at}.0000000, {0.1 * k:.3f}"
        for k, at in enumerate(stamps(6, 30, form="%Y-%m-%d %H:%M:%S"))
    ]
    text = "LCLid,stdorToU,DateTime,KWH/hh (per half hour) \n" + "\n".join(rows)
    found = imported(tmp_path, text, zone=ZoneInfo("Europe/London"), step_min=30)
    assert found.series[0].name == "load_kw.MAC000002"
    assert found.series[0].kw == pytest.approx(0.2 * np.arange(6))


def test_days_in_a_row_are_read_as_ausgrid_publishes_them(tmp_path):
    labels = [f"{m // 60 % 24}:{m % 60:02d}" for m in range(30, 24 * 60 + 30, 30)]
    header = "Customer,Generator Capacity,Postcode,Consumption Category,date," + ",".join(labels)
    days = [
        f"1,3.78,2076,{kind},{day}-Jul-2012," + ",".join([str(kwh)] * 48)
        for kind, kwh in (("GC", 0.25), ("GG", 0.1))
        for day in (1, 2)
    ]
    text = "Half-hourly data\n" + "\n".join([header, *days])
    found = imported(tmp_path, text, zone=ZoneInfo("Australia/Sydney"), step_min=30)
    assert [each.name for each in found.series] == ["load_kw.1-GC", "load_kw.1-GG"]
    assert found.series[0].kw.tolist() == [0.5] * 96
    assert (
        datetime.fromtimestamp(found.series[0].epoch_s[0], found.zone).isoformat()
        == "2012-07-01T00:00:00+10:00"
    )


def test_green_button_is_read(tmp_path):
    readings = "".join(
        f"<IntervalReading><timePeriod><duration>900</duration><start>{1718920800 + 900 * k}</start>"
        "</timePeriod>"
        f"<value>{125 * k}</value></IntervalReading>"
        for k in range(4)
    )
    text = (
        '<feed xmlns="http://www.w3.org/2005/Atom"><ReadingType xmlns="http://naesb.org/espi"><uom>72</uom>'
        "<powerOfTenMultiplier>0</powerOfTenMultiplier></ReadingType>"
        f'<IntervalBlock xmlns="http://naesb.org/espi">{readings}</IntervalBlock></feed>'
    )
    found = imported(tmp_path, text, name="home.xml")
    assert found.series[0].name == "load_kw.home"
    assert found.series[0].kw.tolist() == [0.0, 0.5, 1.0, 1.5]


def test_sheets_and_parquet_are_read_like_text(tmp_path):
    times = pd.date_range("2024-06-21", periods=4, freq="15min")
    frame = pd.DataFrame({"time": times, "load_kw.a": [1.0, 2.5, 3.0, 4.0]})
    frame.to_excel(tmp_path / "lab.xlsx", index=False)
    frame.assign(time=times.tz_localize(BERLIN)).to_parquet(tmp_path / "lab.parquet")
    for name in ("lab.xlsx", "lab.parquet"):
        found = import_profiles([tmp_path / name], ProfileOptions(zone=BERLIN))
        assert found.series[0].kw.tolist() == [1.0, 2.5, 3.0, 4.0]
        assert found.series[0].epoch_s[0] == datetime(2024, 6, 21, tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize("step_min", [5, 15, 30, 60])
def test_another_step_keeps_the_energy(tmp_path, step_min):
    found = imported(tmp_path, day_table(), step_min=step_min)
    assert found.series[0].kw.size == 24 * 60 // step_min
    assert found.series[0].kw.mean() == pytest.approx(np.mean(DAY))


def test_another_year_keeps_weekdays_and_the_clock(tmp_path):
    rows = [f"{at},{k}" for k, at in enumerate(stamps(96, start="2023-03-03T00:00", form="%Y-%m-%d %H:%M"))]
    found = imported(tmp_path, "time,load_kw.a\n" + "\n".join(rows), zone=BERLIN, year=2024)
    first = datetime.fromtimestamp(found.series[0].epoch_s[0], found.zone)
    assert first.isoformat() == "2024-03-01T00:00:00+01:00"
    assert first.weekday() == datetime(2023, 3, 3, tzinfo=BERLIN).weekday()


def test_a_missing_value_is_named_or_filled_in_when_asked(tmp_path):
    rows = [f"{at},{k}" for k, at in enumerate(stamps(8))]
    rows[0], rows[3] = rows[0][:-1], None
    text = "time,load_kw.a\n" + "\n".join(row for row in rows if row)
    assert "2 values are missing, the first for 2024-06-21T00:00+02:00; add them, or say --fill" in refused(
        tmp_path, text
    )
    found = imported(tmp_path, text, fill=True)
    assert found.series[0].kw.tolist() == [1, 1, 2, 3, 4, 5, 6, 7]
    assert "2 missing values filled in" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no table with a header and rows"),
        ("time,load_kw.a\n", "no table with a header and rows"),
        ("time,load_kw.a\n2024-06-21T00:00Z,1\n2024-06-21T00:15Z,x\n", "line 3: 'x' is no number"),
        ("time,load_kw.a\n2024-06-21T00:00Z,1\nlater,2\n", "'later' is no time that others here agree with"),
        ("time,load_kw.a\n2024-06-21T00:00Z,1\n2024-06-21T00:00Z,2\n", "stands on line 2 already; keep one"),
        (
            "time,load_kw.a\n2024-06-21T00:00Z,1\n2024-06-21T00:15Z,1,5\n",
            "line 3: 3 cells where the header has 2",
        ),
        (
            "time,load_kw.a\n2024-06-21T00:00Z,1\n2024-06-21T00:15Z,-2\n",
            "load_kw.a is -2 kW at 2024-06-21T00:15",
        ),
        (
            'time,load_kw.a\n2024-06-21T00:00Z,"1,500"\n2024-06-21T00:15Z,"2,000"\n',
            "may be a decimal or thousands",
        ),
        (
            "time,load_kw.a\n2024-06-21T00:00Z,1\n2024-06-21T00:07Z,1\n",
            "steps of 7 min, which do not fit into 15 min",
        ),
        ("time,load_kw.a\n2024-06-21T00:00Z,1\n", "one row tells no step"),
        ("when,load\n1,2\n3,4\n", "no column holds date and time; call it time"),
        ("time,load_kw.a,load_kw.a\n2024-06-21T00:00Z,1,1\n", "column load_kw.a: stands twice"),
        ("time,kWh\n03/04/2024 00:00,1\n", "may begin with the day or with the month"),
    ],
)
def test_what_cannot_be_understood_is_one_line(tmp_path, text, says):
    assert says in refused(tmp_path, text, zone=None)


def test_what_was_imported_is_what_a_run_reads(tmp_path):
    found = imported(tmp_path, day_table(";", ","))
    for name in ("own.csv", "own.parquet"):
        write_profiles(found, tmp_path / name)
        again = import_profiles([tmp_path / name], ProfileOptions())
        assert again.series[0].kw == pytest.approx(DAY)
        assert np.array_equal(again.series[0].epoch_s, found.series[0].epoch_s)
    assert (tmp_path / "own.csv").read_text().splitlines()[1] == "2024-06-21T00:00+02:00,0.5"


def test_watts_are_suspected_by_their_size(tmp_path):
    found = imported(tmp_path, day_table(value="load_kw.house").replace(",0.", ",0").replace(",1.", ",1"))
    assert "if that is too much by a thousand, the values are watts" in magnitudes(found.series)[0]
    assert "watts" not in magnitudes(imported(tmp_path, day_table()).series)[0]


def quarter_hours(name, *starts):
    """A table of a value each quarter of an hour after each of some starts."""
    rows = [f"{at},1" for start in starts for at in stamps(2, start=f"2024-06-21T{start}+02:00")]
    return f"time,{name}\n" + "\n".join(rows) + "\n"


def both(tmp_path, one, two):
    for name, text in (("one.csv", one), ("two.csv", two)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return import_profiles([tmp_path / "one.csv", tmp_path / "two.csv"], ProfileOptions())


def test_several_files_are_cut_to_the_time_that_all_have(tmp_path):
    found = both(tmp_path, quarter_hours("load_kw.a", "00:00", "00:30"), quarter_hours("pv_kw.a", "00:15"))
    assert [each.name for each in found.series] == ["load_kw.a", "pv_kw.a"]
    assert [each.kw.size for each in found.series] == [2, 2]
    assert "cut to the time that all have, from 2024-06-21T00:15+02:00" in found.notes


@pytest.mark.parametrize(
    ("one", "two", "says"),
    [
        (("load_kw.a", "00:00"), ("load_kw.a", "00:00"), "load_kw.a: stands in two files"),
        (("load_kw.a", "00:00"), ("load_kw.b", "02:00"), "the series share no time"),
        (("load_kw.a", "00:00"), ("load_kw.b", "00:05"), "begin at different minutes of a step"),
    ],
)
def test_files_that_do_not_go_together_are_refused(tmp_path, one, two, says):
    with pytest.raises(ImportRefused, match=says):
        both(tmp_path, quarter_hours(*one), quarter_hours(*two))


def test_rows_in_disorder_are_sorted_and_times_may_be_those_of_the_end(tmp_path):
    rows = [f"{at},{k}" for k, at in enumerate(stamps(4))]
    found = imported(tmp_path, "time,load_kw.a\n" + "\n".join(reversed(rows)), by_end=True)
    assert found.series[0].kw.tolist() == [0, 1, 2, 3]
    first = datetime.fromtimestamp(found.series[0].epoch_s[0], found.zone)
    assert first.isoformat() == "2024-06-20T23:45:00+02:00"
    assert any("rows were sorted by time" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<feed xmlns='http://naesb.org/espi'>", "is damaged"),
        ("<feed xmlns='http://naesb.org/espi'/>", "no interval readings"),
        (
            "<f xmlns='http://naesb.org/espi'><ReadingType><uom>169</uom></ReadingType></f>",
            "unit 169 is neither Wh",
        ),
    ],
)
def test_a_green_button_file_without_readings_is_one_line(tmp_path, text, says):
    with pytest.raises(ImportRefused, match=says):
        imported(tmp_path, text, name="home.xml")


def test_a_file_that_is_none_is_one_line(tmp_path):
    with pytest.raises(ImportRefused, match="no such file"):
        import_profiles([tmp_path / "none.csv"], ProfileOptions())
    for name in ("lab.xlsx", "lab.parquet"):
        with pytest.raises(ImportRefused, match="cannot be read"):
            imported(tmp_path, "no sheet", name=name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,time,kW,kWh\na,2024-06-21T00:00Z,1,2\n", "one column of values is needed beside id and time"),
        (
            "time,load_kw.a\n" + "".join(f"2024-06-21T00:{m:02d}Z,1\n" for m in (0, 15, 30, 46)),
            "off the steps of 15 min",
        ),
        ("time,load_kw.a\n2024-06-21T00:00Z,\n2024-06-21T00:15Z,\n", "no column of values"),
    ],
)
def test_what_tells_no_series_is_one_line(tmp_path, text, says):
    assert says in refused(tmp_path, text)
