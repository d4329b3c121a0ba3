"""Maps against NumPy, SciPy and scikit-learn.

    python tests/interop/maps.py            # `regauge map` on many random pairs: matrices to 1e-5, the right rung
    python tests/interop/maps.py 30 256 4096 0.1     # so many pairs of each kind, d, rows, noise (comma between several)
    python tests/interop/maps.py fixtures   # writes tests/fixtures/maps/oracle.safetensors, which the C++ tests read
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import Ridge

from common import REGAUGE, ROOT


def rotation(random, d):
    q, r = np.linalg.qr(random.standard_normal((d, d)))
    return q * np.sign(np.diag(r))


def semi_orthogonal(cross):
    """The polar factor of a [target, source] cross-covariance, of any shape."""
    u, _, v = np.linalg.svd(cross, full_matrices=False)
    return u @ v


def oracle(x, y, alpha):
    x, y = x.astype(np.float64), y.astype(np.float64)
    ridge = Ridge(alpha=alpha, solver="cholesky").fit(x, y)
    back = Ridge(alpha=alpha, solver="cholesky").fit(y, x)
    cross = (y - y.mean(0)).T @ (x - x.mean(0))
    orthogonal = semi_orthogonal(cross)
    if x.shape[1] == y.shape[1]:
        assert np.allclose(orthogonal.T, orthogonal_procrustes(x - x.mean(0), y - y.mean(0))[0], atol=1e-10)
    return {"forward": ridge.coef_, "forward_bias": ridge.intercept_, "backward": back.coef_, "backward_bias": back.intercept_,
            "orthogonal": orthogonal, "orthogonal_bias": y.mean(0) - orthogonal @ x.mean(0)}


def rows_of(random, n, d):
    """Rows whose channels are correlated and have means."""
    return random.standard_normal((n, d)) @ (np.eye(d) + 0.5 * random.standard_normal((d, d)) / np.sqrt(d)) + random.standard_normal(d)


def drifted(random, n, d, noise):
    """Two models of one origin: directions whose variances fall off as 1/k, drift of both sides in every channel, and a gauge between."""
    s = random.standard_normal((n, d)) / np.sqrt(1 + np.arange(d)) @ rotation(random, d)
    x, y = (s + noise * s.std() * random.standard_normal(s.shape) for _ in range(2))
    return x.astype(np.float32), (y[:, random.permutation(d)] * random.choice([-1.0, 1.0], d)).astype(np.float32)


def planted(kind, seed, d, n, noise):
    random = np.random.default_rng(seed)
    if kind == "drift":
        return drifted(random, n, d, noise)
    x = rows_of(random, n, d)
    if kind == "rotation":
        y = x @ rotation(random, d).T + random.standard_normal(d)
    elif kind == "gauge":
        y = x[:, random.permutation(d)] * random.choice([-1.0, 1.0], d)
    elif kind == "identity":
        y = x.copy()
    else:
        wide = int(random.choice([d // 2, d + d // 2, d]))
        y = x @ random.standard_normal((d, wide)) / np.sqrt(d) + random.standard_normal(wide)
        if kind == "shuffled":
            y = y[random.permutation(n)]
    y = y + noise * y.std() * random.standard_normal(y.shape)
    return x.astype(np.float32), y.astype(np.float32)


def run_map(x, y, folder, *flags):
    x, y = map(np.ascontiguousarray, (x, y))  # save_file writes other layouts as they lie
    save_file({"activations/resid.1": x}, folder / "x.safetensors")
    save_file({"activations/resid.1": y}, folder / "y.safetensors")
    run = subprocess.run([REGAUGE, "map", folder / "x.safetensors", folder / "y.safetensors", "-o", folder / "map.safetensors", "--force", "--json", *flags],
                         capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stderr
    return run.returncode, json.loads(run.stdout), load_file(folder / "map.safetensors")


def fixtures():
    random = np.random.default_rng(7)
    x = rows_of(random, 192, 6)
    y = x @ random.standard_normal((6, 9)) + 0.3 * random.standard_normal((192, 9)) + random.standard_normal(9)
    x, y = x.astype(np.float32), y.astype(np.float32)
    tensors = {"x": x, "y": y}
    tensors.update({k: np.ascontiguousarray(v, dtype=np.float64) for k, v in oracle(x, y, 3.0).items()})
    save_file(tensors, ROOT / "tests/fixtures/maps/oracle.safetensors")


RUNG = {"drift": "gauge", "rotation": "orthogonal", "gauge": "gauge", "identity": "identity", "affine": "affine", "shuffled": "none"}


def main(pairs="100", d="64", n="1024", noises="0,0.1,0.3"):
    pairs, d, n = int(pairs), int(d), int(n)
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        worst = 0.0
        for seed, (n_, d_) in enumerate([(400, 16), (1000, 64), (3000, 48)]):
            x, y = planted("affine", seed, d_, n_, 0.1)
            want = oracle(x, y, 5.0)
            _, _, got = run_map(x, y, folder, "--family", "affine", "--ridge", "5")
            for key in ("forward", "forward_bias", "backward", "backward_bias"):
                worst = max(worst, np.abs(got[key] - want[key]).max())
            _, _, got = run_map(x, y, folder, "--family", "orthogonal")
            worst = max(worst, np.abs(got["forward"] - want["orthogonal"]).max(), np.abs(got["forward_bias"] - want["orthogonal_bias"]).max())
        print(f"largest difference from scikit-learn and the SVD: {worst:.2e}")
        failed += worst > 1e-5
        for kind, rung in RUNG.items():
            for noise in map(float, noises.split(",")):
                right, r2 = 0, []
                for seed in range(pairs):
                    status, said, _ = run_map(*planted(kind, seed, d, n, noise), folder)
                    right += said["family"] == rung and status == (rung == "none")
                    r2.append(said["r2"])
                print(f"{kind}, noise {noise}: {right} of {pairs}, R2 {min(r2):.3f} .. {max(r2):.3f}", flush=True)
                failed += right < pairs
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    if sys.argv[1:] == ["fixtures"]:
        fixtures()
    else:
        main(*sys.argv[1:])
