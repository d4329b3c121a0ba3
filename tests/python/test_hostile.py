"""What a program may give by mistake, and what strangers' files hold: one Error each, and nothing is lost."""

import os

import numpy as np
import pytest

import regauge
from regauge import Gauge

ROWS = np.random.default_rng(3).normal(size=(64, 4)).astype(np.float32)
VECTOR = np.float32([1, 2, 3])


@pytest.fixture
def gauge():
    return Gauge([2, 0, 1], [1, -1, 1])


def refused(call, code):
    with pytest.raises(regauge.Error) as caught:
        call()
    assert caught.value.code == code
    return str(caught.value)


def test_a_gauge_is_read_from_regular_files_only(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "a regular file is needed" in refused(lambda: Gauge.load(tmp_path / "pipe"), "missingFile")
    assert "a regular file is needed" in refused(lambda: Gauge.load("/dev/zero"), "missingFile")
    assert "a file is needed" in refused(lambda: Gauge.load(tmp_path), "missingFile")
    (tmp_path / "large.json").touch()
    os.truncate(tmp_path / "large.json", 1 << 40)
    assert "too large" in refused(lambda: Gauge.load(tmp_path / "large.json"), "malformed")


def test_a_gauge_is_saved_in_place_of_regular_files_only(gauge, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        assert "not a regular file" in refused(lambda: gauge.save(tmp_path / name, force=True), "outputExists")
    for name in ("pipe", "kept", "link", "folder"):
        refused(lambda: gauge.save(tmp_path / name), "outputExists")
    refused(lambda: gauge.save(tmp_path / "no" / "folder"), "writeFailed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "kept", "link", "pipe"]
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "kept").read_text() == "kept"
    gauge.save(tmp_path / "kept", force=True)
    assert Gauge.load(tmp_path / "kept") == gauge


def test_a_name_with_a_nul_is_not_the_one_before_it(gauge, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", VECTOR)
    for call in (lambda: regauge.inspect("v.npy\0x"), lambda: Gauge.load("v.npy\0x"), lambda: gauge.save("new\0x"),
                 lambda: regauge.transport("v.npy", gauge, out="new\0x")):  # fmt: skip
        with pytest.raises(regauge.Error):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["v.npy"]


def test_messages_about_any_name_and_value_can_be_read(gauge):
    text = gauge.to_json()
    assert "x\\u0000y" in refused(lambda: Gauge.from_json({**gauge.to_dict(), "group": "x\0y"}), "malformed")
    assert "é..." in refused(lambda: Gauge.from_json(text.replace('"perm":[2', '"perm":["' + "é" * 99 + '"')), "invalidGauge")
    assert "no Unicode" in refused(lambda: regauge.inspect("\udcff"), "usage")
    assert "no Unicode" in refused(lambda: Gauge.from_json('{"a":"\ud800"}'), "usage")
    assert "no Unicode" in refused(lambda: regauge.align({"\ud800": ROWS}, {"\ud800": ROWS}), "usage")


@pytest.mark.parametrize("call, code", [
    (lambda g: Gauge(5, 5), "invalidGauge"),
    (lambda g: Gauge(None, None), "invalidGauge"),
    (lambda g: Gauge.identity(-1), "invalidGauge"),
    (lambda g: Gauge.from_json({"a": object()}), "malformed"),
    (lambda g: Gauge.load(5), "usage"),
    (lambda g: Gauge.load(b"gauge.json"), "usage"),
    (lambda g: g.save(""), "usage"),
    (lambda g: g.apply([1, "a", 2]), "malformed"),
    (lambda g: g.apply([None] * 3), "malformed"),
    (lambda g: g.apply([1, 2, 10**400]), "malformed"),
    (lambda g: g.apply(np.ma.masked_array(VECTOR, [0, 1, 0])), "wrongDtype"),
    (lambda g: g.apply_to_indices(["a"]), "malformed"),
    (lambda g: g.apply_to_indices([1.5]), "dimensionMismatch"),
    (lambda g: g.apply_to_indices([float("nan")]), "dimensionMismatch"),
    (lambda g: g.apply_to_indices(5), "usage"),
    (lambda g: g.then("gauge.json"), "usage"),
    (lambda g: g.compare(None), "usage"),
    (lambda g: regauge.align({0: ROWS, "0": ROWS}, {0: ROWS}), "usage"),
    (lambda g: regauge.align({"activations": ROWS, "token_ids": np.full(64, 1.5)}, ROWS), "malformed"),
    (lambda g: regauge.align({"activations": ROWS, "token_ids": np.full(64, np.nan)}, ROWS), "malformed"),
    (lambda g: regauge.align({"activations": ROWS, "token_ids": [[1, 2], [3]]}, ROWS), "malformed"),
    (lambda g: regauge.align({"activations": ROWS, "token_ids": [2**70] * 64}, ROWS), "malformed"),
    (lambda g: regauge.align({"activations": ROWS, "token_ids": np.full(64, 2**64 - 1, np.uint64)}, ROWS), "malformed"),
    (lambda g: regauge.align({"activations": ROWS, "attention_mask": np.full(64, 0.5)}, ROWS), "malformed"),
    (lambda g: regauge.align(np.ma.masked_array(ROWS, ROWS > 1), ROWS), "wrongDtype"),
    (lambda g: regauge.align(ROWS, ROWS, rows=True), "usage"),
    (lambda g: regauge.align(ROWS, ROWS, gains=5), "usage"),
    (lambda g: regauge.align(ROWS, ROWS, sites=5), "usage"),
    (lambda g: regauge.trace(None), "usage"),
    (lambda g: regauge.trace("abc"), "missingFile"),
    (lambda g: regauge.transport(VECTOR, g, out=""), "usage"),
    (lambda g: regauge.transport(VECTOR, g, out=b"moved.npy"), "usage"),
    (lambda g: regauge.fit_map(ROWS, ROWS).apply(VECTOR), "dimensionMismatch"),
    (lambda g: regauge.fit_map(ROWS, ROWS).apply("x"), "malformed"),
])  # fmt: skip
def test_what_is_wrong_is_refused_with_its_code(gauge, call, code):
    refused(lambda: call(gauge), code)


def test_one_site_may_be_named_alone():
    found = regauge.align({"resid.4": ROWS, "resid.5": ROWS * 2}, {"resid.4": ROWS, "resid.5": ROWS}, sites="resid.4")
    assert [site.name for site in found.sites] == ["resid.4"]


def test_whole_numbers_of_any_kind_are_tokens_and_masks():
    tokens = np.arange(64)
    for kind in (list, np.float64, np.uint16):
        ours = tokens.tolist() if kind is list else tokens.astype(kind)
        both = {"activations": ROWS, "token_ids": ours, "attention_mask": [True] * 64}
        assert regauge.align(both, {"activations": ROWS, "token_ids": tokens}).rows == 64


def test_contents_may_lie_apart_in_memory(gauge, tmp_path):
    np.save(tmp_path / "v.npy", VECTOR)
    apart = np.repeat(np.frombuffer((tmp_path / "v.npy").read_bytes(), np.uint8), 2)
    assert regauge.inspect(memoryview(apart)[::2]).d == 3


def test_tensors_without_elements_are_refused(gauge):
    torch = pytest.importorskip("torch")
    for tensor in (torch.eye(3).to_sparse(), torch.empty(3, device="meta")):
        refused(lambda: gauge.apply(tensor), "wrongDtype")
    assert gauge.apply(torch._neg_view(torch.ones(3))).tolist() == [-1, 1, -1]
