"""The health of a training as a section of its page: what was measured, its healthy range, and what it means."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from alphazero.metrics.catalog import find_metric, format_metric
from alphazero.metrics.health import read_health


def health_section(measured: Mapping[str, Any] | None) -> str:
    """Return the warnings as sentences and below them a table of everything; '' if nothing was measured."""
    if not measured:
        return ""
    readings = read_health(measured)
    warnings = "".join(f"<li>{html.escape(each.warning)}</li>" for each in readings if each.warning)
    said = f'<ul class="problems">{warnings}</ul>' if warnings else "<p>All that was measured is healthy.</p>"
    rows = "".join(
        f'<tr title="{html.escape(find_metric(each.metric).definition)}">'
        f'<th scope="row">{html.escape(find_metric(each.metric).label)}</th>'
        f"<td>{html.escape(format_metric(each.metric, each.value))}</td><td>{html.escape(each.healthy)}</td></tr>"
        for each in readings
    )
    return (
        f'{said}<table><thead><tr><th scope="col">measured</th><th scope="col">value</th>'
        f'<th scope="col">healthy</th></tr></thead><tbody>{rows}</tbody></table>'
    )
