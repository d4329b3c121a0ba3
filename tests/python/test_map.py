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


def test_one_array_moves_to_one_array_and_arrays_by_name_to_arrays_by_name(pair, tmp_path):
    x, y = pair
    maps = regauge.fit_map(x, y)
    vectors = {5: np.arange(12, dtype=np.float32), "b": np.ones(12, np.float64)}
    moved = maps.transport(vectors, kind="vector")
    assert set(moved.arrays) == {5, "b"} and moved.arrays["b"].dtype == np.float64 and moved.plan.kind
    assert np.allclose(moved.arrays[5], maps.matrices()["forward"] @ vectors[5], atol=1e-3)
    assert np.array_equal(maps.transport(vectors[5]), moved.arrays[5])
    assert maps.transport(vectors[5], out=tmp_path / "moved.npy").arrays is None
    assert np.array_equal(np.load(tmp_path / "moved.npy"), moved.arrays[5])


def test_activations_of_every_element_type_are_mapped(pair):
    x, y = pair
    maps = regauge.fit_map(x, y)
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    rounded = x.astype(bfloat16)
    assert np.array_equal(maps.apply(rounded), maps.apply(rounded.astype(np.float32)))
    assert np.array_equal(maps.apply(x.astype(">f4")), maps.apply(x))
    for given in (x.astype("complex64"), np.array(["a"] * 12)):
        with pytest.raises(regauge.Error) as caught:
            maps.apply(given)
        assert caught.value.code == "wrongDtype"


def test_a_map_is_chosen_by_its_sources_site_as_by_both(pair):
    x, y = pair
    maps = regauge.fit_map({"a": x, "b": x}, {"c": y, "b": y}, sites=[("a", "c"), "b"])
    for one in ("a", ("a", "c"), "a=c", "b"):
        assert maps.apply(x, one).shape == y.shape
    for none in (None, "c"):
        with pytest.raises(regauge.Error, match="expected one of a=c, b=b"):
            maps.apply(x, none)


def test_tensors_are_mapped(pair):
    torch = pytest.importorskip("torch")
    x, y = pair
    maps = regauge.fit_map(x, y)
    tensor = torch.from_numpy(x)
    assert np.array_equal(maps.apply(tensor.requires_grad_()), maps.apply(x))
    assert np.array_equal(maps.apply(tensor.bfloat16()), maps.apply(tensor.bfloat16().float()))


@pytest.mark.parametrize("site", [5, ("a", 5), ("a", "b", "c"), None])
def test_a_site_is_a_name_or_a_pair_of_them(pair, site):
    for call in (lambda: regauge.fit_map(*pair).apply(pair[0], site), lambda: regauge.fit_map(*pair, sites=[site])):
        if site is None and call() is not None:
            return
        with pytest.raises(regauge.Error, match="expected a site's name, or a pair") as caught:
            call()
        assert caught.value.code == "usage"


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
