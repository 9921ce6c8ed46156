"""Claims of runs in a shared folder: one worker each, released, expired, taken over, lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.suite_runs import a_suite, processes

from benchmarks.suite import claims as module
from benchmarks.suite import runs as runner
from benchmarks.suite.claims import Claims
from benchmarks.suite.definition import Suite, SuiteError, Variant
from benchmarks.suite.plan import planned_runs, shard


@pytest.fixture
def claims() -> Iterator[Claims]:
    with closing(Claims(heartbeat=0.05, expires=0.3)) as mine:
        yield mine


def of_another_host(folder: Path, number: int = 1) -> Path:
    path = folder.with_name(f"{folder.name}.claim{number}")
    path.write_text(json.dumps({"host": "elsewhere", "process": os.getpid()}))
    return path


def test_a_claimed_run_is_not_claimed_again_until_it_is_released(tmp_path: Path, claims: Claims) -> None:
    with closing(Claims()) as others:
        claim = claims.take(tmp_path / "seed0")
        assert claim is not None
        assert others.take(tmp_path / "seed0") is None
        assert others.take(tmp_path / "seed1") is not None
        claims.release(claim, done=False)
        assert others.take(tmp_path / "seed0") is not None
    assert list(tmp_path.iterdir()) == []  # closed


def test_a_claim_of_another_host_expires_only_if_nobody_touches_it(tmp_path: Path, claims: Claims) -> None:
    path = of_another_host(tmp_path / "seed0")
    for _ in range(8):
        os.utime(path)
        assert claims.take(tmp_path / "seed0") is None
        time.sleep(0.1)
    time.sleep(0.35)
    claim = claims.take(tmp_path / "seed0")
    assert claim is not None
    assert claim.path.name == "seed0.claim2"
    claims.release(claim, done=True)
    assert list(tmp_path.iterdir()) == []


def test_a_claim_with_a_clock_that_is_wrong_does_not_expire(tmp_path: Path, claims: Claims) -> None:
    path = of_another_host(tmp_path / "seed0")
    os.utime(path, (1, 1))
    assert claims.take(tmp_path / "seed0") is None


def test_a_claim_of_a_dead_process_of_this_host_expires_at_once(tmp_path: Path, claims: Claims) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    path = tmp_path / "seed0.claim1"
    path.write_text(json.dumps({"host": module._host(), "process": dead.pid}))
    assert socket.gethostname() in module._host()
    claim = claims.take(tmp_path / "seed0")
    assert claim is not None


def test_an_unfinished_claim_counts(tmp_path: Path, claims: Claims) -> None:
    (tmp_path / "seed0.claim1").touch()
    assert claims.take(tmp_path / "seed0") is None


def test_one_of_many_workers_takes_an_expired_claim_over(tmp_path: Path) -> None:
    of_another_host(tmp_path / "seed0")
    workers = [Claims(expires=0.2) for _ in range(8)]
    assert [worker.take(tmp_path / "seed0") for worker in workers] == [None] * 8
    time.sleep(0.3)
    gate, taken = threading.Barrier(8), []

    def take(worker: Claims) -> None:
        gate.wait()
        taken.append(worker.take(tmp_path / "seed0"))

    threads = [threading.Thread(target=take, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in taken) == 1
    for worker in workers:
        worker.close()


def test_a_claim_that_was_taken_over_is_lost_and_stays_with_the_other(tmp_path: Path, claims: Claims) -> None:
    claim = claims.take(tmp_path / "seed0")
    assert claim is not None
    assert not claim.lost
    theirs = of_another_host(tmp_path / "seed0", number=2)
    time.sleep(0.2)
    assert claim.lost
    claims.release(claim, done=True)
    assert theirs.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("stand_in")
def test_two_runners_share_a_suite_and_begin_no_run_twice(tmp_path: Path) -> None:
    runs = planned_runs(a_suite("a", "b", "c", seeds=(0, 1)), tmp_path)
    threads = [threading.Thread(target=runner.run_missing, args=(order, 1)) for order in (runs, runs[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [processes(run) for run in runs] == [["train", "evaluate"]] * 6
    assert not list(tmp_path.rglob("*.claim*"))


def test_shards_share_the_runs_and_keep_a_run_with_its_reference(tmp_path: Path) -> None:
    plain = a_suite("a", "b", "c").variants
    held = Variant("held", "ppo", (*plain[0].options, "--kl-coef", "0.1"), reference="a")
    suite = Suite("trial", "Trial", ("quadrotor-hover",), (held, *plain), (0, 1), episodes=5)
    runs = planned_runs(suite, tmp_path)
    shards = [shard(runs, f"{index}/3") for index in range(3)]
    assert sorted(run.label for part in shards for run in part) == sorted(run.label for run in runs)
    assert max(map(len, shards)) - min(map(len, shards)) <= 2
    for part in shards:
        paths = {run.path for run in part}
        assert all(run.reference is None or run.reference.path in paths for run in part)


@pytest.mark.parametrize("word", ["3/3", "1", "a/b", "0/0", "-1/2", "1/2/3"])
def test_other_words_for_a_shard_are_refused(word: str) -> None:
    with pytest.raises(SuiteError, match=f"--shard.*{word}"):
        shard([], word)
