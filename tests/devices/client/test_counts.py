from devices.counts import Counts


def test_counts_add_up():
    total = Counts(1, 2, {"DeviceTimeout": 1})
    total.add(Counts(3, 4, {"DeviceTimeout": 2, "DeviceBusy": 1}))
    assert total == Counts(4, 6, {"DeviceTimeout": 3, "DeviceBusy": 1})
