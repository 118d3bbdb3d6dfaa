"""How fast residuals fall, by slope, against theory: one problem a rate, every method on it."""

import cmath

import numpy as np
import pytest

import resolvent as rs
from resolvent.inclusion import AffineOperator, BilinearGame

WITHIN = 0.1
SIZES = np.geomspace(1e-3, 1.0, 64)
MU = 0.05


def turns():
    """x^T A y with singular values that fall evenly on a logarithmic scale.

    As many of them are still seen at every step number, so that methods whose residual is
    O(1 / sqrt(k)) are that slow and no faster.
    """
    one = np.ones(SIZES.size)
    return BilinearGame(np.diag(SIZES), start=(one, one), lipschitz=1.0, unit=1.0)


def plane(mu, turn, L):
    """mu x plus a turn: a complex number, in the plane."""
    F = AffineOperator(np.array([[mu, turn], [-turn, mu]]))
    return rs.Inclusion(F, start=np.ones(2), lipschitz=L, strong=mu or None)


def residuals(problem, method, steps):
    """Step numbers and residuals."""
    sol = rs.solve(problem, method, rtol=1e-30, max_steps=steps, throw=False)
    return sol.history.steps, sol.history.measures


def exponent(problem, method, first, last):
    k, values = residuals(problem, method, last)
    at = np.geomspace(first, last, 50)
    return np.polyfit(np.log(at), np.interp(np.log(at), np.log(k), np.log(values)), 1)[0]


def roots(*coefficients):
    return max(abs(np.roots(coefficients)))


def golden(z, s):
    r = (1 + 5**0.5) / 2
    move = np.array([[(r - 1) / r, 1 / r], [(r - 1) / r, 1 / r]], complex)
    move[1, 0] -= s * z
    # Columns x and m; rows m' and x'.
    return max(abs(np.linalg.eigvals(move[::-1])))


SLOW = {
    "extragradient": rs.inclusion.Extragradient(),
    "optimistic-gradient": rs.inclusion.OptimisticGradient(),
    "forward-backward-forward": rs.inclusion.ForwardBackwardForward(),
    "forward-reflected-backward": rs.inclusion.ForwardReflectedBackward(),
    "golden-ratio": rs.inclusion.GoldenRatio(0.5),
    "douglas-rachford": rs.inclusion.DouglasRachford(1.0),
    "primal-dual": rs.inclusion.PrimalDual(averaging="none"),
    "mirror-prox": rs.inclusion.MirrorProx(),
}
FAST = {
    "feg": rs.inclusion.AnchoredExtragradient(),
    "eag-c": rs.inclusion.AnchoredExtragradient("eag-c"),
    "eag-v": rs.inclusion.AnchoredExtragradient("eag-v"),
    "accelerated-optimistic-gradient": rs.inclusion.AcceleratedOptimisticGradient(),
}
H = 0.4
LINEAR = {
    "proximal-point": (rs.inclusion.ProximalPoint(H), lambda z: 1 / abs(1 + H * z)),
    "extragradient": (rs.inclusion.Extragradient(H), lambda z: abs(1 - H * z + (H * z) ** 2)),
    "optimistic-gradient": (
        rs.inclusion.OptimisticGradient(H), lambda z: roots(1, 2 * H * z - 1, -H * z)
    ),
    "forward-backward": (rs.inclusion.ForwardBackward(H / 10), lambda z: abs(1 - H / 10 * z)),
    "forward-backward-forward": (
        rs.inclusion.ForwardBackwardForward(H), lambda z: abs(1 - H * z + (H * z) ** 2)
    ),
    "forward-reflected-backward": (
        rs.inclusion.ForwardReflectedBackward(H), lambda z: roots(1, 2 * H * z - 1, -H * z)
    ),
    "golden-ratio": (rs.inclusion.GoldenRatio(H), lambda z: golden(z, H)),
    "douglas-rachford": (rs.inclusion.DouglasRachford(H), lambda z: 1 / abs(1 + H * z)),
    "mirror-prox": (rs.inclusion.MirrorProx(H), lambda z: abs(1 - H * z + (H * z) ** 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_last_iterates_fall_like_the_root_of_k(name):
    assert exponent(turns(), SLOW[name], 100, 3000) == pytest.approx(-0.5, rel=WITHIN)


def test_exact_proximal_points_fall_like_the_root_of_k():
    """Of an affine operator, whose resolvent is a factorization and no inner iteration."""
    A, zero = np.diag(SIZES), np.zeros((SIZES.size,) * 2)
    F = AffineOperator(np.block([[zero, A], [-A, zero]]))
    problem = rs.Inclusion(F, start=np.ones(2 * SIZES.size), lipschitz=1.0)
    found = exponent(problem, rs.inclusion.ProximalPoint(1.0), 100, 3000)
    assert found == pytest.approx(-0.5, rel=WITHIN)


@pytest.mark.parametrize("name", FAST)
def test_accelerated_last_iterates_fall_like_k(name):
    assert exponent(plane(0.0, 0.6, 1.0), FAST[name], 100, 3000) == pytest.approx(-1.0, rel=WITHIN)


@pytest.mark.parametrize("name", LINEAR)
def test_strong_monotonicity_gives_the_factor_of_theory(name):
    method, factor = LINEAR[name]
    k, values = residuals(plane(MU, 1.0, abs(complex(MU, 1.0))), method, 400)
    late = (k >= 40) & (values > 1e-12 * values[0])
    found = np.polyfit(k[late], np.log(values[late]), 1)[0]
    expected = cmath.log(factor(complex(MU, -1.0))).real
    assert expected < 0
    assert found == pytest.approx(expected, rel=WITHIN)
