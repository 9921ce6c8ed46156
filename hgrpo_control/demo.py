"""What `make demo` runs: train, judge, film, export and draw one policy; a run that is there already goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hgrpo_control.cli import main as hgrpo
from hgrpo_control.runs.run_folder import RunFolder
from hgrpo_errors import HgrpoError
from policies import checkpoint
from robots.drawing.offscreen import MissingGraphicsError, require_gl


def demo(out: Path, command: Callable[[Sequence[str]], int] = hgrpo, training: Sequence[str] = ()) -> int:
    """Run every command of the demo in turn and print each; returns the status of the first that fails, or 0.

    Nothing in `out` is deleted: an unfinished run is resumed, a finished one is judged and exported again. `training`
    are more words for `hgrpo train`.
    """
    for words in _commands(out, training):
        print(f"$ hgrpo {' '.join(words)}", flush=True)
        if status := command(words):
            return status
    print(f"Everything lies in {out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    return 0


def _commands(out: Path, training: Sequence[str]) -> Iterator[list[str]]:
    film = _film()
    folder = RunFolder(out)
    if not folder.checkpoint.exists():
        yield ["train", "hybrid-grpo", "quadrotor-hover", "--out", str(out), *training]
    elif is_finished(folder):
        print(f"{out} is trained already and kept; make demo RUN=runs/another trains another")
    else:
        print(f"{out} was interrupted and goes on; make demo RUN=runs/another trains another")
        yield ["resume", str(out)]
    yield ["evaluate", str(out), "--episodes", "200", "--seed", "1", *film]
    yield ["export", str(out)]
    yield ["compare", str(out), "--out", str(out)]


def is_finished(folder: RunFolder) -> bool:
    """Whether the checkpoint of a run is that of its last iteration."""
    config = RunFolder.open(folder.path).peek_config()
    _, saved = checkpoint.restore(folder.checkpoint)
    return int(saved.get("iteration", 0)) >= config.num_iterations


def _film() -> list[str]:
    try:
        require_gl()
    except MissingGraphicsError as error:
        print(f"no film will be made: {error}")
        return []
    return ["--video"]


if __name__ == "__main__":
    try:
        sys.exit(demo(Path(sys.argv[1])))
    except HgrpoError as error:
        print(f"hgrpo: {error}; make demo RUN=runs/another leaves {sys.argv[1]} alone", file=sys.stderr)
        sys.exit(2)
