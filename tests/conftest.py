import hashlib
import http.server
import threading
from pathlib import Path

import dask
import numpy as np
import pytest
import torch
from hypothesis import settings

from napari_periodic_denoise.pretrained.weights import ENVIRONMENT, Source

# the first call of a torch function takes a second on a busy machine
# The same examples each time, so that a change is judged by what it changes; each night tries
# others: --hypothesis-profile=random.
settings.register_profile("default", deadline=None, max_examples=50, derandomize=True)
settings.register_profile("random", settings.get_profile("default"), derandomize=False)
settings.load_profile("default")

VGG16 = Path(__file__).parents[2] / "shared/weights/vgg16_features_to_conv5_1.pt"


@pytest.fixture(autouse=True)
def _one_thread():
    """Small arrays gain nothing from threads, which on busy processors wait for each other.

    For each test: runs in the viewer's threads change the number of all.
    """
    torch.set_num_threads(1)
    dask.config.set(scheduler="synchronous")  # the number of threads holds for this one alone


@pytest.fixture
def weave():
    """Squares of 8 bits under a weave that is no sum of few waves, and the weave."""
    rng = np.random.default_rng(1)
    squares = 255 * np.kron(rng.uniform(0.3, 0.7, (12, 14)), np.ones((16, 16)))
    fy, fx = np.fft.fftfreq(384)[:, None], np.fft.fftfreq(448)
    spectrum = sum(
        np.exp(-((fy - sign * 0.11) ** 2 + (fx - sign * 0.07) ** 2) / (2 * 0.02**2))
        for sign in (1, -1)
    )
    # cut out of a torus twice as large: it has borders
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(384, 448))) * spectrum).real[:192, :224]
    noise *= 10 / noise.std()
    return np.rint(squares + noise).astype(np.uint8), noise


@pytest.fixture(scope="session")
def vgg16_path():
    """VGG16's ImageNet weights, which are too large to come with the tests."""
    if not VGG16.exists():
        pytest.skip("no VGG16 weights in ../shared/weights")
    return VGG16


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The cache of torch's hub, empty."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub/checkpoints"


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that hangs up is part of the tests."""


@pytest.fixture
def serve(tmp_path):
    """Serve bytes from this computer; returns where from, and where they are to go."""
    served, stalled = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.lstrip("/")
            if name not in served:
                self.send_error(404)
                return
            data, announced, stall = served[name]
            self.send_response(200)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            if stall:
                stall.wait()
            self.wfile.write(data[len(data) // 2 :])

        def log_message(self, *args):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def publish(
        data: bytes,
        *,
        digits: str | None = None,
        announced: int | None = None,
        stall: threading.Event | None = None,  # waited for half way
    ) -> Source:
        name = f"vgg16-{digits or hashlib.sha256(data).hexdigest()[:8]}.pth"
        served[name] = data, len(data) if announced is None else announced, stall
        stalled.append(stall or threading.Event())
        url = f"http://127.0.0.1:{server.server_port}/{name}"
        return Source("vgg16", url, tmp_path / "cache/checkpoints" / name, len(data) / 2**20)

    yield publish
    for stall in stalled:
        stall.set()
    server.shutdown()
    thread.join()
    server.server_close()
