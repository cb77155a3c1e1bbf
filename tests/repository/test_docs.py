import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PACKAGE = ROOT / "src" / "napari_periodic_denoise"


def run_example(page):
    """Run all examples of a page, one after the other."""
    examples = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    exec(compile("\n".join(examples), str(page), "exec"), {})


def test_the_example_of_the_readme_runs(capsys):
    run_example(README)
    summary, dtype, error = capsys.readouterr().out.splitlines()[:3]
    assert "1 wave" in summary
    assert dtype == "uint8"
    assert float(error) < 0.5


def test_the_example_in_colour_runs(capsys):
    run_example(DOCS / "python.md")
    summary, *reasons = capsys.readouterr().out.splitlines()
    assert "3 waves" in summary
    kept = {reason.split(":")[0] for reason in reasons}
    assert kept == {"channel 0", "channel 1", "channel 2"}


def test_the_example_of_a_stack_runs(capsys):
    run_example(DOCS / "stacks.md")
    assert capsys.readouterr().out.startswith("1 wave, 7.7 px")


def test_figures_on_the_artefacts_pages_are_the_measured_ones():
    """They are copies, and would not change with what they were copied from.

    Blocks between marks are not: ``benchmarks.readme --check`` compares them.
    """
    sources = (README, DOCS / "real-images.md", DOCS / "method.md")
    measured = "".join(page.read_text(encoding="utf-8") for page in sources)
    pages = sorted((DOCS / "artefacts").glob("*.md"))
    assert pages
    for page in pages:
        written = page.read_text(encoding="utf-8")
        text = re.sub(r"<!-- begin: .*?<!-- end -->", "", written, flags=re.DOTALL)
        figures = set(re.findall(r"[\d.]+(?=(?:, [\d.]+)? dB)", text))
        assert {f for f in figures if "." in f} <= set(re.findall(r"\d+\.\d", measured)), page


def test_the_map_in_contributing_names_all_folders_and_no_missing_module():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = page.split("\n## Map\n")[1].split("\n## What a change")[0]
    named = set(re.findall(r"`((?:\w+/)*\w+(?:/|\.py))`", places))
    folders = [path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    others = (PACKAGE, PACKAGE.parent, ROOT / "benchmarks", ROOT / "tests")
    modules = [*PACKAGE.rglob("*.py"), *ROOT.glob("benchmarks/*.py")]
    there = [f"/{path.as_posix()}" for path in modules]
    there += [f"/{path.as_posix()}/" for path in (*folders, *others)]
    assert {name for name in named if not any(t.endswith(f"/{name}") for t in there)} == set()
    assert {path.name for path in folders if f"{path.name}/" not in named} == set()
