"""What is said of a word that is not among those allowed."""

from __future__ import annotations

import pytest

from hgrpo_errors import HgrpoError, install, nearest, printable, unknown

ALLOWED = ("balance", "valance", "hover")


def test_the_closest_word_or_all_of_them() -> None:
    assert nearest("balanse", ALLOWED) == "did you mean 'balance'?"
    assert nearest("q", ALLOWED) == "allowed: balance, valance, hover"


def test_a_whole_message_names_both() -> None:
    assert unknown("task", "hovre", ALLOWED) == (
        "unknown task 'hovre'; did you mean 'hover'? allowed: balance, valance, hover"
    )
    assert unknown("task", 3, ALLOWED, "anything of ours") == "unknown task 3; allowed: anything of ours"


def test_extras_are_installed_from_a_clone_with_the_versions_that_were_tested() -> None:
    assert install("train") == "pip install -c constraints.txt '.[train]' in a clone of hgrpo-control"
    assert install("drones") == "pip install '.[drones]' in a clone of hgrpo-control"
    assert install("crazyflie") == "pip install '.[crazyflie]' in a clone of hgrpo-control"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("as it is, μ = 3 m/s²", "as it is, μ = 3 m/s²"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("one\r\ntwo\tthree\u2028four", "one  two three four"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),
        ("turned \u202e round", r"turned \u202e round"),
        (b"\xff".decode(errors="surrogateescape"), r"\udcff"),
    ],
)
def test_what_is_printed_does_nothing_to_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    assert str(HgrpoError(text)) == shown
