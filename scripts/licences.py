"""List the licences of all dependencies as Markdown: ``python scripts/licences.py``.

It exits non-zero if a licence has conditions that a BSD-licensed package cannot pass on.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = "napari-periodic-denoise"
EXTRAS = ("zarr", "distributed")  # `all` adds a Qt binding, which is the user's own choice
OF_CUDA = ("cuda-", "nvidia-")  # only PyTorch's CUDA builds need these
REFUSED = re.compile(r"GPL|Affero|General Public|Non-?Commercial|Proprietary|^unknown", re.I)
LESSER = re.compile(r"LGPL|(Lesser|Library) General Public", re.I)


def needed(name: str, extra: str, seen: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the names of a distribution and of all its dependencies in this environment."""
    if (name, extra) in seen or name.startswith(OF_CUDA):
        return
    seen.add((name, extra))
    yield name
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            for its in ("", *requirement.extras):
                yield from needed(canonicalize_name(requirement.name), its, seen)


def licence(of: Distribution) -> str:
    """Licence that a distribution declares, in one line."""
    if said := of.metadata.get("License-Expression"):
        return str(said)
    classified = [
        line.split(" :: ")[-1]
        for line in of.metadata.get_all("Classifier") or ()
        if line.startswith("License :: ") and not line.endswith("OSI Approved")
    ]
    words = (of.metadata.get("License") or "unknown").strip().splitlines()
    return ", ".join(classified) or words[0]


def is_refused(said: str) -> bool:
    """Whether every licence that the user may choose from is refused."""
    return all(REFUSED.search(LESSER.sub("", choice)) for choice in re.split(r"\bOR\b", said))


def main() -> None:
    """Print the table; exit non-zero with the refused licences."""
    seen: set[tuple[str, str]] = set()
    names = {name for extra in ("", *EXTRAS) for name in needed(PACKAGE, extra, seen)}
    refused = []
    print("| package | version | licence |\n|---|---|---|")
    for of in map(distribution, sorted(names - {PACKAGE})):
        said = licence(of)
        print(f"| {of.metadata['Name']} | {of.version} | {said} |")
        if is_refused(said):
            refused.append(f"{of.metadata['Name']}: {said}")
    if refused:
        sys.exit("\n".join(refused))


if __name__ == "__main__":
    main()
