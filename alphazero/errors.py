"""The two exceptions that the command line shows as one message, without its own traceback."""


class UserError(Exception):
    """Wrong input: the message says what was wrong, what is allowed and what to do.

    The command line prints the message as one line, without a traceback, and exits with status 2.
    """


class RunError(Exception):
    """Something that the command had started failed: the message says what, and why it ended.

    Exit status 1. For a failed process the message holds that process's traceback.
    """
