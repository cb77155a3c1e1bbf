# make demo   clean the sample images; open napari on them if there is a display
# make test   run the whole test suite, in real windows on a virtual screen
# make bench  repeat the README's measurements; fail if a bound is missed (bench-quick: a part)
# make peers  install the other methods into .venv-peers, for benchmarks.peers and .line_peers
# make docs   build the site from docs/, in docs/_build/html; warnings are errors
# make lint   check style, types, layers, the manifest and the README's figures
#
# For a release: make package (builds twice and compares the bytes), make installed (tries the
# package in an empty environment), make oldest (tests with the oldest dependencies).
# make test VENV=.venv-3.13 PYTHON=python3.13 QT=pyside6 tests with another Python and Qt.
#
# Each target sets itself up: system libraries (as root on Debian and Ubuntu), .venv, packages.

PYTHON ?= python3
# The tested pair; TORCH="torch torchvision" installs the newest. Each torchvision needs one
# version of torch: installed alone, pip would take the newest and change torch to match.
TORCH ?= torch==2.13.0 torchvision==0.28.0

# The Qt binding: pyqt6 or pyside6.
QT ?= pyqt6

# Factor on the time bounds, for machines with other work.
MARGIN ?= 1
# Random draws of each kind of noise on each image.
SEEDS ?= 2
# Each kind of noise on every Nth image.
EVERY ?= 1
# Pixels a side of the planes in the measurement of a stack's memory.
SIZE ?= 1024

VENV := .venv
READY := $(VENV)/.ready
PEERS := .venv-peers
SCREEN := $(if $(filter Linux,$(shell uname)),xvfb-run -a -s "-screen 0 1400x1000x24")

# Libraries that Qt's wheels need, but do not include.
QT_PACKAGES := libdbus-1-3 libegl1 libfontconfig1 libgl1 libglib2.0-0 libx11-xcb1 \
	libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 \
	libxcb-render-util0 libxcb-shape0 libxcb-shm0 libxcb-sync1 libxcb-xfixes0 libxcb-xkb1 \
	libxkbcommon-x11-0

.PHONY: demo test bench bench-quick peers docs lint package installed oldest libraries clean

demo: $(READY)
ifneq ($(DISPLAY)$(WAYLAND_DISPLAY),)
	@scripts/need-packages.sh $(QT_PACKAGES)
endif
	$(VENV)/bin/napari-periodic-denoise demo --out demo-output

# Tests in windows measure times, and run alone.
test: export TIME_MARGIN := $(MARGIN)
test: $(READY)
	@scripts/need-packages.sh $(QT_PACKAGES) xvfb xauth
	OMP_NUM_THREADS=1 $(SCREEN) $(VENV)/bin/python -m pytest \
		--numprocesses auto --maxprocesses 4 --ignore tests/viewer/windows
	$(SCREEN) $(VENV)/bin/python -m pytest tests/viewer/windows

bench-quick: $(READY)
	$(VENV)/bin/python -m benchmarks.rejection --check --seeds $(SEEDS) --every $(EVERY)
	$(VENV)/bin/python -m benchmarks.speed --check --margin $(MARGIN)
	$(VENV)/bin/python -m benchmarks.networks --check --margin $(MARGIN)
	$(VENV)/bin/python -m benchmarks.stacks --check --size 256 --planes 32

bench: bench-quick
	$(VENV)/bin/python -m benchmarks.stacks --check --size $(SIZE)
	$(VENV)/bin/python -m benchmarks.growth --check
	$(VENV)/bin/python -m benchmarks.shared --check --margin $(MARGIN)
	$(VENV)/bin/python -m benchmarks.peers --quick

peers: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(PEERS)/bin/python -m pip install --quiet $(TORCH)
	$(PEERS)/bin/python -m pip install --quiet --editable .
	@grep -v '^#' $< | while read -r peer; do \
		$(PEERS)/bin/python -m pip install --quiet $$peer || echo "not installed: $$peer"; done

docs: $(READY)
	$(VENV)/bin/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html

lint: $(READY)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python scripts/check_house.py
	$(VENV)/bin/npe2 validate --imports napari-periodic-denoise
	$(VENV)/bin/python -m benchmarks.readme --check

package: $(READY)
	rm -rf dist build/again
	$(VENV)/bin/python -m build
	$(VENV)/bin/python -m build --outdir build/again
	diff -r dist build/again
	$(VENV)/bin/python scripts/check_wheel.py dist/*.whl

installed:
	@scripts/need-packages.sh $(QT_PACKAGES) xvfb xauth
	rm -rf build/installed
	$(PYTHON) -m venv build/installed
	build/installed/bin/pip install --quiet $(TORCH) "$$(echo dist/*.whl)" "napari[$(QT)]"
	$(SCREEN) build/installed/bin/napari --info | grep --after-context=1 napari-periodic-denoise
	build/installed/bin/napari-periodic-denoise demo --no-gui --out build/demo

oldest:
	rm -rf build/oldest
	$(PYTHON) -m venv build/oldest
	build/oldest/bin/pip install --quiet uv
	build/oldest/bin/uv pip install --python build/oldest/bin/python --quiet \
		--resolution lowest-direct --editable ".[all]" --group test
	build/oldest/bin/python -m pytest -W default \
		tests/noise tests/test_cli.py tests/io tests/stacks

libraries:
	scripts/need-packages.sh $(QT_PACKAGES) xvfb xauth

clean:
	rm -rf $(VENV) $(PEERS) build dist demo-output docs/_build docs/_generated

# Written last, so that an interrupted set-up is repeated.
$(READY): pyproject.toml Makefile
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || scripts/need-packages.sh python3 python3-venv
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and sys.executable \
	+ ' is Python ' + sys.version.split()[0] + '; 3.11 or newer is needed: make PYTHON=...')"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(VENV)/bin/python -m pip install --quiet $(TORCH)
	$(VENV)/bin/python -m pip install --quiet --editable . "napari[optional,$(QT)]" --group dev
	@touch $@
