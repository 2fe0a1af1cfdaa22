"""Train from a clone: `alphazero train`, without installing the package and without Snakemake.

    python scripts/train.py --profile low --actors 2 --inference-batch-size 64 --steps 20
    python scripts/train.py --benchmark --profile high --steps 500

--profile auto|high|mid|low|cpu, --actors, --inference-batch-size, --steps, --set and the rest are
`alphazero train`'s (--help lists them). --benchmark measures the full configuration against the baseline
instead (`alphazero benchmark compare`).
"""

import importlib.util
import sys
from pathlib import Path

if __name__ == "__main__":
    # Child processes are started afresh and are given this path with everything else.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

    missing = [name for name in ("numpy", "torch", "tomli_w") if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"error: {', '.join(missing)} not installed for {sys.executable}; run `make build` and use "
            ".venv/bin/python (docs/install.md)"
        )

    from alphazero.cli import main

    options = sys.argv[1:]
    if "--benchmark" in options:
        options.remove("--benchmark")
        sys.exit(main(["benchmark", "compare", *options]))
    sys.exit(main(["train", *options]))
