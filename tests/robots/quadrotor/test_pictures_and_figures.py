"""What quadrotor tasks draw, tell of an episode and let others adjust, with default and other options."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support.combinations import TASKS
from support.states import ROWS, running_states

import robots
from robots.drawing.offscreen import MissingGraphicsError, require_gl
from robots.simulator import Adjustable, Simulator, episode_metrics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[task for task in TASKS if task[0].startswith("quadrotor")], ids=str)
def simulator(request: pytest.FixtureRequest) -> Simulator:
    name, options = request.param
    return robots.make(name, **options)


def test_it_can_be_drawn(simulator: Simulator) -> None:
    try:
        require_gl()
    except MissingGraphicsError as error:
        pytest.skip(str(error))
    picture = simulator.render(running_states(simulator)[1], 1, 64, 48)
    assert picture.shape == (48, 64, 3)
    assert len(np.unique(picture)) > 10


def test_figures_of_an_episode_are_named_with_their_unit(simulator: Simulator) -> None:
    for name, values in episode_metrics(simulator, running_states(simulator)[-1]).items():
        assert re.fullmatch(r"\S.* \[.+\]", name), name
        assert values.shape == (ROWS,)


def test_settings_can_be_adjusted_to_what_they_are(simulator: Simulator) -> None:
    assert isinstance(simulator, Adjustable)
    for name, value in simulator.settings.items():
        simulator.adjust(name, value)
        assert simulator.settings[name] == value
