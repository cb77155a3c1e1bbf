"""Write the results into the README: ``python -m benchmarks.readme [--check]``.

With ``--check`` it writes nothing, and exits with 1 if the README or the page of all results does
not match ``benchmarks/results/peers.json``.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.peers import load
from benchmarks.tables import PAGE, ROOT, page, readme_block

README = ROOT / "README.md"
WRITERS = {"README.md": "benchmarks.readme", "benchmarks.md": "benchmarks.figures"}
BEGIN, END = "<!-- begin: python -m benchmarks.readme -->\n", "<!-- end -->\n"


def with_block(readme: str, block: str) -> str:
    """Put a block between the markers of a text."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README lacks {BEGIN.strip()} or {END.strip()}")
    return f"{before}{BEGIN}\n{block}\n\n{END}{after}"


def main() -> int:
    """Write the README's block, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args()
    results, readme = load(), README.read_text(encoding="utf-8")
    wanted = with_block(readme, readme_block(results))
    if not options.check:
        README.write_text(wanted, encoding="utf-8")
        return 0
    stale = [
        path.name
        for path, text in ((README, wanted), (PAGE, page(results)))
        if path.read_text(encoding="utf-8") != text
    ]
    for name in stale:
        print(f"{name} does not match benchmarks/results/peers.json: run {WRITERS[name]}")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
