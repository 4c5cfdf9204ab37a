import msgspec
import numpy as np
import pytest

from broker.snapshot import array_of, optional_array, pack, part, typed, unpack

ARRAYS = {
    "charge": np.array([0.1, np.nan, -0.0]),
    "count": np.arange(6, dtype=np.int64).reshape(2, 3),
    "words": np.array([65535], dtype=np.uint16),
    "on": np.array([True, False]),
    "none": np.zeros(0),
}

IMAGE = np.random.default_rng(1).integers(0, 3, (500, 100), dtype=np.int64)
LARGE = pack({"image": IMAGE})


def test_large_ones_are_compressed_and_keep_their_bits():
    assert len(LARGE) < IMAGE.nbytes / 4
    assert unpack(LARGE)["image"].tobytes() == IMAGE.tobytes()


def test_figures_that_hardly_shrink_are_not_compressed():
    figures = np.random.default_rng(2).uniform(0.0, 5.0, 20_000)
    packed = pack({"figures": figures})
    assert figures.tobytes() in packed
    assert unpack(packed)["figures"].tobytes() == figures.tobytes()


def test_arrays_keep_their_bits_and_may_be_written_to():
    again = unpack(pack({**ARRAYS, "part": {"price": np.float64(0.25), "names": ["a", "b"]}}))
    for name, array in ARRAYS.items():
        assert again[name].dtype == array.dtype
        assert again[name].shape == array.shape
        assert again[name].tobytes() == array.tobytes()
    again["charge"][0] = 2.0
    assert part(again, "part") == {"price": 0.25, "names": ["a", "b"]}


def test_what_is_not_there_or_of_another_shape_is_refused_by_name():
    values = {"a": np.zeros(3), "b": None, "n": 4}
    assert array_of(values, "a", np.zeros(3)).tolist() == [0.0] * 3
    assert optional_array(values, "b", np.zeros(3)) is None
    assert typed(values, "n", float) == 4.0
    for wrong in (np.zeros(4), np.zeros(3, dtype=np.int64)):
        with pytest.raises(ValueError, match="the snapshot has no a of shape"):
            array_of(values, "a", wrong)
    with pytest.raises(ValueError, match="the snapshot has no c of shape"):
        optional_array(values, "c", np.zeros(3))
    with pytest.raises(ValueError, match="the snapshot has no n"):
        part(values, "n")
    with pytest.raises(ValueError, match="b in the snapshot"):
        typed(values, "b", float)


@pytest.mark.parametrize("value", [object(), np.array(["text"]), np.zeros(2, dtype=np.complex128)])
def test_nothing_else_is_held(value):
    with pytest.raises(NotImplementedError, match="a snapshot cannot hold"):
        pack({"a": value})


def extension(code, dtype, shape, content):
    body = msgspec.msgpack.encode([dtype, shape, content])
    return msgspec.msgpack.encode({"a": msgspec.msgpack.Ext(code, body)})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xc1", "a snapshot cannot be read"),
        (pack({"a": ARRAYS["charge"]})[:-1], "a snapshot cannot be read"),
        (extension(7, "<f8", [1], bytes(8)), "unknown kind 7"),
        (extension(1, "|O8", [1], bytes(8)), "an array of"),
        (extension(1, "<f8", [-1], bytes(8)), "an array of"),
        (extension(1, "<f8", [2], bytes(8)), "is cut off"),
        (LARGE[:-9], "a snapshot cannot be read"),
        (LARGE[:2] + b"\xff" + LARGE[3:], "a snapshot cannot be read"),
        (b"\x78", "a snapshot cannot be read"),
    ],
)
def test_bytes_of_something_else_are_refused(content, says):
    with pytest.raises(ValueError, match=says):
        unpack(content)
