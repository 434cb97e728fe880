"""Put files out of the page cache, so that what maps them reads them as after a boot.

    python3 benchmarks/as_booted.py FOLDER...

Of files that were written a moment ago, kernel 6.18 on ext4 maps more around each page that is touched, probably
because they lie in the page cache in large folios: a just installed agent shows 9 MB more of RSS than one on a board
that was started since, and so does aiortc. Run before anything maps the files: pages in use stay where they are.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Do so with all files below the folders."""
    for path in (path for folder in sys.argv[1:] for path in Path(folder).rglob("*")):
        if path.is_file() and not path.is_symlink():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)  # what is still to be written stays, too
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


if __name__ == "__main__":
    main()
