import numpy as np
import pytest

from napari_periodic_denoise import Progress
from napari_periodic_denoise.noise.progress import Stage, Step


def test_progress_compares_by_its_words():
    preview = np.zeros((2, 2))
    assert Progress("fit", 1, 2, "a", preview) == Progress("fit", 1, 2, "a", preview + 1)


def test_progress_does_not_compare_the_way_to_the_cleaned_image():
    assert Progress("fit", 1, 2, "a", cleaned=lambda: None) == Progress("fit", 1, 2, "a")
    assert Progress("fit", 1, 2, "a") != Progress("fit", 2, 2, "a")


def test_stages_are_strings_in_the_order_of_a_run():
    assert list(Stage) == ["read", "detect", "fit", "subtract"]
    with pytest.raises(ValueError, match="guess"):
        Stage("guess")


def test_a_step_has_no_pictures_by_default():
    assert Step(Stage.FIT, "a") == (Stage.FIT, "a", None, None)
