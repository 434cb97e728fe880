"""`python -m camward` is `camward`."""

import sys

from camward.cli import main

if __name__ == "__main__":
    sys.exit(main())
