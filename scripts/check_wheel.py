"""Check the contents of a built wheel: ``python scripts/check_wheel.py dist/*.whl``."""

import sys
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

PACKAGE = "napari_periodic_denoise"
SOURCE = Path(__file__).parents[1] / "src"
WANTED = (
    "cli.py",
    "data/ATTRIBUTION.md",
    "data/newspaper_halftone.png",
    "napari.yaml",
    "py.typed",
)
ENTRY_POINTS = (
    "[console_scripts]\nnapari-periodic-denoise = napari_periodic_denoise.__main__:main\n",
    "[napari.manifest]\nnapari-periodic-denoise = napari_periodic_denoise:napari.yaml\n",
)
QT_BINDINGS = ("pyqt", "pyside")


def problems(wheel: Path) -> list[str]:
    """Return the problems of a wheel, one line each."""
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        info = next(name.split("/")[0] for name in names if ".dist-info/" in name)
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())

    inside = {name for name in names if not name.startswith(f"{info}/")}
    there = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    requirements = metadata.get_all("Requires-Dist") or []
    base = [line for line in requirements if "extra ==" not in line]
    wanted = there | {f"{PACKAGE}/{name}" for name in WANTED}
    return [
        *(f"lacks {name}" for name in sorted(wanted - inside)),
        *(f"contains {name}, which is not in src/" for name in sorted(inside - there)),
        *(f"lacks the entry point {text!r}" for text in ENTRY_POINTS if text not in entry_points),
        *(f"requires {line}" for line in base if line.lower().startswith(QT_BINDINGS)),
        *(f"requires {line}" for line in base if line.startswith("napari[")),
        *([] if f"{info}/licenses/LICENSE" in names else ["lacks LICENSE"]),
    ]


def main() -> None:
    """Check the wheels named on the command line; exit non-zero if one has a problem."""
    found = [f"{wheel}: {problem}" for wheel in sys.argv[1:] for problem in problems(Path(wheel))]
    if found or not sys.argv[1:]:
        sys.exit("\n".join(found) or "usage: check_wheel.py WHEEL...")
    print("no problems:", *sys.argv[1:])


if __name__ == "__main__":
    main()
