"""``python -m facepick`` is the command line."""

import sys

from facepick.cli import main

if __name__ == "__main__":
    sys.exit(main())
