"""The hash moves with what the source does, and with nothing else."""

from pathlib import Path

import pytest

from alphazero.source_meaning import meaning, meaning_hash

PYTHON = '''"""Module."""
# A comment.
def double(x):
    """Return twice `x`."""
    text = "# no comment"  # why
    return 2 * x, text
'''
REWORDED = '''"""Another first line."""


def double(x):
  """Say it

  at length."""
  text = "# no comment"
  return 2 * x, text  # result
'''


def test_comments_docstrings_and_layout_do_not_count() -> None:
    assert meaning(".py", PYTHON) == meaning(".py", REWORDED)


@pytest.mark.parametrize(
    ("old", "new"), [("2 * x", "3 * x"), ("no comment", "comment"), ("    return", "    \n    if x: return")]
)
def test_statements_and_strings_count(old: str, new: str) -> None:
    assert meaning(".py", PYTHON) != meaning(".py", PYTHON.replace(old, new))


def test_moving_a_statement_out_of_a_block_counts() -> None:
    inside = "if a:\n    b()\n    c()\n"
    outside = "if a:\n    b()\nc()\n"
    assert meaning(".py", inside) != meaning(".py", outside)


def test_cython_reads_like_python() -> None:
    plain = "cdef int f(int* x) except? -1 nogil:\n    return <int> x[0]\n"
    assert meaning(".pyx", plain) == meaning(".pyx", "# why\n" + plain)


def test_c_comments_do_not_count_but_strings_do() -> None:
    plain = 'const char* url = "a//b";\nint x = 1;\n'
    commented = 'const char* url = "a//b";  // where\n/* one\n   two */\nint x = 1;\n'
    assert meaning(".cpp", plain) == meaning(".cpp", commented)
    assert meaning(".cpp", plain) != meaning(".cpp", plain.replace("a//b", "a//c"))


def test_a_renamed_file_counts_and_order_does_not(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("x = 1\n", encoding="utf-8")
    one = meaning_hash(tmp_path, [Path("a.py")])
    assert one != meaning_hash(tmp_path, [Path("b.py")])
    assert meaning_hash(tmp_path, [Path("a.py"), Path("b.py")]) == meaning_hash(
        tmp_path, [Path("b.py"), Path("a.py")]
    )
