import json
from dataclasses import replace

import pytest

from napari_periodic_denoise import __version__
from napari_periodic_denoise.records.record import record
from records import KINDS, PLAIN, estimate_of


def test_a_record_says_why_and_by_what():
    estimate = estimate_of(remainder="stripes", share=0.1)
    found = record(estimate)
    assert found["version"] == __version__
    assert found["settings"] == estimate.settings
    assert (found["removed_variance"], found["remainder_variance"]) == (0.5, 0.1)
    assert found["summary"] == estimate.summary
    assert found["warnings"] == list(estimate.warnings)
    assert found["rejected"] == [
        {
            "frequency": [0.2, 0.3],
            "false_alarms": 1e-4,
            "cause": "few parts",
            "measured": 0.0,
            "required": 0.0,
            "reason": "only a few parts of the image show it",
        }
    ]


@pytest.mark.parametrize(("wave", "family", "height"), KINDS, ids=[kind for _, kind, _ in KINDS])
def test_every_kind_of_wave_is_json(wave, family, height):
    found = record(estimate_of(wave))
    assert json.loads(json.dumps(found)) == found
    (values,) = found["waves"]
    assert values.items() >= {**wave.to_dict(), "reason": wave.reason}.items()
    assert values["family"] == [family]


def test_waves_that_are_off_are_apart_and_share_the_places():
    near = replace(PLAIN, frequency=(0.0, 0.1 + 0.5 / 300), channel=1)
    far = replace(PLAIN, frequency=(0.0, 0.1 + 1.3 / 300), channel=1)
    found = record(estimate_of(PLAIN, shape=(200, 300, 3), off=[near, far]))
    assert len(found["waves"]) == 1
    assert [wave["place"] for wave in found["waves"] + found["off"]] == [0, 0, 2]
