"""What every test shares: one compilation cache, one budget for hypothesis, one import root."""

import gc
import itertools
import os
import re
import sys
from importlib.metadata import version
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
# Thousands of small programs are compiled here, for a solve or two each: to optimize them costs
# more than it saves. Papers, benchmarks and the tour run them as users do.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# The emitters that XLA had before compile in a third of the time, into one module, on one thread. A
# flag that XLA does not know ends the process, so this is for releases that were seen to know it.
if version("jaxlib").startswith("0.10."):
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
    )
os.environ.setdefault("MPLBACKEND", "agg")

# Compiled programs are many objects that stay: to look through all of them for garbage, as often as
# Python does by itself, finds none.
gc.set_threshold(50_000, 20, 50)

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


def pytest_collection_finish():
    """Some packages set JAX's precision when they are imported, and test modules import them."""
    import jax

    set_by_import = jax.config.jax_enable_x64 and "JAX_ENABLE_X64" not in os.environ
    assert not set_by_import, "a test module imports a package that sets JAX's precision"


@pytest.fixture(autouse=True)
def _user_settings_survive():
    """No test, and so no solve inside one, may leave JAX in another precision than it found."""
    import jax

    before = jax.config.jax_enable_x64
    yield
    assert jax.config.jax_enable_x64 == before


@pytest.fixture
def optimized():
    """For solves to the last digit: programs as users compile them."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
    jax.clear_caches()


MAPS = Path("/proc/self/maps")
_ended = itertools.count(1)


@pytest.fixture(autouse=True)
def _compiled_code_is_let_go():
    """Each program takes a few of the memory maps that Linux lets a process have, 65,530 in all."""
    yield
    if next(_ended) % 20 == 0 and MAPS.exists():
        with MAPS.open("rb") as lines:
            taken = sum(1 for _ in lines)
        if taken > 20_000:
            import jax

            jax.clear_caches()


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


METHOD = re.compile(r"[A-Z]\w*-(traced|host)\b")


def together(nodeid):
    """The name of all tests that one worker should run, since they compile the same programs."""
    file, _, test = nodeid.partition("::")
    folder, module = Path(file).parent.name, Path(file).stem
    parameters = test.partition("[")[2].rstrip("]")
    if folder == "suite" and (method := METHOD.search(parameters)):
        return method[0]
    if module == "test_papers" and parameters:
        return f"paper {parameters}"
    if folder == "papers":
        return f"paper {module.removeprefix('test_').replace('_', '-')}"
    return nodeid if folder == "docs" else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return together(nodeid)

    return Together(config, log) if config.getvalue("dist") == "loadscope" else None
