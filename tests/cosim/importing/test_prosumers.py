import pytest

from cosim.importing.errors import ImportRefused
from cosim.importing.prosumers import import_prosumers, write_prosumers


def imported(tmp_path, text, encoding="utf-8"):
    file = tmp_path / "people.csv"
    file.write_bytes(text.encode(encoding))
    return import_prosumers(file)


def test_decimal_commas_and_semicolons_are_understood(tmp_path):
    found = imported(
        tmp_path, "id;bus;annual_kwh;pv_kwp\nmill-1;mill;3200;5,2\nmill-2;mill;2400;0.3\n", "utf-8-sig"
    )
    assert found.columns == ["id", "bus", "annual_kwh", "pv_kwp"]
    assert found.rows == [["mill-1", "mill", "3200", "5.2"], ["mill-2", "mill", "2400", "0.3"]]


def test_an_id_is_safe_and_the_name_stays(tmp_path):
    found = imported(tmp_path, "id,bus,annual_kwh\nBäckerei Müller,mill,1\nß,mill,2\n")
    assert [row[:2] for row in found.rows] == [["Baeckerei-Mueller", "Bäckerei Müller"], ["ss", "ß"]]
    write_prosumers(found, tmp_path / "own.csv")
    assert (
        (tmp_path / "own.csv")
        .read_text(encoding="utf-8")
        .startswith("id,name,bus,annual_kwh\nBaeckerei-Mueller,")
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,bus,anual_kwh\na,b,1\n", "column anual_kwh: unknown column; did you mean 'annual_kwh'?"),
        ("bus,annual_kwh\nb,1\n", "no column id"),
        ("id,bus,annual_kwh\na,b,1\na,b,2\n", "people.csv, column id, line 3: the id a stands twice"),
        ("id,bus,annual_kwh\nä,b,1\nae,b,2\n", "line 3: the id ae stands twice"),
        ("id,bus,annual_kwh\na,b,\n", "column annual_kwh, line 2: the cell is empty"),
        ("id,bus,annual_kwh\na,b,much\n", "column annual_kwh, line 2: 'much' is no number"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, text, says):
    with pytest.raises(ImportRefused) as caught:
        imported(tmp_path, text)
    assert says in str(caught.value)
