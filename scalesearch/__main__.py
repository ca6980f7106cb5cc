"""The command `scalesearch`: what pip installs, and `python -m scalesearch`."""

import sys


def main() -> None:
    """Entry point. What ends a command ends it in order from its first import on: one line, exit code 130."""
    try:
        from scalesearch.environment.interrupts import hear_interrupts

        hear_interrupts()
        from scalesearch.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.stderr.write("scalesearch: interrupted\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    if not sys.flags.safe_path:
        from scalesearch.user_code.searchpath import libraries_first

        libraries_first()
    try:
        main()
    except SystemExit as leaving:
        if leaving.code == 130:
            # An interrupt in text that is executed, as a dataclass is made of, ends `python -m` by SIGINT though it was
            # handled: CPython remembers it (Py_RunMain). Py_Exit ends as a script does.
            import ctypes

            ctypes.pythonapi.Py_Exit(130)
        raise
