"""What every test shares: one compilation cache, one budget for hypothesis, one import root."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache"

# JAX reads these once, on import, and commands that tests start inherit them. Compiled code is
# then shared by the xdist workers and by the next run; that a warm cache changes no result is
# JAX's promise, and compilation counts are taken from tracing, which the cache does not skip.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("MPLBACKEND", "agg")

# Shared problems are imported as `suite.problems`: importlib mode leaves the path alone.
sys.path.insert(0, str(HERE))

# The first example of a property pays for its compilation: a deadline would judge the compiler.
# Examples are derived from the test itself, so that a run can be repeated anywhere.
settings.register_profile(
    "resolvent",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("resolvent")


@pytest.fixture(autouse=True)
def _user_settings_survive():
    """No test, and so no solve inside one, may leave JAX in another precision than it found."""
    import jax

    before = jax.config.jax_enable_x64
    yield
    assert jax.config.jax_enable_x64 == before


@pytest.fixture(scope="session")
def _events():
    """A running count of what JAX traces and compiles, by its own public monitoring."""
    import jax

    names = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: names.append(name))
    return names


@pytest.fixture
def traces(_events):
    """Call it for the number of programs that JAX has lowered so far in this process."""

    def count():
        return sum("jaxpr_to_mlir_module" in name for name in _events)

    return count
