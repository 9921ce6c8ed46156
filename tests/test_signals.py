"""Signals stop at a moment that loses nothing, and handlers are taken away again."""

from __future__ import annotations

import signal
import threading

import pytest

from hgrpo_signals import ALL, STOP, StopSignals, handled, hold, interrupt, release


@pytest.mark.parametrize("number", ALL)
def test_the_first_signal_waits_and_the_second_raises(number: int) -> None:
    before = signal.getsignal(number)
    with StopSignals() as signals:
        assert not signals.requested
        signal.raise_signal(number)
        assert signals.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(number)  # cleaning up is not interrupted
    assert signal.getsignal(number) is before


def test_the_first_signal_raises_until_it_is_deferred() -> None:
    with StopSignals(deferred=False) as signals, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert signals.requested
    with StopSignals(deferred=False) as signals:
        signals.defer()
        signal.raise_signal(signal.SIGTERM)
        assert signals.requested


def test_no_signal_raises_where_they_are_ignored() -> None:
    with StopSignals(deferred=False) as signals:
        signals.ignore()
        signal.raise_signal(signal.SIGINT)


def test_a_closed_terminal_stays_ignored_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGHUP)
            assert not signals.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_install_nothing() -> None:
    before, found = signal.getsignal(signal.SIGTERM), []

    def look() -> None:
        with handled(STOP, interrupt):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]


def test_signals_that_were_held_back_come_when_they_are_released() -> None:
    with StopSignals() as signals:
        hold()
        try:
            signal.raise_signal(signal.SIGTERM)
            assert not signals.requested
        finally:
            release()
        assert signals.requested
