"""`python -m scalesearch` is the command `scalesearch`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        from scalesearch.user_code.searchpath import libraries_first

        libraries_first()
    from scalesearch.cli import main

    main()
