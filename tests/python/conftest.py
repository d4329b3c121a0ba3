"""What the tests share: the shipped sample, the native command, evidence whose gauge is known."""

import os
import pathlib
import shutil
import subprocess
import sysconfig

import numpy as np
import pytest

import regauge

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "examples" / "tales-d64"


@pytest.fixture(scope="session")
def sample():
    return SAMPLE


@pytest.fixture(scope="session")
def command():
    """The command: REGAUGE_COMMAND, the wheel's own, or build/native's."""
    places = [os.environ.get("REGAUGE_COMMAND"), os.path.join(sysconfig.get_path("scripts"), "regauge"),
              str(ROOT / "build" / "native" / "regauge"), shutil.which("regauge")]  # fmt: skip
    found = next((place for place in places if place and os.access(place, os.X_OK)), None)
    assert found, "no regauge command: pip install . brings it, or set REGAUGE_COMMAND"

    def run(*args, **options):
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.run([found, *map(str, args)], text=True, **{**streams, **options})

    return run


@pytest.fixture(scope="session")
def planted():
    """Rows [512, 24] of correlated channels, the same under a gauge, and that gauge."""
    random = np.random.default_rng(7)
    d = 24
    x = (random.normal(size=(512, d)) @ random.normal(size=(d, d))).astype(np.float32)
    perm, sign = random.permutation(d), random.choice([-1, 1], d)
    return x, np.ascontiguousarray(x[:, perm] * sign.astype(np.float32)), regauge.Gauge(perm, sign)


@pytest.fixture(scope="session")
def aligned(sample):
    return regauge.align(sample / "source/evidence.safetensors", sample / "other_run/evidence.safetensors")
