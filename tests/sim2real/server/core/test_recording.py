"""What is recorded is what was done, and replays to the bit."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from support.server_process import OBSERVATIONS, PATIENCE, SPEC, Server

from sim2real.client.policy_client import PolicyClient
from sim2real.policy.onnx_policy import OnnxPolicy
from sim2real.server.core.recording import (
    WAITING_BYTES,
    Recorder,
    Step,
    read,
    replay,
)
from sim2real.server.metrics import Metrics

pytestmark = pytest.mark.slow

STEP = Step(1.5, "one", "1", 3, True, -1, False, OBSERVATIONS[:1], np.array([[0.1, 2.0]], np.float32))


def record(folder: Path, steps: int, limit: int = 1 << 20) -> tuple[Recorder, Metrics]:
    metrics = Metrics(("one",))
    recorder = Recorder(folder, {"slew": None, "policies": []}, limit, metrics)
    for _ in range(steps):
        recorder.put(STEP)
    recorder.close()
    return recorder, metrics


def test_steps_come_back_as_they_were(tmp_path: Path) -> None:
    recorder, metrics = record(tmp_path / "new" / "folder", 50)
    header, steps = read(recorder.path)
    assert header["slew"] is None
    back = list(steps)
    assert len(back) == metrics.recorded == 50
    for name, value in STEP._asdict().items():
        np.testing.assert_array_equal(getattr(back[-1], name), value)


def test_a_file_that_was_cut_short_gives_what_is_whole(tmp_path: Path) -> None:
    path = record(tmp_path, 3)[0].path
    content = path.read_bytes()
    for cut in (1, 40):
        path.write_bytes(content[:-cut])
        assert len(list(read(path)[1])) == 2
    for nonsense in (b"", b"\x93", b"\x01", b"nonsense"):
        path.write_bytes(nonsense)
        with pytest.raises(ValueError, match=r"no recording"):
            read(path)


def test_recording_stops_at_its_limit_and_counts_what_it_drops(tmp_path: Path) -> None:
    recorder, metrics = record(tmp_path, 100, limit=2000)
    assert recorder.path.stat().st_size <= 2000
    assert recorder.failure == "the recording has reached 2000 bytes"
    assert metrics.recorded > 0
    assert metrics.recorded + metrics.unrecorded == 100
    assert len(list(read(recorder.path)[1])) == metrics.recorded


def test_a_full_disk_stops_the_recording_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    open_file = Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode: open_file(full, "wb"))
    recorder, metrics = record(tmp_path, 50)
    assert recorder.failure == "the recording cannot be written: No space left on device"
    assert metrics.unrecorded > 0


def test_what_waits_for_a_slow_disk_is_bounded_in_bytes(tmp_path: Path) -> None:
    metrics, gate = Metrics(("one",)), threading.Event()
    recorder = Recorder(tmp_path, {"slew": None, "policies": []}, 1 << 40, metrics)

    class SlowDisk:
        def write(self, data: bytes) -> int:
            assert gate.wait(PATIENCE)
            return len(data)

        def flush(self) -> None: ...

        def close(self) -> None: ...

    recorder._file.close()
    recorder._file = SlowDisk()  # type: ignore[assignment]
    rows = np.zeros((256, 256), np.float32)
    large = STEP._replace(observation=rows, action=np.zeros((256, 1), np.float32))
    fit = WAITING_BYTES // (rows.nbytes + 1024 + 1024)
    for _ in range(fit + 10):
        recorder.put(large)
    assert metrics.unrecorded == 10
    gate.set()
    recorder.close()
    assert (metrics.recorded, metrics.unrecorded) == (fit, 10)


def test_records_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(tmp_path, 2000)[0].path
    assert path.stat().st_size > 4 * (1 << 16)
    monkeypatch.delattr(Path, "read_bytes")  # never all of it at once
    monkeypatch.setattr("sim2real.server.core.recording._LARGEST_RECORD", 1 << 16)  # what may be in memory
    assert len(list(read(path)[1])) == 2000
    monkeypatch.setattr("sim2real.server.core.recording._LARGEST_RECORD", 64)
    with pytest.raises(ValueError, match=r"more than 64 bytes|allowed: 64"):
        list(read(path)[1])


def test_a_server_s_recording_replays_to_the_bit_and_it_stops_without_losing_any(
    tmp_path: Path, policy_files: tuple[Path, Path], one: OnnxPolicy, two: OnnxPolicy
) -> None:
    path = shutil.copy(policy_files[0], tmp_path / "one.onnx")
    running = Server(path, "--record", tmp_path / "steps", "--slew", "20")
    flown: list[np.ndarray] = []

    def fly(seed: int) -> None:
        generator = np.random.default_rng(seed)
        with PolicyClient(running.url(), timeout=PATIENCE) as client:
            for index in range(60):
                if index % 25 == 0:
                    client.reset()
                flown.append(client.infer(generator.normal(0.5, 2.0, 3).astype(np.float32)).action)

    flights = [threading.Thread(target=fly, args=(seed,)) for seed in range(2)]
    for flight in flights:
        flight.start()
    for flight in flights:
        flight.join(PATIENCE)
    with PolicyClient(running.url(), timeout=PATIENCE) as client:
        flown.append(client.infer(OBSERVATIONS[0]).action)
        assert running.stop() == 0  # while a conversation is open
        with pytest.raises(ConnectionError):
            client.infer(OBSERVATIONS[0])
    assert "recording: " in running.output
    (recording,) = (tmp_path / "steps").iterdir()
    header, steps = read(recording)
    assert header["slew"] == 20.0
    assert header["policies"][0]["control_hz"] == SPEC.control_hz
    recorded = np.concatenate([step.action for step in steps])
    assert len(recorded) == 121
    assert {action.tobytes() for action in flown} == {action.tobytes() for action in recorded}
    assert replay(recording, one, "one") == 0.0
    assert replay(recording, two, "one", "1") > 0.01
    with pytest.raises(ValueError, match="no step of policy 'two'"):
        replay(recording, two, "two")
