"""Draw how the cost of decode attention grows with the context.

    python plot_attention.py attention.jsonl > attention.svg

Reads the rows of bench/engine/attention.rs; both axes are logarithmic. The
picture is plain SVG, so that no plotting library is needed.
"""

import json
import math
import sys

WIDTH, HEIGHT, MARGIN = 720, 440, 70
COLOURS = {"exact": "#1f5fa8", "fourier": "#c4501b"}


def read(path):
    """{cache: [(context, microseconds)]}."""
    lines = {}
    with open(path, encoding="utf-8") as file:
        for text in file:
            row = json.loads(text)
            if "microseconds_median" in row:
                lines.setdefault(row["cache"], []).append((row["context"], row["microseconds_median"]))
    return {cache: sorted(points) for cache, points in lines.items()}


def scale(low, high, first, last):
    """A logarithmic axis from `low` at `first` to `high` at `last`."""
    span = math.log(high / low)
    return lambda value: first + (last - first) * math.log(value / low) / span


def text(x, y, content, anchor="middle"):
    """A label."""
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="13" text-anchor="{anchor}">{content}</text>'


def draw(lines):
    """The picture."""
    contexts = sorted({c for points in lines.values() for c, _ in points})
    times = [t for points in lines.values() for _, t in points]
    low, high = 10 ** math.floor(math.log10(min(times))), 10 ** math.ceil(math.log10(max(times)))
    x = scale(contexts[0], contexts[-1], MARGIN, WIDTH - MARGIN)
    y = scale(low, high, HEIGHT - MARGIN, MARGIN / 2)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">']
    parts.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    for context in contexts:
        parts.append(text(x(context), HEIGHT - MARGIN + 20, f"{context // 1024}k"))
    tick = low
    while tick <= high:
        at = y(tick)
        parts.append(f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(text(MARGIN - 8, at + 4, f"{tick:g}", "end"))
        tick *= 10
    parts.append(text(WIDTH / 2, HEIGHT - MARGIN + 45, "tokens of context"))
    parts.append(text(MARGIN - 45, MARGIN / 2 - 15, "microseconds a layer", "start"))
    for cache, points in lines.items():
        colour = COLOURS.get(cache, "#444")
        path = " ".join(f"{x(c):.1f},{y(t):.1f}" for c, t in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(c):.1f}" cy="{y(t):.1f}" r="3" fill="{colour}"/>' for c, t in points]
        parts.append(text(x(points[-1][0]) + 8, y(points[-1][1]) + 4, cache, "start"))
    return "\n".join(parts + ["</svg>"])


if __name__ == "__main__":
    print(draw(read(sys.argv[1])))
