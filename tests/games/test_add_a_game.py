"""docs/add_a_game.md quotes code; the code has to be there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "add_a_game.md").read_text(encoding="utf-8")


def test_quoted_python_stands_in_the_file_it_names() -> None:
    quotes = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", GUIDE, flags=re.DOTALL)
    assert len(quotes) == 3
    for path, code in quotes:
        assert code in (ROOT / path).read_text(encoding="utf-8"), f"{path} no longer holds:\n{code}"


def test_quoted_cython_is_connect_four_s() -> None:
    (code,) = re.findall(r"```cython\n(.*?)```", GUIDE, flags=re.DOTALL)
    source = (ROOT / "alphazero/games/native/_connect_four.pyx").read_text(encoding="utf-8")
    assert textwrap.dedent(code).rstrip() in source


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\((\.\./[^)#]+)\)", GUIDE)
    assert links
    for link in links:
        assert (ROOT / "docs" / link).exists(), link
