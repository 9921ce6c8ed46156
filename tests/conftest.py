"""What every test may use."""

from __future__ import annotations

import signal
from typing import IO, Any

import pytest
from hypothesis import settings

settings.register_profile("no deadline", deadline=None)  # a busy machine may take long over one example
settings.load_profile("no deadline")

if hasattr(signal, "SIGHUP"):  # a process that is started by nohup ignores it, and tests send it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are written without being drawn, which takes a second each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    def write(canvas: FigureCanvasAgg, file: IO[bytes], **options: Any) -> None:
        file.write(b"not drawn")

    monkeypatch.setattr(FigureCanvasAgg, "print_png", write)
