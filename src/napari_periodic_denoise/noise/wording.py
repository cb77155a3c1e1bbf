"""Words for counts."""

from __future__ import annotations


def plural(count: int, what: str = "wave") -> str:
    """``1 wave``, ``2 waves``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
