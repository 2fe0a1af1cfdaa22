"""The two exceptions that the command line shows as one message, without its own traceback, and a hint for one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Wrong input: the message says what was wrong, what is allowed and what to do.

    The command line prints the message as one line, without a traceback, and exits with status 2.
    """


class RunError(Exception):
    """Something that the command had started failed: the message says what, and why it ended.

    Exit status 1. For a failed process the message holds that process's traceback.
    """


def did_you_mean(wrong: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return, for behind a name that is `wrong`, "; did you mean 'NAME'?" with the nearest that is known.

    cutoff: how alike they must be, from 0 to 1 (difflib's ratio); "" where none is.
    """
    nearest = difflib.get_close_matches(wrong, known, n=1, cutoff=cutoff)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""
