from devices.registers.sunspec import END, sunspec_layout


def test_layout_places_models_one_after_another():
    layout = sunspec_layout((1, 103))
    assert layout.points["103.W"].at == 2 + 68 + 14
    assert layout.points["103.W"].sf == "103.W_SF"
    assert layout.fixed[2 + 68] == 103
    assert layout.fixed[2 + 68 + 52] == END
    assert layout.length == 2 + 68 + 52 + 2
