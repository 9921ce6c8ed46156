"""What pages show as commands and as Python can be typed as it stands, from the first block to the last."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.documents import ROOT, Block, blocks, blocks_of, documents

pytest.importorskip("aiohttp", reason="the extra 'serve' is not installed")
pytest.importorskip("pymavlink", reason="pymavlink is not here: pip install -c constraints.txt '.[mavlink]'")

from support.documented_shell import Shell

from robots import registry

HYBRID = "hgrpo train hybrid-grpo quadrotor-hover --out runs/hybrid"
GIVEN: dict[str, tuple[str, ...]] = {
    "docs/guides/deploy.md": (HYBRID, "hgrpo export runs/hybrid --onnx policy.onnx"),
    "docs/guides/diagnose.md": (HYBRID,),
    "docs/guides/fly.md": (f"{HYBRID} --task-options interface=ctbr", "hgrpo export runs/hybrid --onnx policy.onnx"),
    "docs/guides/serve.md": (
        HYBRID,
        "hgrpo export runs/hybrid",
        "hgrpo train ppo quadrotor-hover --out runs/land",
        "hgrpo export runs/land",
    ),
    "docs/guides/sim2sim.md": (HYBRID,),
    "docs/guides/train.md": (HYBRID,),
    "docs/guides/watch.md": (HYBRID, "hgrpo export runs/hybrid --onnx policy.onnx"),
}
"""What the reader of a page has done before."""
FACTORY = """

def make_my_env():
    return gymnasium.wrappers.TimeLimit(Cart(), 200)
"""
REGISTERS = """import gymnasium
from my_module import Cart

gymnasium.register("MyEnv-v0", Cart, max_episode_steps=200)
"""


def files(document: str) -> dict[str, str]:
    """The reader's own, by name: what the page itself shows, where it does."""
    if document == "docs/guides/own-environment.md":
        (cart,) = (block.text for block in blocks(document) if "class Cart" in block.text)
        return {"my_module.py": cart + FACTORY, "my_package/my_module.py": REGISTERS}
    if document == "docs/concepts/algorithms.md":
        (squared,) = re.findall(r"`(def squared.*?)`", (ROOT / document).read_text(encoding="utf-8"))
        return {"rewards.py": squared}
    if document == "docs/guides/fly.md":
        return {"my_robot.py": ""}
    if document == "docs/guides/own-task.md":
        (climb,) = (block.text for block in blocks(document) if "class Climb(" in block.text)
        return {"climb.py": climb}
    return {}


def shown(document: str) -> list[Block]:
    return [block for block in blocks(document) if block.language in ("shell", "python")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to type in, whose modules are forgotten in the end."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*render_modes:UserWarning")  # the cart of the page has no pictures
@pytest.mark.parametrize("document", [document for document in documents() if shown(document)])
def test_a_page_can_be_typed(document: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))  # a page registers a task of its own
    shell, names = Shell(folder, monkeypatch), dict[str, Any](observation=np.zeros(16, np.float32))
    for name, text in files(document).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for line in GIVEN.get(document, ()):
        shell.run(line)
    for block in shown(document):
        if block.mark is not None:
            continue
        if block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, str(ROOT / document), "exec"), names)
            continue
        for at, line in enumerate(block.text.split("\n"), block.line):
            try:
                shell.run(line)
            except AssertionError as error:
                raise AssertionError(f"{document}:{at}: {line.strip()}: {error}") from error


def test_tests_that_are_said_to_run_a_block_read_its_page() -> None:
    marks = [(block.document, *block.mark) for document in documents() for block in shown(document) if block.mark]
    tests = {test: document for document, kind, test in marks if kind == "run by"}
    assert len(tests) == 5
    for test, document in tests.items():
        assert Path(document).name in (ROOT / test).read_text(encoding="utf-8")


PAGE = """Text
    that is indented is none.

    hgrpo tasks     # a block
    hgrpo inspect FILE

<!-- not run: it is long -->

```sh
make demo
```

```python
x = 1
```
"""


def test_blocks_are_found_with_their_lines_and_marks() -> None:
    found = list(blocks_of("page.md", PAGE))
    assert [(block.line, block.language, block.mark) for block in found] == [
        (4, "shell", None),
        (10, "shell", ("not run", "it is long")),
        (14, "python", None),
    ]
    assert found[0].text == "hgrpo tasks     # a block\nhgrpo inspect FILE"
    assert [block.text for block in found[1:]] == ["make demo", "x = 1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hgrpo train ppo quadrotor-hover --num-env 2", "--num-env"),
        ("hgrpo train ppo quadrotor-hover --task-options weight=2", "weight"),
        ("hgrpo train ppo quadrotor-hovr", "quadrotor-hovr"),
        ("hgrpo train ppo quadrotor-hover --device gpu", "unknown device"),
        ("hgrpo evaluate runs/hybrid --episode 3", "--episode"),
        ("hgrpo evaluate runs/hybrid --task-options speed=2", "speed"),
        ("hgrpo evaluate runs/other", "runs/other"),
        ("hgrpo compare runs/hybrid runs/other", "runs/other"),
        ("hgrpo export runs/hybrid --tanh fast", "fast"),
        ("hgrpo transfer runs/hybrid --to moon", "moon"),
        ("hgrpo diagnose runs/hybrid --root 3", "--root"),
        ("hgrpo resume runs/hybrid --total 3", "--total"),
        ("hgrpo serve other.onnx", "other.onnx"),
        ("hgrpo serve policy.onnx --slew -1", "slew"),
        ("hgrpo fly policy.onnx mavlink --connection udp:1", "udp:1"),
        ("hgrpo fly policy.onnx mavlink --vehicle me", "me"),
        ("hgrpo fly policy.onnx simulated --secs 3", "--secs"),
        ("hgrpo check my_module:Cart", "my_module"),
        ("hgrpo chekc quadrotor-hover", "check"),
        ("make demos", "demos"),
        ("pip install '.[fly]'", "no extra fly"),
        ("pip install hgrpo-control", "does not install this package"),
        ("python -m benchmarks.suite run hidden_luck --job 1 --sed 2", "suite/__main__.py does not take"),
        ("python benchmarks/nothing.py", "there is no benchmarks/nothing.py"),
        ("python -m tests.support.simulated_vehicle --prot 14540", "does not take --prot"),
        ("rm -rf runs", "rm is no command"),
    ],
)
def test_a_wrong_line_is_found(line: str, message: str, typed: Shell) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        typed.run(line)


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell in which a policy of motors and one of rates have been trained."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        shell = Shell(tmp_path_factory.mktemp("typed"), monkeypatch)
        for line in GIVEN["docs/guides/fly.md"]:
            shell.run(line)
        yield shell
