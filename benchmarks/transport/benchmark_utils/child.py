"""The process that solves: reads questions as lines of JSON, and answers in the same way.

python child.py SOLVER_FILE
"""

import importlib.util
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np


def resident(field: str) -> float:
    """Resident memory in MB: `VmRSS` now, or `VmHWM` at most."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines[field].split()[0]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> None:
    """Answer until there is no more question."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print must not get between the answers
    sys.path.insert(0, str(Path(__file__).parents[1]))
    spec = importlib.util.spec_from_file_location("solver", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    solve = found = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if question["do"] == "prepare":
                found = None
                with np.load(question["data"]) as data:
                    arrays = dict(data)
                solve = module.prepare(
                    arrays, question["method"], question["epsilon"], question["rtol"]
                )
                reply = {}
            elif question["do"] == "solve":
                before, begin = resident("VmRSS"), time.perf_counter()
                found = solve()
                seconds = time.perf_counter() - begin
                reply = {"seconds": seconds, "memory": resident("VmHWM") - before}
            else:
                answer = module.answer(found)
                reply = {"claimed": bool(answer["claimed"]), "calls": answer.get("calls", 0)}
                kept = {name: answer[name] for name in ("plan", "f", "g") if name in answer}
                np.savez(question["path"], **kept)
        except Exception as error:  # noqa: BLE001 (a solver that fails has missed; the run goes on)
            reply = {"error": f"{type(error).__name__}: {error}"}
        channel.write(json.dumps(reply) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
