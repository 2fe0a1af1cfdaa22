"""One number for what a set of source files *does*: comments, docstrings and layout do not count.

Workflow results carry this hash, so that a corrected sentence never throws a training run away, and a changed
statement always does. (`metrics.provenance.source_hash` is the hash of the exact text.)
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path

_IGNORED_TOKENS = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING}
_STATEMENT_STARTS = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
_C_COMMENT = re.compile(r'("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\')|//[^\n]*|/\*.*?\*/', re.DOTALL)


def meaning_hash(root: Path, paths: Iterable[Path]) -> str:
    """Return 16 hex digits over the meaning of `paths` (in any order) and their names.

    Relative to `root`; of a file outside, an absolute path, only the last part of its name counts.
    """
    digest = hashlib.sha256()
    for path in sorted(set(paths)):
        text = (root / path).read_text(encoding="utf-8")
        name = path.name if path.is_absolute() else path.as_posix()
        digest.update(f"{name}\0{meaning(path.suffix, text)}\0".encode())
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=1024)  # several hashes are over the same files
def meaning(suffix: str, text: str) -> str:
    """Return `text` less what cannot change what it does: for Python, Cython, C and C++; else unchanged.

    Cython reads like Python, token by token. What the tokenizer refuses is returned whole: at worst a comment
    counts then.
    """
    if suffix in (".py", ".pyx", ".pxd"):
        try:
            return _python_meaning(text)
        except (tokenize.TokenError, SyntaxError):
            return text
    if suffix in (".h", ".hpp", ".cpp"):
        without_comments = _C_COMMENT.sub(lambda match: match[1] or " ", text)
        return "\n".join(" ".join(line.split()) for line in without_comments.splitlines() if line.strip())
    return text


def _python_meaning(text: str) -> str:
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in _IGNORED_TOKENS
    ]
    kept: list[str] = []
    previous = tokenize.NEWLINE
    for index, token in enumerate(tokens):
        stands_alone = (
            token.type == tokenize.STRING
            and previous in _STATEMENT_STARTS
            and tokens[index + 1].type == tokenize.NEWLINE
        )
        previous = token.type
        if stands_alone:
            continue
        # Indentation counts, its width does not.
        kept.append(tokenize.tok_name[token.type] if token.type in _STATEMENT_STARTS else token.string)
    return " ".join(kept)
