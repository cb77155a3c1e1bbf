import shutil
import subprocess
import sys

import pytest

LINUX = sys.platform.startswith("linux")


def printed(code, *arguments, **options):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(not LINUX, reason="only Linux lists a process's libraries so")
def test_torch_is_loaded_without_being_imported():
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from napari_periodic_denoise.runtime.shared_libraries import load_torch\n"
        "load_torch()\n"
        "print('torch' in sys.modules, 'libtorch_cpu' in Path('/proc/self/maps').read_text())"
    )
    assert printed(code) == ["False", "True"]


@pytest.mark.skipif(not LINUX, reason="triton is for Linux")
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("first", ["", "load_triton()"])
def test_triton_uses_what_it_brings_shown_with_small_libraries_in_its_place(tmp_path, first):
    """One library offers a function to all, as Mesa's LLVM does; another brings its own."""
    package = tmp_path / "triton"
    (package / "_C").mkdir(parents=True)
    (package / "__init__.py").touch()
    sources = {
        tmp_path / "llvm.so": "int version(void) { return 15; }",
        package / "_C" / "libtriton.so": (
            "int version(void) { return 23; }  int used(void) { return version(); }"
        ),
    }
    for library, source in sources.items():
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        subprocess.run(command, input=source, text=True, check=True)
    code = (
        "import ctypes, sys\n"
        "from napari_periodic_denoise.runtime.shared_libraries import load_triton\n"
        "ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)\n"
        f"{first}\n"
        "print(ctypes.CDLL(sys.argv[2]).used())"
    )
    (used,) = printed(code, *sources, cwd=tmp_path)
    assert used == ("23" if first else "15")
