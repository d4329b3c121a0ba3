"""Maps: fitted to arrays, applied, saved, and moving vectors, against NumPy's least squares."""

import numpy as np
import pytest

import regauge


@pytest.fixture
def pair():
    random = np.random.default_rng(5)
    x = random.standard_normal((1024, 12)).astype(np.float32)
    m = random.standard_normal((20, 12))
    y = (x @ m.T + 3 + 0.1 * random.standard_normal((1024, 20))).astype(np.float32)
    return x, y


def ridge(x, y, alpha):
    x, y = x.astype(np.float64), y.astype(np.float64)
    cx, cy = x - x.mean(0), y - y.mean(0)
    m = np.linalg.solve(cx.T @ cx + alpha * np.eye(x.shape[1]), cx.T @ cy).T
    return m, y.mean(0) - m @ x.mean(0)


def test_an_affine_map_is_ridge_regression_of_the_rows(pair):
    x, y = pair
    maps = regauge.fit_map(x, y, family="affine", ridge=2.0)
    m, b = ridge(x, y, 2.0)
    found = maps.matrices()
    assert np.abs(found["forward"] - m).max() < 1e-5
    assert np.abs(found["forward_bias"] - b).max() < 1e-5
    assert np.allclose(maps.apply(x), x @ m.T + b, atol=1e-3)
    assert maps.apply_back(y).shape == x.shape
    assert maps.helps and maps.report.family == "affine" and maps.report.r2 > 0.9


def test_a_vector_moves_by_the_map_and_the_file_is_the_commands(pair, tmp_path, command):
    x, y = pair
    np.save(tmp_path / "x.npy", x), np.save(tmp_path / "y.npy", y)
    maps = regauge.fit_map(tmp_path / "x.npy", tmp_path / "y.npy")
    ran = command("map", tmp_path / "x.npy", tmp_path / "y.npy", "-o", tmp_path / "theirs.safetensors")
    assert ran.returncode == 0
    maps.save(tmp_path / "ours.safetensors")
    assert (tmp_path / "ours.safetensors").read_bytes() == (tmp_path / "theirs.safetensors").read_bytes()
    with pytest.raises(regauge.Error, match="exists already"):
        maps.save(tmp_path / "ours.safetensors")
    v = np.arange(12, dtype=np.float32)
    np.save(tmp_path / "v.npy", v)
    maps.transport(tmp_path / "v.npy", out=tmp_path / "moved.npy")
    assert np.allclose(np.load(tmp_path / "moved.npy"), maps.matrices()["forward"] @ v, atol=1e-3)


def test_rows_that_do_not_belong_together_are_an_answer(pair):
    x, y = pair
    maps = regauge.fit_map(x, np.random.default_rng(1).permutation(y))
    assert not maps.helps and maps.report.family == "none"


def test_maps_that_were_saved_are_loaded_again(pair, tmp_path):
    x, y = pair
    maps = regauge.fit_map(x, y)
    maps.save(tmp_path / "map.safetensors")
    again = regauge.Maps.load(tmp_path / "map.safetensors")
    assert np.array_equal(again.apply(x), maps.apply(x)) and again.file == maps.file
    assert again.helps and (again.report.fingerprint, again.report.r2) == (maps.report.fingerprint, maps.report.r2)
    regauge.Gauge.identity(2).save(tmp_path / "gauge.json")
    for name, code in (("gauge.json", "usage"), ("nothing", "missingFile"), (".", "missingFile")):
        with pytest.raises(regauge.Error) as caught:
            regauge.Maps.load(tmp_path / name)
        assert caught.value.code == code
