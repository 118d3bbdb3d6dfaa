"""Problems with known answers: a controlled membrane and a controlled pendulum."""

import numpy as np


def membrane(N):
    """A state w near a wanted one under the least control z: L w + z = 0 on an N x N grid.

    f = |w - w*|^2 / 2 + 0.05 |z|^2, L the five-point Laplacian over h^2 = 1 / (N + 1)^2, so that
    the conditions of Lagrange are linear.
    """
    import resolvent as rs

    laplacian, wanted = membrane_data(N)
    m = N * N

    def f(x, args):
        away = x[:m] - args[1]
        return 0.5 * (away @ away) + 0.05 * (x[m:] @ x[m:])

    def c(x, args):
        return args[0] @ x[:m] + x[m:]

    return rs.ConstrainedProblem(f, c, args=(laplacian, wanted), x0=np.ones(2 * m))


def membrane_data(N):
    """The Laplacian, [N^2, N^2], and the wanted state."""
    line = (np.eye(N, k=1) + np.eye(N, k=-1) - 2 * np.eye(N)) * (N + 1) ** 2
    return np.kron(line, np.eye(N)) + np.kron(np.eye(N), line), wanted_state(N)


def wanted_state(N):
    """What the state is to be near, [N^2]."""
    place = 0.1 / np.sqrt(15) * (np.arange(1, N + 1) - (N + 1) / 2)
    return (np.sin(4 + place)[:, None] + np.cos(3 + place)[None, :]).ravel()


def membrane_answer(N):
    """The state and the control: the equations put into f, a linear system is left."""
    laplacian, wanted = membrane_data(N)
    w = np.linalg.solve(np.eye(N * N) + 0.1 * laplacian.T @ laplacian, wanted)
    return np.r_[w, -laplacian @ w]


def pendulum(N, most=None):
    """A pendulum that follows a swing: unknowns are its angles, speeds and torques at N + 1 times.

    f is half the mean square of what angles and torques are away from those of a swing that the
    discretized pendulum can follow exactly (midpoint rule, 4 seconds), so that this swing is the
    answer and f is 0 there. With `most` the torques have that bound, which the swing keeps, and it
    begins at rest at the bottom in either case.
    """
    import jax.numpy as jnp

    import resolvent as rs

    answer = pendulum_answer(N)
    step = 4.0 / N

    def parts(x):
        return x[: N + 1], x[N + 1 : 2 * N + 2], x[2 * N + 2 :]

    def f(x, args):
        away = parts(x - args)
        return 0.5 * (away[0] @ away[0] + 0.1 * (away[2] @ away[2])) / N

    def c(x, args):
        angle, speed, torque = parts(x)
        middle, fast = 0.5 * (angle[1:] + angle[:-1]), 0.5 * (speed[1:] + speed[:-1])
        return jnp.concatenate([
            angle[1:] - angle[:-1] - step * fast,
            speed[1:] - speed[:-1] - step * (torque - jnp.sin(middle)),
            angle[:1], speed[:1],
        ])  # fmt: skip

    bounds = None
    if most is not None:
        side = np.r_[np.full(2 * N + 2, np.inf), np.full(N, float(most))]
        bounds = (-side, side)
    return rs.ConstrainedProblem(f, c, bounds=bounds, args=answer, x0=np.zeros(answer.size))


def pendulum_answer(N):
    """Angles, speeds and torques of the swing: the angle 1 - cos t, its speeds by the midpoint
    rule, and the torques that follow."""
    step = 4.0 / N
    speed = np.zeros(N + 1)
    angle = 1 - np.cos(step * np.arange(N + 1))
    for k in range(N):
        speed[k + 1] = 2 * (angle[k + 1] - angle[k]) / step - speed[k]
    middle = 0.5 * (angle[1:] + angle[:-1])
    return np.r_[angle, speed, (speed[1:] - speed[:-1]) / step + np.sin(middle)]
