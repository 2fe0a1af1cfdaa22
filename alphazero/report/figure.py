"""A picture as part of a page: light and dark, its data in the page itself."""

from __future__ import annotations

import base64
import html
from typing import Any

from alphazero.report import plots
from alphazero.report.plots import Plot


def figure(plot: Plot, data: tuple[Any, ...], heading: str, caption: str, alt: str) -> str:
    """Return a `<figure>` with a light and a dark picture, or nothing where there is nothing to show."""
    light = plots.render(plot, *data, theme=plots.LIGHT)
    dark = plots.render(plot, *data, theme=plots.DARK)
    if light is None or dark is None:
        return ""
    return (
        f"<figure><figcaption><strong>{html.escape(heading)}</strong> {html.escape(caption)}</figcaption>"
        f'<picture><source media="screen and (prefers-color-scheme: dark)" srcset="{_data_uri(dark)}">'
        f'<img alt="{html.escape(alt)}" src="{_data_uri(light)}"></picture></figure>'
    )


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
