"""What is drawn for an episode, and gusts as an Ornstein-Uhlenbeck process."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from support.states import same
from torch import Tensor

import robots
from robots import noise
from robots.options import OptionError
from robots.quadrotor.body import randomization as randomize
from robots.quadrotor.body.parameters import PRESETS
from robots.quadrotor.body.randomization import Gusts, HiddenParameters, Randomization

LEVEL = 1e-3  # p-value below which a fixed seed would be called a wrong distribution
ROWS = 20_000
WIDE = Randomization(mass=0.3, rotor_thrust=0.1, inertia=0.5, rotor_lag=0.9, wind=2.0, gust=3.0, gust_time=0.05)
SHARES = ("mass", "rotor_thrust", "inertia", "rotor_lag")


def draw(randomization: Randomization = WIDE, rows: int = ROWS, seed: int = 0) -> tuple[HiddenParameters, Tensor]:
    """Rows of an episode that begins, in double precision, and their noise keys."""
    generator = torch.Generator().manual_seed(seed)
    keys = noise.new_keys(rows, generator)
    return randomize.draw(randomization, rows, generator, keys, torch.float64), keys


def blow(hidden: HiddenParameters, keys: Tensor, steps: int, duration: float = 0.01) -> list[HiddenParameters]:
    """The rows after 0, 1, ... `steps` steps."""
    path, next_gust = [hidden], Gusts(WIDE, duration, torch.float64)
    for _ in range(steps):
        path.append(next_gust(path[-1], keys))
    return path


def standard_errors(measured: NDArray[np.float64], expected: float, error: float) -> float:
    """How many standard errors the furthest of several estimates strays."""
    return float(np.abs((measured - expected) / error).max())


def p_of_correlation(columns: NDArray[np.float64]) -> float:
    """p-value that all pairs of columns (n, k) are uncorrelated: n r^2 summed over the pairs is chi-square."""
    n, k = columns.shape
    r = np.asarray(np.corrcoef(columns, rowvar=False))[np.triu_indices(k, 1)]
    return float(stats.chi2.sf(n * (r**2).sum(), len(r)))


# --- ranges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("share", [-0.1, 1.0, 30.0, math.nan])
def test_a_share_that_means_nothing_is_refused(name: str, share: float) -> None:
    with pytest.raises(OptionError) as caught:
        Randomization(**{name: share})
    assert str(caught.value).startswith(f"{name} must be at least 0 and below 1")
    assert str(caught.value).endswith(f"; given {share}")


@pytest.mark.parametrize("name", ["wind", "gust"])
@pytest.mark.parametrize("deviation", [-1e-9, math.nan, math.inf])
def test_a_deviation_that_means_nothing_is_refused(name: str, deviation: float) -> None:
    with pytest.raises(OptionError) as caught:
        Randomization(**{name: deviation})
    assert str(caught.value).startswith(f"{name} must be at least 0")
    assert str(caught.value).endswith(f"; given {deviation}")


@pytest.mark.parametrize("time", [0.0, -0.3, math.nan])
def test_gusts_need_time(time: float) -> None:
    with pytest.raises(OptionError) as caught:
        Randomization(gust_time=time)
    assert str(caught.value).startswith("gust_time must be above 0 s")
    assert str(caught.value).endswith(f"; given {time}")


def test_each_range_alone_draws_something_and_the_time_of_absent_gusts_does_not() -> None:
    for field in fields(Randomization):
        varied = Randomization(**{field.name: 0.5})
        assert varied.draws_anything == (field.name != "gust_time"), field.name
    assert not Randomization().draws_anything


# --- what is drawn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "size"), [("mass", 1), ("rotor_thrust", 4), ("inertia", 3), ("rotor_lag", 1)])
def test_factors_are_uniform_over_their_whole_range(name: str, size: int) -> None:
    """Uniform over 1 +- s: variance s^2/3; the fourth moment s^4/5 gives the squared deviation variance 4 s^4/45."""
    share, columns = getattr(WIDE, name), getattr(draw()[0], name).numpy()
    assert columns.shape == (ROWS, size)
    assert (np.abs(columns - 1.0) <= share * (1.0 + 1e-12)).all()
    assert (columns.max(axis=0) > 1.0 + 0.999 * share).all()
    assert (columns.min(axis=0) < 1.0 - 0.999 * share).all()
    for column in columns.T:
        assert stats.kstest(column, "uniform", (1.0 - share, 2.0 * share)).pvalue > LEVEL
    assert standard_errors(columns.mean(axis=0), 1.0, share / math.sqrt(3.0 * ROWS)) < 4.0
    squared = ((columns - 1.0) ** 2).mean(axis=0)
    assert standard_errors(squared, share**2 / 3.0, share**2 * math.sqrt(4.0 / 45.0 / ROWS)) < 4.0


@pytest.mark.parametrize("name", ["wind", "gust"])
def test_wind_and_first_gust_are_normal(name: str) -> None:
    """Of n normal draws the mean strays by sigma / sqrt(n) and the variance by sigma^2 sqrt(2 / n)."""
    sigma, columns = getattr(WIDE, name), getattr(draw()[0], name).numpy()
    assert columns.shape == (ROWS, 3)
    for column in columns.T:
        assert stats.kstest(column / sigma, "norm").pvalue > LEVEL
    assert standard_errors(columns.mean(axis=0), 0.0, sigma / math.sqrt(ROWS)) < 4.0
    assert standard_errors((columns**2).mean(axis=0), sigma**2, sigma**2 * math.sqrt(2.0 / ROWS)) < 4.0


def test_what_is_drawn_is_independent_of_each_other() -> None:
    hidden, _ = draw()
    assert (
        p_of_correlation(
            torch.cat([x for x in hidden if isinstance(x, torch.Tensor) and x.is_floating_point()], dim=1).numpy()
        )
        > LEVEL
    )


def test_a_range_of_zero_leaves_the_nominal_value_exactly() -> None:
    hidden, _ = draw(Randomization(gust=1.0), rows=50)
    for name in SHARES:
        assert (getattr(hidden, name) == 1.0).all()
    assert not hidden.wind.any()
    assert hidden.gust.all()


def test_the_generator_and_the_keys_decide() -> None:
    first, again, other = draw(rows=5)[0], draw(rows=5)[0], draw(rows=5, seed=1)[0]
    assert same(first, again)
    for name in (*SHARES, "wind", "gust"):
        assert not (getattr(first, name) == getattr(other, name)).any(), name


# --- gusts ------------------------------------------------------------------------------------------------------------


def test_a_gust_by_hand() -> None:
    """With h = tau ln 2, a = 1/2: g' = g/2 + sqrt(3)/2 sigma xi; nothing else of what is hidden moves."""
    hidden, keys = draw(rows=4)
    (after,) = blow(hidden, keys, 1, duration=WIDE.gust_time * math.log(2.0))[1:]
    fresh = noise.normal(keys, 1, 3, torch.float64)
    torch.testing.assert_close(after.gust, 0.5 * hidden.gust + math.sqrt(0.75) * 3.0 * fresh, rtol=1e-14, atol=1e-14)
    assert after.gust_steps.tolist() == [1] * 4
    for name in set(HiddenParameters._fields) - {"gust", "gust_steps"}:
        assert same((getattr(after, name),), (getattr(hidden, name),))


def test_without_gusts_nothing_moves() -> None:
    calm = Randomization(mass=0.3, wind=1.0)
    hidden, keys = draw(calm, rows=4)
    assert Gusts(calm, 0.01, torch.float64)(hidden, keys) is hidden


def test_gusts_are_stationary_with_the_autocorrelation_of_their_time() -> None:
    """corr(g(t), g(t + k h)) = exp(-k h / tau), here exp(-k/5); of n pairs it strays by (1 - r^2) / sqrt(n)."""
    path = np.stack([h.gust.numpy() for h in blow(*draw(), steps=40)])  # (S, B, 3)
    n = ROWS * 3
    for gust in path[[1, 10, 40]]:
        assert stats.kstest(gust.ravel() / WIDE.gust, "norm").pvalue > LEVEL
        assert standard_errors((gust**2).mean(), WIDE.gust**2, WIDE.gust**2 * math.sqrt(2.0 / n)) < 4.0
    for start in (0, 15):
        for lag in (1, 2, 5, 10, 25):
            expected = math.exp(-lag / 5.0)
            measured = np.corrcoef(path[start].ravel(), path[start + lag].ravel())[0, 1]
            assert standard_errors(measured, expected, (1.0 - expected**2) / math.sqrt(n)) < 4.0


def test_axes_rows_and_parameters_of_gusts_are_independent() -> None:
    hidden, keys = draw()
    gust = blow(hidden, keys, 3)[-1].gust
    assert p_of_correlation(torch.cat((gust, hidden.wind, hidden.mass), dim=1).numpy()) > LEVEL
    neighbours = gust.reshape(-1, 12)  # four neighbouring rows side by side
    assert p_of_correlation(neighbours.numpy()) > LEVEL


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_gusts_do_not_depend_on_the_length_of_a_step(pieces: int) -> None:
    """After 0.05 s = tau from the same gust g: mean g / e and variance sigma^2 (1 - e^-2), in however many steps."""
    hidden, keys = draw()
    given = torch.tensor([5.0, -2.0, 0.0], dtype=torch.float64)
    after = blow(hidden._replace(gust=given.expand(ROWS, 3)), keys, pieces, 0.05 / pieces)[-1].gust.numpy()
    variance = WIDE.gust**2 * (1.0 - math.exp(-2.0))
    strays = (after.mean(axis=0) - given.numpy() / math.e) / math.sqrt(variance / ROWS)
    assert np.abs(strays).max() < 4.0
    assert standard_errors(after.var(axis=0), variance, variance * math.sqrt(2.0 / ROWS)) < 4.0


def test_a_restored_gust_repeats_and_other_keys_give_others() -> None:
    hidden, keys = draw(rows=6)
    path = blow(hidden, keys, 10)
    for before, after in zip(blow(path[4], keys, 6), path[4:], strict=True):
        assert torch.equal(before.gust, after.gust)
    others = blow(hidden, keys + 1, 10)
    for one, other in zip(path[1:], others[1:], strict=True):
        assert not (one.gust == other.gust).any()


def test_split_keys_share_the_present_gust_and_part_from_the_next_one_on() -> None:
    """Siblings' gusts have one distribution: same mean and variance, and beyond the shared past no correlation."""
    hidden, keys = draw()
    siblings = [blow(hidden, noise.split(keys, i), 5) for i in range(4)]
    alone = blow(hidden, keys, 5)
    assert all(torch.equal(a.gust, b.gust) for a, b in zip(siblings[0], alone, strict=True))
    ends = torch.stack([path[-1].gust for path in siblings])
    for i in range(4):
        assert torch.equal(siblings[i][0].gust, hidden.gust)
        assert not (siblings[i][1].gust == siblings[i - 1][1].gust).any()
    keep = math.exp(-1.0)  # 5 steps of 10 ms are tau
    fresh = ((ends - keep * hidden.gust) / (WIDE.gust * math.sqrt(1.0 - keep**2))).numpy()
    assert standard_errors(fresh.mean(axis=(1, 2)), 0.0, 1.0 / math.sqrt(3 * ROWS)) < 4.0
    assert standard_errors((fresh**2).mean(axis=(1, 2)), 1.0, math.sqrt(2.0 / (3 * ROWS))) < 4.0
    assert p_of_correlation(fresh.reshape(4, -1).T) > LEVEL


@pytest.mark.parametrize(
    ("quadrotor", "name"),
    [
        ("cf2x", "rotor_lag"),
        ("cf2x", "idle_speed"),
        ("rl-tools", "drag"),
        ("rl-tools", "idle_speed"),
        ("learning-to-fly", "drag"),
        ("learning-to-fly", "idle_speed"),
    ],
)
def test_what_is_zero_in_a_preset_cannot_vary(quadrotor: str, name: str) -> None:
    with pytest.raises(OptionError) as caught:
        robots.make("quadrotor-hover", quadrotor=quadrotor, **{name: "0.5"})
    assert str(caught.value) == (
        f"{name} cannot vary: it is zero in quadrotor={quadrotor}; given {name}=0.5, allowed: {name}=0"
    )


def test_every_other_share_changes_how_a_preset_flies() -> None:
    without_drag = set(PRESETS) - {"cf2x", "cf21B_500"}
    zero = {("cf2x", "rotor_lag"), *((quadrotor, "drag") for quadrotor in without_drag)}
    zero |= {(quadrotor, "idle_speed") for quadrotor in set(PRESETS) - {"cf21B_500"}}
    for quadrotor in PRESETS:
        plain = robots.make("quadrotor-hover", quadrotor=quadrotor)
        for name in (
            "mass",
            "rotor_thrust",
            "inertia",
            "rotor_lag",
            "drag",
            "yaw_torque",
            "rotor_offset",
            "idle_speed",
        ):
            if (quadrotor, name) in zero:
                continue
            varied = robots.make("quadrotor-hover", quadrotor=quadrotor, **{name: "0.5"})
            state, drawn = plain.reset(20, 0), varied.reset(20, 0)
            drawn = drawn._replace(body=state.body)
            for action in (torch.tensor([1.0, -1.0, 0.5, -0.5]), -torch.ones(4)):
                state, drawn = (s.step(x, action.repeat(20, 1)).state for s, x in ((plain, state), (varied, drawn)))
            assert not torch.equal(plain.observe(state), varied.observe(drawn)), (quadrotor, name)
