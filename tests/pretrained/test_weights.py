import http.server
import os
import pickle
import stat

import pytest
import torch

from napari_periodic_denoise.noise.statistics.networks import load_network
from napari_periodic_denoise.pretrained import weights
from napari_periodic_denoise.pretrained.weights import (
    ENVIRONMENT,
    Source,
    WeightsError,
    WeightsNotFoundError,
    find_weights,
    imagenet_source,
    iter_download,
    load_weights,
)


def two_convolutions() -> dict[str, torch.Tensor]:
    return load_network("vgg16", ["conv1_2"], weights="random").stack.state_dict()


def left_behind(source: Source) -> list[str]:
    return sorted(path.name for path in source.path.parent.glob("*"))


# finding


def test_sources_are_torchvisions():
    source = imagenet_source("vgg19")
    assert source.url.startswith("https://")
    assert source.url.endswith("/vgg19-dcbb9e9d.pth")
    assert source.path.parts[-2:] == ("checkpoints", "vgg19-dcbb9e9d.pth")
    assert round(source.size) == 548


def test_absent_weights_say_where_to_get_them(hub):
    with pytest.raises(WeightsNotFoundError) as caught:
        find_weights("vgg19")
    assert isinstance(caught.value, FileNotFoundError)
    assert not isinstance(caught.value, RuntimeError)  # which napari's workers swallow
    assert caught.value.source == imagenet_source("vgg19")
    for part in (caught.value.source.url, "548 MB", str(hub), ENVIRONMENT, "weights_path"):
        assert part in str(caught.value)
    assert not hub.exists()  # nothing was downloaded


def test_weights_are_found_in_the_hubs_cache(hub):
    hub.mkdir(parents=True)
    path = hub / "vgg16-397923af.pth"
    path.touch()
    assert find_weights("vgg16") == path


def test_a_path_goes_before_the_environment_and_that_before_the_cache(hub, tmp_path, monkeypatch):
    hub.mkdir(parents=True)
    for name in ("mine.pt", "environment.pt", "hub/checkpoints/vgg16-397923af.pth"):
        (tmp_path / name).touch()
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "environment.pt"))
    assert find_weights("vgg16") == tmp_path / "environment.pt"
    assert find_weights("vgg16", tmp_path / "mine.pt") == tmp_path / "mine.pt"


def test_a_folder_may_be_named(hub, tmp_path):
    path = tmp_path / "vgg16-397923af.pth"
    with pytest.raises(WeightsNotFoundError) as caught:
        find_weights("vgg16", tmp_path)
    assert caught.value.source.path == path  # is where they are downloaded to
    path.touch()
    assert find_weights("vgg16", tmp_path) == path


def test_a_path_that_is_not_there_is_said(hub, tmp_path, monkeypatch):
    with pytest.raises(
        WeightsNotFoundError, match=r"weights_path names \S*none.pt, which does not exist"
    ):
        find_weights("vgg16", tmp_path / "none.pt")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "none.pt"))
    with pytest.raises(WeightsNotFoundError, match=rf"{ENVIRONMENT} names \S*none.pt"):
        find_weights("vgg16")


# loading


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["features.", ""])
def test_whole_networks_and_features_alone_are_read(tmp_path, prefix, zipped):
    state = two_convolutions()
    saved = {prefix + key: value for key, value in state.items()}
    if prefix:
        saved["classifier.0.weight"] = torch.ones(2, 2)
    torch.save(saved, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    loaded = load_weights("vgg16", tmp_path / "w.pt", needed=state)
    assert loaded.keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(loaded[key], value)


def test_half_precision_is_read(tmp_path):
    torch.save({k: v.half() for k, v in two_convolutions().items()}, tmp_path / "w.pt")
    loaded = load_weights("vgg16", tmp_path / "w.pt")
    assert {value.dtype for value in loaded.values()} == {torch.float32}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0, 3, 2000, -10])
def test_a_truncated_file_is_refused(tmp_path, zipped, kept):
    path = tmp_path / "w.pt"
    torch.save(two_convolutions(), path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match="damaged, truncated"):
        load_weights("vgg16", path)


def test_a_web_page_is_refused(tmp_path):
    (tmp_path / "w.pt").write_text("<html>404</html>")
    with pytest.raises(WeightsError, match="not a file of torch"):
        load_weights("vgg16", tmp_path / "w.pt")


def test_another_network_is_refused(vgg16_path):
    with pytest.raises(WeightsError, match=r"does not belong to vgg19, which has no 17\.weight"):
        load_weights("vgg19", vgg16_path)


def test_another_shape_is_refused(tmp_path):
    torch.save({"0.weight": torch.ones(64, 1, 3, 3)}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"0\.weight of shape \(64, 3, 3, 3\).*\(64, 1, 3, 3\)"):
        load_weights("vgg16", tmp_path / "w.pt")


def test_layers_that_the_file_lacks_are_said(tmp_path):
    torch.save(two_convolutions(), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"has no 5\.weight"):
        load_network("vgg16", ["conv2_1"], weights_path=tmp_path / "w.pt")


@pytest.mark.parametrize("thing", [[1, 2], {"0.weight": "none"}, {3: torch.ones(1)}])
def test_what_is_no_state_dict_is_refused(tmp_path, thing):
    torch.save(thing, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="expected a state dict of named tensors"):
        load_weights("vgg16", tmp_path / "w.pt")


def test_not_a_number_is_refused(tmp_path):
    state = two_convolutions()
    state["2.bias"][3] = torch.nan
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"2\.bias contains NaN"):
        load_weights("vgg16", tmp_path / "w.pt")


class Code:
    """What runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False, None])
def test_a_file_with_code_is_refused_and_not_run(tmp_path, zipped):
    path, trace = tmp_path / "w.pt", tmp_path / "ran"
    code = Code(f"touch {trace}")
    if zipped is None:
        path.write_bytes(pickle.dumps(code, protocol=2))
    else:
        torch.save({"0.weight": code}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="refused: it contains more than tensors"):
        load_weights("vgg16", path)
    assert not trace.exists()


def test_a_pickled_module_is_refused_by_name(tmp_path):
    torch.save(torch.nn.Conv2d(3, 64, 3), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules\.conv\.Conv2d.*state_dict"):
        load_weights("vgg16", tmp_path / "w.pt")


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pt does not exist"):
        load_weights("vgg16", tmp_path / "none.pt")


# downloading


def test_a_download_reports_its_progress_and_can_be_loaded(serve, tmp_path):
    torch.save(
        load_network("vgg16", ["conv3_1"], weights="random").stack.state_dict(), tmp_path / "w"
    )
    data = (tmp_path / "w").read_bytes()
    source = serve(data)
    progress = list(iter_download(source))
    assert [total for _, total in progress] == [len(data)] * 3  # chunks
    assert progress[-1][0] == len(data)
    assert left_behind(source) == [source.path.name]
    assert stat.S_IMODE(source.path.stat().st_mode) == 0o644
    assert len(load_weights("vgg16", source.path)) == 10


def test_download_takes_torchvisions_source(serve, monkeypatch):
    source = serve(b"weights")
    monkeypatch.setattr(weights, "imagenet_source", lambda network: source)
    assert weights.download("vgg16") == source.path
    assert source.path.read_bytes() == b"weights"


def test_a_wrong_hash_leaves_nothing_behind(serve):
    source = serve(b"something else", digits="0123abcd")
    with pytest.raises(WeightsError, match=r"starts with 0123abcd, got.*other means"):
        list(iter_download(source))
    assert left_behind(source) == []


def test_a_broken_connection_leaves_nothing_behind(serve):
    source = serve(b"half of it", announced=20)
    with pytest.raises(WeightsError, match=r"ended after 10 of 20 bytes|IncompleteRead"):
        list(iter_download(source))
    assert left_behind(source) == []


def test_a_download_that_is_stopped_leaves_nothing_behind(serve):
    source = serve(bytes(3 << 20))
    download = iter_download(source)
    next(download)
    assert len(left_behind(source)) == 1
    download.close()
    assert left_behind(source) == []


def test_a_failed_download_keeps_the_file_there_was(serve):
    source = serve(b"something else", digits="0123abcd")
    source.path.parent.mkdir(parents=True)
    source.path.write_bytes(b"old")
    with pytest.raises(WeightsError):
        list(iter_download(source))
    assert source.path.read_bytes() == b"old"


def test_an_answer_of_not_found_is_said(serve, tmp_path):
    source = serve(b"")
    gone = Source("vgg16", source.url.replace("vgg16-", "gone-"), source.path, 1)
    with pytest.raises(WeightsError, match=r"cannot be downloaded \(HTTP Error 404"):
        list(iter_download(gone))
    assert left_behind(gone) == []


def test_no_network_is_said(tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        url = f"http://127.0.0.1:{server.server_port}/vgg16-01234567.pth"
    source = Source("vgg16", url, tmp_path / "vgg16-01234567.pth", 1)  # nobody listens any more
    with pytest.raises(WeightsError, match=r"cannot be downloaded .*refused.*other means"):
        list(iter_download(source))
    assert left_behind(source) == []


def test_a_folder_that_cannot_be_made_is_said(serve, tmp_path):
    source = serve(b"weights")
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        list(iter_download(source))


@pytest.mark.large_download
def test_vgg19_is_downloaded_from_torchvisions_address(hub):
    path = weights.download("vgg19")
    assert path.parent == hub
    network = load_network("vgg19")
    assert network.stack[0].weight.isfinite().all()
