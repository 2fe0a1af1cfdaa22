"""`python -m alphazero` is the `alphazero` command."""

import sys

from alphazero.cli import main

if __name__ == "__main__":
    sys.exit(main())
