"""What a name becomes in C is that name: no text ends a string or a comment, in a compiler's eyes."""

from __future__ import annotations

import ctypes
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.exported_policies import make_policy, make_spec

from policies.spec import Channel
from sim2real.export.c import export_c
from sim2real.export.c_text import (
    comment,
    literal,
    require_identifier,
    string,
)
from sim2real.policy.c_policy import compile_library

HOSTILE = (
    "*/",
    "/*",
    "/*/",
    "**//**//",
    "ends in *",
    "/ first",
    "ends in ??/",
    "*??/\n/ int leaked;",
    "*\\\n/ int leaked; /\\\n*",
    "line one\nint leaked;",
    '"; int leaked; //',
    '??/"',
    "????/??'",
    "\\",
    "\\u202e \u202e \x00 \x7f",
    "m/s^2, 20 °C, µ, 中",
    "a0 1f",
)


@pytest.mark.parametrize(
    ("value", "text"),
    # 0.1 in single precision is 0.100000001490116...; nine digits tell all floats apart
    [(1.0, "1.0f"), (0.1, "0.100000001f"), (-3.4e38, "-3.39999995e+38f"), (1e-45, "1.40129846e-45f"), (0.0, "0.0f")],
)
def test_literals_are_exact(value: float, text: str) -> None:
    assert literal(value) == text
    assert np.float32(float(text[:-1])) == np.float32(value)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here to compile C with")
@pytest.mark.parametrize("standard", ["-std=c99", "-std=gnu11"])  # with trigraphs and without
def test_a_compiler_reads_back_every_text_and_no_more(tmp_path: Path, standard: str) -> None:
    lines = [f"/*{comment(text)}*/\n/* {comment(text)}\n * {comment(text)}\n */\n" for text in HOSTILE]
    lines.append("extern const char *const texts[];\nconst char *const texts[] = {\n")
    lines += [f"    {string(text)}, /* {comment(text)} */\n" for text in HOSTILE]
    (tmp_path / "texts.c").write_text("".join(lines) + "};\n", encoding="utf-8")
    compile_library(tmp_path / "texts.c", tmp_path / "texts.so", "gcc", (standard,))
    library = ctypes.CDLL(str(tmp_path / "texts.so"))
    read = (ctypes.c_char_p * len(HOSTILE)).in_dll(library, "texts")
    assert list(read) == [text.encode().split(b"\0")[0] for text in HOSTILE]
    assert not hasattr(library, "leaked")


def test_what_means_nothing_to_c_stays_as_it_is() -> None:
    for text in ("m/s^2", "gymnasium/Pendulum-v1", "mod:factory", "20 °C", "a * b", "why?"):
        assert comment(text) == text


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here to compile C with")
def test_a_policy_with_hostile_names_compiles_to_that_policy(tmp_path: Path) -> None:
    spec = make_spec(2)
    entries = (Channel("*/ int leaked; /*", '"', "??/"), Channel("µ", "m/s^2", "/*"))
    policy = make_policy(replace(spec, task='t*/"; int leaked; /*', robot="r??/", observation=entries))
    exported = export_c(policy, tmp_path / "policy")
    (tmp_path / "probe.c").write_text(
        f'#include "{exported.header.name}"\nextern const char *const task;\nextern const char *const robot;\n'
        "const char *const task = POLICY_TASK;\nconst char *const robot = POLICY_ROBOT;\n"
    )
    compile_library(tmp_path / "probe.c", tmp_path / "probe.so", "gcc")
    library = ctypes.CDLL(str(tmp_path / "probe.so"))
    texts = [ctypes.c_char_p.in_dll(library, name).value for name in ("task", "robot")]
    assert texts == [policy.spec.task.encode(), policy.spec.robot.encode()]
    assert not hasattr(library, "leaked")


@pytest.mark.parametrize("name", ["policy", "l", "std", "assert_", "string_policy", "while_2"])
def test_other_names_than_those_of_c_are_taken(name: str) -> None:
    require_identifier(name)
