"""Lines as small as a word, drawn as a path: thousands of them weigh nothing."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote


def spark_path(
    starts: Sequence[int], lows: Sequence[float], unit: int, *, width: float = 100, height: float = 28
) -> str:
    """An SVG path through `lows` at `starts` (seconds, ascending), from edge to edge and from the lowest to the highest.

    It breaks where at least one `unit` (seconds) is missing. A point without neighbours is a dot, if line ends are round.
    Without points it is empty.
    """
    if not starts:
        return ""
    long, low, high = starts[-1] - starts[0], min(lows), max(lows)
    path: list[str] = []
    before: int | None = None
    for start, value in zip(starts, lows, strict=True):
        x = (start - starts[0]) / long * width if long else width / 2
        y = (high - value) / (high - low) * height if high > low else height / 2
        joined = before is not None and start - before <= unit
        path.append(f"{'L' if joined else 'M'}{x:.1f} {y:.1f}" + ("" if joined else "h.01"))
        before = start
    return "".join(path)


def spark_image(path: str, *, width: float = 100, height: float = 28) -> str:
    """The path as an image's address, to be a mask: it takes the colour of what it masks."""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 -2 {width + 4} {height + 4}" preserveAspectRatio="none">'
        f'<path d="{path}" fill="none" stroke="#000" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" '
        'vector-effect="non-scaling-stroke"/></svg>'
    )
    return f"data:image/svg+xml,{quote(svg)}"
