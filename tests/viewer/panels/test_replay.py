"""Scripts of results, by clicks, run and compared to the bit."""

import threading

import dask.array as da
import numpy as np
import pytest
import tifffile
from napari.layers import Image
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_periodic_denoise.viewer.preferences import plugin_preferences

Y, X = np.indices((48, 56))
HUM = 12 * np.cos(2 * np.pi * (0.11 * Y + 0.07 * X))
IMAGE = np.rint(100 + 60 * (np.hypot(Y - 20, X - 30) < 12) + HUM).astype(np.uint8)
STACK = np.stack([IMAGE, IMAGE[::-1], IMAGE[:, ::-1]])


@pytest.fixture
def panel(dock):
    return dock.replay_panel


@pytest.fixture
def copied(panel, qtbot):
    """Clicks, and returns what is on the clipboard then."""

    def copied():
        QApplication.clipboard().setText("something else")
        panel.copy.native.click()
        qtbot.waitUntil(lambda: panel.words.value.startswith("Copied") and panel.copy.enabled)
        return QApplication.clipboard().text()

    return copied


@pytest.fixture
def save_as(panel, qtbot, monkeypatch):
    """Answers the file dialog, which a test can't."""

    def save_as(path):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
        panel.save.native.click()
        qtbot.waitUntil(lambda: panel.copy.enabled)

    return save_as


def clean(dock, wait):
    dock.run_button.native.click()
    wait()


def run(script, folder, monkeypatch, name="script"):
    # the number of threads that a script sets holds for its thread
    monkeypatch.chdir(folder)
    names = {"__file__": str(folder / name)}
    thread = threading.Thread(target=lambda: exec(compile(script, name, "exec"), names))
    thread.start()
    thread.join()
    return names["noise"], names["cleaned"]


def same(made, layers):
    for array, layer in zip(made, layers, strict=True):
        assert array.dtype == layer.data.dtype
        np.testing.assert_array_equal(array, layer.data)


def test_without_a_result_there_is_nothing_to_copy(dock, viewer, panel, wait):
    assert not panel.copy.enabled
    viewer.add_image(IMAGE)
    assert not panel.copy.enabled
    assert not panel.save.enabled
    clean(dock, wait)
    assert panel.copy.enabled
    assert panel.save.enabled
    viewer.layers.remove(viewer.layers[-1])
    viewer.layers.selection.active = viewer.layers[0]
    assert not panel.copy.enabled
    viewer.layers.selection.active = viewer.layers[1]  # the noise
    assert panel.copy.enabled
    viewer.layers.clear()
    assert not panel.copy.enabled


def test_the_image_is_read_from_its_file(dock, viewer, copied, wait, tmp_path, monkeypatch):
    path = tmp_path / "cell.tif"
    tifffile.imwrite(path, IMAGE)
    viewer.open(path, plugin="napari")
    dock.method_panel.sensitivity.value = 0.1
    clean(dock, wait)
    dock.method_panel.sensitivity.value = 1e-5  # is not what the result is of
    script = copied()
    assert f'read_image(Path("{path}"))' in script
    assert "sensitivity=0.1," in script
    assert viewer.layers[1].data.any()
    same(run(script, tmp_path, monkeypatch), viewer.layers[1:])
    tifffile.imwrite(path, IMAGE // 2)  # is another one by now
    assert "read_image" not in copied()


def test_the_image_is_to_be_saved(dock, viewer, panel, copied, wait, tmp_path, monkeypatch):
    viewer.add_image(STACK, name="my stack")
    viewer.dims.current_step = (2, 0, 0)
    clean(dock, wait)
    script = copied()
    assert "my_stack.npy" in panel.words.value
    (line,) = (line for line in script.splitlines() if "np.save(" in line)
    monkeypatch.chdir(tmp_path)
    exec(line.removeprefix("# "), {"viewer": viewer})  # as the comment says
    noise, cleaned = run(script, tmp_path, monkeypatch)
    np.testing.assert_array_equal(noise, viewer.layers[1].data[0])
    np.testing.assert_array_equal(cleaned, viewer.layers[2].data[0])
    viewer.layers[0].data = STACK // 2
    assert "np.save(" not in copied()
    viewer.layers.pop(0)
    viewer.layers.selection.active = viewer.layers[0]
    assert "np.save(" not in copied()


@pytest.mark.parametrize("model", ["this plane", "per_plane", "shared"])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
def test_image_and_script_are_saved(
    dock, viewer, save_as, wait, tmp_path, monkeypatch, model, lazy, order
):
    data = np.ascontiguousarray(np.moveaxis(STACK, 0, order.index(0)))
    viewer.add_image(da.from_array(data, chunks=(1, -1, -1)) if lazy else data)
    viewer.dims.order = order
    viewer.dims.current_step = (1, 1, 1)
    dock.planes.value = model
    clean(dock, wait)
    save_as(tmp_path / "again")
    assert sorted(path.name for path in tmp_path.glob("again*")) == ["again.npy", "again.py"]
    kept = np.load(tmp_path / "again.npy")
    axis = order[0]
    expected = data.take(1, axis) if model == "this plane" else data
    np.testing.assert_array_equal(kept, expected)
    made = run((tmp_path / "again.py").read_text(), tmp_path, monkeypatch, "again.py")
    assert made[0].any()
    for array, layer in zip(made, viewer.layers[1:], strict=True):
        result = np.asarray(layer.data)
        np.testing.assert_array_equal(array, result.squeeze() if array.ndim == 2 else result)


def test_colours_of_a_pyramid(dock, viewer, save_as, wait, tmp_path, monkeypatch):
    alpha = np.linspace(0, 255, IMAGE.size).astype(np.uint8).reshape(IMAGE.shape)
    colours = np.stack([IMAGE, IMAGE // 2, IMAGE // 3, alpha], axis=-1)
    stack = np.stack([colours, colours[::-1]])
    viewer.add_image([stack, stack[:, ::2, ::2]], rgb=True, multiscale=True)
    for model in ("this plane", "per_plane"):
        dock.planes.value = model
        clean(dock, wait)
        *noises, cleaned = (np.asarray(layer.data[0]) for layer in viewer.layers[1:])
        save_as(tmp_path / "again.py")
        made = run((tmp_path / "again.py").read_text(), tmp_path, monkeypatch, "again.py")
        for array, layer in zip(made, (np.stack(noises, -1), cleaned), strict=True):
            np.testing.assert_array_equal(array, layer.reshape(array.shape))


def test_a_missing_image_is_reported(dock, viewer, save_as, wait, tmp_path, notifications):
    viewer.add_image(IMAGE)
    clean(dock, wait)
    viewer.layers.pop(0)
    viewer.layers.selection.active = viewer.layers[0]
    save_as(tmp_path / "again.py")
    (notification,) = notifications
    assert "no longer a layer" in notification.message
    assert not list(tmp_path.glob("again*"))
    notifications.clear()
    save_as("")
    assert not notifications


def test_device_of_the_preferences(dock, viewer, copied, wait):
    plugin_preferences().device = "cpu"
    viewer.add_image(IMAGE)
    clean(dock, wait)
    assert 'device="cpu"' in copied()


def test_records_of_others_are_left_alone(viewer, panel):
    viewer.layers.append(Image(IMAGE, metadata={"periodic_noise": {"waves": []}}))
    viewer.layers.selection.active = viewer.layers[0]
    assert not panel.copy.enabled
