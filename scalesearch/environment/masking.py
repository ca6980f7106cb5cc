"""Passwords in text that people see: nothing that is printed or written may hold one."""

from __future__ import annotations

import re

MASK = "***"

_IN_ADDRESS = r"(?P<before>\w://[^\s:/@'\"]*:){}(?=@)"
"""All up to the last `@`: one in the password that should be `%40` shows nothing of it either."""

_IN_WORD, _IN_ARGUMENT = (re.compile(_IN_ADDRESS.format(rest), re.DOTALL) for rest in (r"[^\s'\"]*", ".*"))
_IN_QUERY = re.compile(r"(?P<before>[?&]\w*password=)[^&\s'\"]*", re.IGNORECASE)


def masked(text: str) -> str:
    """Text with `***` in the place of every password of an address in it.

    Example:
        >>> masked("copy --to postgresql+psycopg://me:s3cret@host/db?sslpassword=x --name a@b")
        'copy --to postgresql+psycopg://me:***@host/db?sslpassword=*** --name a@b'
    """
    return _without(_IN_WORD, text)


def masked_argument(text: str) -> str:
    """One argument of a command, or a whole address, in which anything may stand: spaces and quotes too.

    Example:
        >>> masked_argument("postgresql://me:a ' b@host/db")
        'postgresql://me:***@host/db'
    """
    return _without(_IN_ARGUMENT, text)


def _without(address: re.Pattern[str], text: str) -> str:
    for pattern in (address, _IN_QUERY):
        text = pattern.sub(rf"\g<before>{MASK}", text)
    return text
