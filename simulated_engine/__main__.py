"""``python -m simulated_engine``."""

import sys

from simulated_engine.cli import main

if __name__ == "__main__":
    sys.exit(main())
