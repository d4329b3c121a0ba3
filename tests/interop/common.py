"""What the interop checks share: random gauges, running the native command, and a small report.

These scripts are not part of `make test`: they need the real packages, e.g.
    python3 -m venv .venv && .venv/bin/pip install torch transformers peft sae-lens gguf safetensors
    .venv/bin/python tests/interop/checkpoints.py
REGAUGE names the command (default: build/native/regauge).
"""
import json
import os
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REGAUGE = os.environ.get("REGAUGE", str(ROOT / "build" / "native" / "regauge"))
failures = []


def random_gauge(d, seed=0, signs=True):
    rng = random.Random(seed)
    perm = list(range(d))
    rng.shuffle(perm)
    sign = [rng.choice([1, -1]) if signs else 1 for _ in range(d)]
    return {"format": "regauge-gauge", "version": 1, "d": d, "group": "signed" if signs else "permutation", "perm": perm, "sign": sign}


def inverse(gauge):
    d = gauge["d"]
    perm, sign = [0] * d, [0] * d
    for i, p in enumerate(gauge["perm"]):
        perm[p], sign[p] = i, gauge["sign"][i]
    return {**gauge, "perm": perm, "sign": sign}


def write_gauge(gauge, path):
    pathlib.Path(path).write_text(json.dumps(gauge))
    return str(path)


def regauge(*arguments):
    """Runs the command; returns (exit status, stdout + stderr)."""
    done = subprocess.run([REGAUGE, *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def transport(item, gauge, out, *more):
    status, text = regauge("transport", item, "--gauge", gauge, "-o", out, "--force", *more)
    if status != 0:
        raise RuntimeError(text.strip())
    return text


def same_bytes(a, b):
    """Whether two files, or all files of two folders, are equal."""
    a, b = pathlib.Path(a), pathlib.Path(b)
    if a.is_file():
        return a.read_bytes() == b.read_bytes()
    names = sorted(p.name for p in a.iterdir() if p.is_file())
    return names == sorted(p.name for p in b.iterdir() if p.is_file()) and all((a / n).read_bytes() == (b / n).read_bytes() for n in names)


def check(what, ok, detail=""):
    print(f"{'ok  ' if ok else 'FAIL'} {what}{': ' if detail else ''}{detail}", flush=True)
    if not ok:
        failures.append(what)


def finish():
    print(f"{len(failures)} failed" if failures else "all passed")
    sys.exit(1 if failures else 0)
