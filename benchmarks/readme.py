"""Write the results into marked blocks: ``python -m benchmarks.readme [--check]``.

The blocks are in the README and in the page of stripes. With ``--check`` it writes nothing, and
exits with 1 if one of them or the page of all results does not match ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.line_peers import LINES
from benchmarks.peers import load
from benchmarks.tables import PAGE, ROOT, lines_block, page, readme_block

README = ROOT / "README.md"
STRIPES = ROOT / "docs" / "artefacts" / "light-sheet.md"
BEGIN, END = "<!-- begin: python -m benchmarks.readme -->\n", "<!-- end -->\n"


def with_block(text: str, block: str) -> str:
    """Put a block between the markers of a text."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the text lacks {BEGIN.strip()} or {END.strip()}")
    return f"{before}{BEGIN}\n{block}\n\n{END}{after}"


def main() -> int:
    """Write the blocks, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args()
    results = load()
    blocks = {README: readme_block(results), STRIPES: lines_block(load(LINES))}
    wanted = {
        path: with_block(path.read_text(encoding="utf-8"), block) for path, block in blocks.items()
    }
    if not options.check:
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [
        path.name
        for path, text in {**wanted, PAGE: page(results)}.items()
        if path.read_text(encoding="utf-8") != text
    ]
    for name in stale:
        writer = "benchmarks.figures" if name == PAGE.name else "benchmarks.readme"
        print(f"{name} does not match benchmarks/results: run {writer}")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
