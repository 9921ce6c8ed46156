"""`make demo`: train, evaluate, film, export and plot one policy; an existing run is continued."""

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
    """Run and print every command of the demo, until one fails.

    Nothing in `out` is deleted: an unfinished run is resumed, and a finished one is evaluated and exported again.

    Args:
        out: Run folder.
        command: Runs the arguments of `hgrpo` and returns the exit status.
        training: More arguments of `hgrpo train`.

    Returns:
        Exit status of the command that failed, else 0.
    """
    for args in _commands(out, training):
        print(f"$ hgrpo {' '.join(args)}", flush=True)
        if status := command(args):
            return status
    print(f"All files are in {out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    return 0


def _commands(out: Path, training: Sequence[str]) -> Iterator[list[str]]:
    film = _film()
    folder = RunFolder(out)
    if not folder.checkpoint.exists():
        yield ["train", "hybrid-grpo", "quadrotor-hover", "--out", str(out), *training]
    elif is_finished(folder):
        print(f"{out} is a finished run and is kept; make demo RUN=runs/another trains a new one")
    else:
        print(f"{out} was interrupted and is continued; make demo RUN=runs/another trains a new one")
        yield ["resume", str(out)]
    yield ["evaluate", str(out), "--episodes", "200", "--seed", "1", *film]
    yield ["export", str(out)]
    yield ["compare", str(out), "--out", str(out)]


def is_finished(folder: RunFolder) -> bool:
    """Whether the checkpoint is that of the last iteration."""
    config = RunFolder.open(folder.path).peek_config()
    _, saved = checkpoint.restore(folder.checkpoint)
    return int(saved.get("iteration", 0)) >= config.num_iterations


def _film() -> list[str]:
    try:
        require_gl()
    except MissingGraphicsError as error:
        print(f"no film: {error}")
        return []
    return ["--video"]


if __name__ == "__main__":
    try:
        sys.exit(demo(Path(sys.argv[1])))
    except HgrpoError as error:
        print(f"hgrpo: {error}; make demo RUN=runs/another uses another folder", file=sys.stderr)
        sys.exit(2)
