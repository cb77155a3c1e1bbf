"""Images of every kind that arrays come in: a result, or an error that says why; never a crash.

``FUZZ_CASES`` in the environment is how many are tried, 700 unless told; others each time
with another ``--hypothesis-seed``.
"""

import json
import os
import warnings

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from napari_periodic_denoise import NoiseEstimate, estimate_noise, select_waves
from napari_periodic_denoise.records.record import record

CASES = int(os.environ.get("FUZZ_CASES", "700"))

INTEGERS = [f"{order}{kind}{size}" for kind in "iu" for size in (2, 4, 8) for order in "<>"]
DTYPES = ["i1", "u1", *INTEGERS, "<f2", "<f4", ">f4", "<f8", ">f8", "g"]
DTYPES += ["?", "<c8", "O", "<M8[s]", "U9"]
KINDS = [
    "noise", "constant", "checkerboard", "wave", "saturated", "two levels", "spike", "ramp",
    "nan", "inf", "tiny", "faint", "huge", "greatest", "top", "stripes", "half constant",
    "clipped", "specimen",
]  # fmt: skip
LAYOUTS = ["plain", "fortran", "reversed", "strided", "read-only", "mapped", "transposed"]
LAYOUTS += ["broadcast", "masked"]

FREQUENCIES = st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
AREAS = ["mask", "labels", "rectangles", "all but little"]


def content(kind: str, h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """Intensities from about 0 to 1, unless that is the point."""
    y, x = np.mgrid[:h, :w]
    wave = 0.5 + 0.4 * np.cos(2 * np.pi * (rng.uniform(-0.5, 0.5) * y + rng.uniform(0, 0.5) * x))
    image = {
        "constant": np.full((h, w), rng.uniform()),
        "checkerboard": (y + x) % 2.0,
        "wave": wave,
        "saturated": np.ones((h, w)),
        "two levels": (wave > 0.5).astype(float),
        "spike": np.where((y == h // 2) & (x == w // 2), 1.0, 0.0),
        "ramp": (y + x) / (h + w),
        "tiny": wave * 1e-310,
        "faint": wave * 1e-40,
        "huge": wave * 1e30,
        "greatest": (wave - 0.5) * 2e38,
        "top": 1 - wave * 1e-9,
        "clipped": np.clip(2 * wave - 0.5, 0, 1),
        "specimen": 0.4 * (np.hypot(y - h / 2, x - w / 2) < h / 3) + 0.3 * wave,
        "stripes": ((x // rng.integers(1, 9)) % 2).astype(float),
        "half constant": np.where(y < h / 2, 0.3, wave),
    }.get(kind)
    if image is None:
        image = rng.uniform(size=(h, w))
        bad = {"nan": np.nan, "inf": -np.inf}.get(kind)
        if bad is not None:
            image[rng.integers(h), rng.integers(w)] = bad
    return image


def as_dtype(image: np.ndarray, dtype: str) -> np.ndarray:
    """The intensities over the whole range of a type, where it has one."""
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        share = np.clip(np.nan_to_num(image), 0, 1)
        span = float(limits.max) - float(limits.min)
        levels = np.clip(share * span + float(limits.min), float(limits.min), float(limits.max))
        top = levels >= float(limits.max)
        whole = np.where(top, 0, levels).astype(kind)
        whole[top] = limits.max
        return whole
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind.kind == "M":
            return (np.nan_to_num(image) * 1e6).astype("i8").astype(kind)
        return image.astype(kind)


def laid_out(image: np.ndarray, layout: str, folder: str) -> np.ndarray:
    """The same image in another layout of memory."""
    if layout == "fortran":
        return np.asfortranarray(image)
    if layout == "reversed":
        return image[::-1, ::-1].copy()[::-1, ::-1]
    if layout == "strided":
        wide = np.zeros((2 * image.shape[0], 3 * image.shape[1], *image.shape[2:]), image.dtype)
        wide[::2, ::3] = image
        return wide[::2, ::3]
    if layout == "read-only":
        image = image.copy()
        image.flags.writeable = False
        return image
    if layout == "mapped" and not image.dtype.hasobject:
        mapped = np.memmap(f"{folder}/image", image.dtype, "w+", shape=image.shape)
        mapped[...] = image
        return mapped
    if layout == "transposed":
        return np.ascontiguousarray(image.T).T
    if layout == "broadcast":  # all rows are one
        return np.broadcast_to(image[:1], image.shape)
    if layout == "masked":
        return np.ma.masked_array(image, np.arange(image.size).reshape(image.shape) % 5 == 0)
    return image


def protected_area(area: str, h: int, w: int, rng: np.random.Generator) -> object:
    """About a third of an image, or nearly all, in the ways that an area can be given."""
    y0, x0 = rng.integers(h), rng.integers(w)
    y1, x1 = rng.integers(y0, h) + 1, rng.integers(x0, w) + 1
    if area == "rectangles":
        return [(y0, x0, y1, x1), (0, 0, 1, w)]
    mask = np.zeros((h, w), dtype=bool)
    mask[y0:y1, x0:x1] = True
    if area == "mask":
        return mask | (rng.uniform(size=mask.shape) < 0.1)
    return mask.astype(np.uint16) * 7 if area == "labels" else ~mask


def protected_mask(protect: object, h: int, w: int) -> np.ndarray:
    """Return the pixels of an area, however it was given."""
    if isinstance(protect, np.ndarray):
        return protect != 0
    mask = np.zeros((h, w), dtype=bool)
    for y0, x0, y1, x1 in protect:
        mask[y0:y1, x0:x1] = True
    return mask


def exactly(image: np.ndarray) -> object:
    """All that an array holds, to be compared."""
    pixels = np.asarray(image)  # without a mask
    return repr(pixels.tolist()) if pixels.dtype.hasobject else pixels.tobytes()


def check(estimate: NoiseEstimate, image: np.ndarray) -> None:
    """An estimate is finite in all that it tells, and exact where nothing was found."""
    assert estimate.noise.shape == estimate.cleaned.shape == image.shape
    assert estimate.noise.dtype == np.float32
    assert estimate.cleaned.dtype == image.dtype
    assert np.isfinite(estimate.noise).all()
    finite = np.isfinite(image.astype(float))
    np.testing.assert_array_equal(np.isfinite(estimate.cleaned.astype(float)), finite)
    assert not estimate.noise[~finite].any()
    assert estimate.not_finite == np.count_nonzero(~finite)
    assert 0 <= estimate.removed_variance <= 1
    assert estimate.summary
    json.dumps(record(estimate), allow_nan=False)
    if estimate.components == estimate.suggested:
        assert not estimate.noise.any()
        np.testing.assert_array_equal(estimate.cleaned, image)


@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from(LAYOUTS),
    height=st.integers(1, 48),
    width=st.integers(1, 48),
    channels=st.sampled_from([0, 0, 0, 1, 2, 3]),
    area=st.sampled_from([None, None, None, *AREAS]),
    edge=st.none() | st.floats(0, 1e4),
    proposed=st.just([]) | st.lists(FREQUENCIES, max_size=3),
    seed=st.integers(0, 10**6),
)
@example("wave", "<u8", "plain", 40, 40, 0, None, None, [], 1)
@example("top", "<u8", "plain", 40, 40, 0, None, None, [], 1)
@example("huge", "<f8", "plain", 40, 40, 0, None, None, [], 1)
@example("tiny", "<f8", "plain", 40, 40, 0, None, None, [], 1)
@example("huge", "<f2", "plain", 40, 40, 0, None, None, [], 1)
@example("clipped", "<i8", "plain", 16, 16, 0, None, None, [], 2)
@example("clipped", "i1", "plain", 16, 16, 0, None, None, [(8e-41, 0.5)], 64)
def test_any_array_gives_a_result_or_says_why_not(
    tmp_path_factory, kind, dtype, layout, height, width, channels, area, edge, proposed, seed
):
    rng = np.random.default_rng(seed)
    image = as_dtype(content(kind, height, width, rng), dtype)
    if channels:
        image = np.stack([image] * channels, -1)
    image = laid_out(image, layout, str(tmp_path_factory.getbasetemp()))
    protect = area and protected_area(area, height, width, rng)
    before, protected_before = exactly(image), exactly(np.asarray(protect))
    told, estimate = "", None
    try:
        estimate = estimate_noise(
            image,
            channel_axis=-1 if channels else None,
            protect=protect,
            protect_edge=edge,
            proposed=proposed,
        )
    except (TypeError, ValueError) as error:
        told = str(error)
    if estimate is None:
        assert len(told) > 20
        taken = image.dtype.kind in "iuf" and min(height, width) >= 16 and layout != "masked"
        is_of_options = "unprotected" in told or told.startswith("the proposed frequency")
        finite = taken and np.isfinite(image.astype(float)).any()
        assert not finite or kind in ("huge", "greatest") or is_of_options
    else:
        check(estimate, image)
        off = [wave.frequency for wave in estimate.waves if rng.uniform() < 0.5]
        selected = select_waves(image, estimate, off)
        check(selected, image)
        assert not {wave.frequency for wave in selected.waves} & set(off)
        if protect is not None and edge is not None:
            inside = protected_mask(protect, height, width)
            for some in (estimate, selected):
                assert not some.noise[inside].any()
                np.testing.assert_array_equal(some.cleaned[inside], image[inside])
    assert exactly(image) == before
    assert exactly(np.asarray(protect)) == protected_before
