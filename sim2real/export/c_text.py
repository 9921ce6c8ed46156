"""Constants, strings, comments and names of C99, escaped so that they stay what they are."""

from __future__ import annotations

import re

import numpy as np

from sim2real.export.exportable import ExportError

_HEADERS = (  # of C99 to C23, and what those of glibc and newlib include
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic "
    "stdbit stdbool stdckdint stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar "
    "wctype alloca endian features newlib strings xlocale"
)
_KEYWORDS = (  # of C99 to C23, in small letters
    "alignas alignof auto bool break case char const constexpr continue default do double else enum extern false float "
    "for goto if inline int long nullptr register restrict return short signed sizeof static static_assert struct "
    "switch thread_local true typedef typeof typeof_unqual union unsigned void volatile while"
)


def literal(value: float) -> str:
    """C constant of type float: the value, rounded to single precision."""
    digits = f"{float(np.float32(value)):.9g}"
    return (digits if any(mark in digits for mark in ".e") else f"{digits}.0") + "f"


def string(text: str) -> str:
    """C string literal with the bytes of the text in UTF-8."""
    return '"' + "".join(map(_in_string, text.encode())) + '"'


def _in_string(byte: int) -> str:
    if byte in b'"\\?':  # two question marks could begin a trigraph
        return f"\\{byte:c}"
    return f"{byte:c}" if 0x20 <= byte < 0x7F else f"\\{byte:03o}"  # octal has at most three digits, \x has no limit


def comment(text: str) -> str:
    """Text for a C comment; it cannot end or begin one or join lines.

    Backslashes and unprintable characters become spaces. Spaces separate /, * and ? where they would have a meaning.
    """
    plain = "".join(" " if letter == "\\" or not letter.isprintable() else letter for letter in text)
    plain = plain.replace("??", "? ?").replace("??", "? ?")
    return re.sub(r"(?<=\*)(?=/)|(?<=/)(?=\*)|(?<=\*)$|^(?=/)", " ", plain)


def require_identifier(name: str) -> None:
    """Raise ExportError unless a name can be the prefix of C functions and files.

    Names of standard headers are refused, because the file would be included in their place.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ExportError(f"{name!r} cannot begin the name of a C function; allowed: lower-case letters, digits and _")
    for names, own, kind in ((_HEADERS, f"{name}.h", "header"), (_KEYWORDS, name, "keyword")):
        if name in names.split():
            raise ExportError(f"{name!r} cannot be used: {own} is a {kind} of C; choose another, such as {name}_policy")
