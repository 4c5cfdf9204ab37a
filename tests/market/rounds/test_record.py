import numpy as np

from market.rounds.record import Record, tolerance_of

ONE = np.zeros(1, dtype=np.intp)


def test_answers_agree_near_them_and_inside_a_jump():
    record = Record(1)
    price, kw = np.array([0.2]), np.array([3.0])
    assert not record.agrees(price, kw, 1e-6).any()
    record.keep(ONE, price, kw)
    assert record.agrees(price + 1e-9, kw - 1e-7, 1e-6).all()
    assert not record.agrees(price + 1e-3, kw, 1e-6).any()
    assert not record.agrees(price, kw - 1.0, 1e-6).any()
    record.keep(ONE, price + 1e-11, kw - 2.0)
    # Between 1 and 3 kW the sender jumps at this price.
    assert record.agrees(price, kw - 1.0, 1e-6).all()
    assert not record.agrees(price, kw + 1.0, 1e-6).any()


def test_a_jump_agrees_only_where_its_price_was_the_last_one_asked():
    record = Record(1)
    price = np.array([0.2])
    record.keep(ONE, price, np.array([3.0]))
    record.keep(ONE, price + 1e-11, np.array([1.0]))
    record.keep(ONE, price + 0.1, np.array([0.0]))
    assert not record.agrees(price, np.array([2.0]), 1e-6).any()


def test_answers_to_prices_a_nano_dollar_apart_make_no_jump():
    # At thousands of kW that gap would leave a LAM more to gain than a certificate allows.
    record = Record(1)
    price = np.array([0.2])
    record.keep(ONE, price + 1e-9, np.array([1.0]))
    record.keep(ONE, price, np.array([3.0]))
    assert not record.agrees(price, np.array([2.0]), 1e-6).any()


def test_answers_to_prices_that_rounding_alone_tells_apart_make_a_jump():
    record = Record(1)
    price = np.array([0.2])
    record.keep(ONE, price + 1e-9, np.array([1.0]))
    record.keep(ONE, price, np.array([3.0]))
    assert record.agrees(price, np.array([2.0]), 1e-6, blur=1.1e-9).all()
    assert not record.agrees(price, np.array([4.0]), 1e-6, blur=1.1e-9).any()


def test_answers_on_both_sides_leave_nothing_else():
    record = Record(1)
    low_kw, high_kw, at = np.array([-5.0]), np.array([5.0]), np.array([0.2])

    def leaves_only(kw):
        return bool(record.leaves_only(at, np.array([kw]), low_kw, high_kw, 1e-6)[0])

    assert not leaves_only(5.0)
    record.keep(ONE, at - 0.1, np.array([3.0]))
    assert not leaves_only(3.0)
    record.keep(ONE, at + 0.1, np.array([3.0 - 5e-7]))
    assert leaves_only(3.0)
    assert not leaves_only(2.9)


def test_an_end_of_the_range_is_taken_beyond_the_price_at_which_it_was_answered():
    record = Record(2)
    low_kw, high_kw = np.array([-5.0, -5.0]), np.array([5.0, 5.0])
    record.keep(np.arange(2), np.array([0.3, 0.1]), np.array([5.0, -5.0]))
    cheaper, dearer = np.array([0.2, 0.05]), np.array([0.4, 0.2])
    ends = np.array([5.0, -5.0])
    assert record.leaves_only(cheaper, ends, low_kw, high_kw, 1e-6).tolist() == [True, False]
    assert record.leaves_only(dearer, ends, low_kw, high_kw, 1e-6).tolist() == [False, True]


def test_senders_agree_each_for_itself_and_are_forgotten_one_by_one():
    record = Record(2)
    price, kw = np.array([0.2, 0.3]), np.array([3.0, -1.0])
    record.keep(np.arange(2), price, kw)
    assert record.agrees(price, kw + np.array([0.0, 1.0]), 1e-6).tolist() == [True, False]
    record.forget(ONE)
    assert record.agrees(price, kw, 1e-6).tolist() == [False, True]


def test_small_senders_get_less_of_a_tolerance():
    part = tolerance_of(np.array([-5.0, -0.2, 0.0]), np.array([0.0, 0.1, 0.0]))
    assert part.tolist() == [1.0, 0.2, 0.0]
