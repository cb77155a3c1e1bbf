"""List the licences of all that the package needs, as Markdown: ``python scripts/licences.py``.

Exits non-zero if one of them asks for what a BSD-licensed package can't promise its users.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = "napari-periodic-denoise"
EXTRAS = ("zarr", "distributed")  # `all` asks for a Qt binding, which is the user's own choice
OF_CUDA = ("cuda-", "nvidia-")  # what PyTorch's builds for NVIDIA's cards bring; others don't
REFUSED = re.compile(r"GPL|Affero|General Public|Non-?Commercial|Proprietary|^unknown", re.I)
LESSER = re.compile(r"LGPL|(Lesser|Library) General Public", re.I)


def needed(name: str, extra: str, seen: set[tuple[str, str]]) -> Iterator[str]:
    """Names of all distributions that one needs in this environment, itself included."""
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
    """What a distribution says of its licence, in one line."""
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
    """Whether each licence that there is to choose from is one to refuse."""
    return all(REFUSED.search(LESSER.sub("", choice)) for choice in re.split(r"\bOR\b", said))


def main() -> None:
    """Print the table; exit non-zero with those that are refused."""
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
