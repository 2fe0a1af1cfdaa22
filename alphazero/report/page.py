"""The frame of a page: head, verdict, links, sections. One HTML file that opens from disk, without scripts."""

from __future__ import annotations

import html
from collections.abc import Sequence

from alphazero.report.page_style import STYLE

_NOT_MEASURED = '<p class="absent">Not measured.</p>'


def page(
    title: str,
    origin: str,
    verdict: str,
    sections: Sequence[tuple[str, str, str]],
    problems: Sequence[str] = (),
    tiles: str = "",
) -> str:
    """Return a whole page.

    Args:
        title, origin, verdict: plain text, escaped here.
        sections: (id, heading as plain text, content as HTML); empty content says that it was not measured.
        problems: sentences shown below the verdict.
        tiles: HTML of the key numbers, shown between both.
    """
    links = "".join(f'<a href="#{name}">{html.escape(heading)}</a>' for name, heading, _ in sections)
    items = "".join(f"<li>{html.escape(problem)}</li>" for problem in problems)
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-heading">'
        f'<h2 id="{name}-heading">{html.escape(heading)}</h2>{content or _NOT_MEASURED}</section>\n'
        for name, heading, content in sections
    )
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main><header><h1>{html.escape(title)}</h1>"
        f'<p class="origin">{html.escape(origin)}</p><p class="verdict">{unbroken(verdict)}</p>{tiles}'
        + (f'<ul class="problems">{items}</ul>' if items else "")
        + f'<nav aria-label="Sections">{links}</nav></header>\n{body}</main></body></html>\n'
    )


def stand_alone(title: str, content: str) -> str:
    """Return a file that shows `content` (HTML) by itself, in the manner of a page."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>{content}</body></html>\n"
    )


def unbroken(text: str) -> str:
    """Return `text` escaped, with no line break between a number and its percent sign."""
    return html.escape(text).replace(" %", "&nbsp;%")
