"""Gauges: the group's laws, arrays of every kind, gauge files, what a notebook shows."""

import copy
import json
import pickle
import xml.etree.ElementTree as xml

import numpy as np
import pytest

import regauge
from regauge import Gauge


@pytest.fixture
def gauge():
    return Gauge([2, 0, 1], [1, -1, 1])


def test_it_moves_as_its_picture_says(gauge):
    assert gauge.apply(np.float32([10, 20, 30])).tolist() == [30, -10, 20]
    assert gauge.apply([10, 20, 30]) == [30, -10, 20]
    assert gauge.apply_even(np.float32([10, 20, 30])).tolist() == [30, 10, 20]
    assert gauge.apply_to_indices([0, 1, 2]) == [1, 2, 0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_there_and_back_is_the_same_to_the_byte_along_any_axis(aligned, dtype):
    if dtype.startswith(("bf", "float8")):
        dtype = getattr(pytest.importorskip("ml_dtypes"), dtype)
    random = np.random.default_rng(3)
    x = random.normal(size=(3, aligned.d, 5)).astype(dtype)
    moved = aligned.apply(x, axis=1)
    assert moved.dtype == x.dtype and moved.shape == x.shape
    reference = np.asarray(x, np.float64)[:, aligned.perm] * aligned.sign[:, None]
    assert np.array_equal(np.asarray(moved, np.float64), reference)
    assert aligned.inverse().apply(moved, axis=-2).tobytes() == x.tobytes()


def test_strided_arrays_and_other_byte_orders_are_moved_by_value(gauge):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(gauge.apply(x.T), gauge.apply(x.T.copy()))
    assert gauge.apply(np.array([10, 20, 30], ">f8")).tolist() == [30, -10, 20]


def test_inverse_then_and_compare_obey_the_groups_laws(aligned):
    identity = Gauge.identity(aligned.d)
    assert aligned.then(aligned.inverse()) == identity
    assert aligned.then(aligned.inverse()).is_identity
    assert aligned.compare(aligned) == (1, 1, 1)
    assert aligned.compare(identity).both < 0.2
    x = np.random.default_rng(5).normal(size=aligned.d)
    assert np.array_equal(aligned.then(aligned).apply(x), aligned.apply(aligned.apply(x)))
    assert regauge.compose(aligned, aligned.inverse(), aligned) == aligned == regauge.invert(regauge.invert(aligned))


def test_it_has_what_the_gauge_file_has(aligned):
    assert aligned.d == 64 and aligned.verdict == "aligned" and aligned.group == "signed"
    assert aligned.perm.dtype == np.uint32 and sorted(aligned.perm) == list(range(64))
    assert aligned.sign.dtype == np.int8 and set(aligned.sign.tolist()) <= {-1, 1}
    assert aligned.score.shape == aligned.margin.shape == aligned.confidence.shape == (64,)
    assert 0.9 <= aligned.estimate <= 1 and 0 <= aligned.agreement <= 1
    assert aligned.sign_flips == (aligned.sign == -1).sum() and aligned.undetermined == 0
    assert aligned.rows > 0 and aligned.statistic and aligned.sites[0].name
    assert not aligned.perm.flags.writeable


def test_files_are_the_commands_both_ways(command, aligned, tmp_path):
    aligned.save(tmp_path / "gauge.json")
    shown = command("show", tmp_path / "gauge.json", "--json")
    assert json.loads(shown.stdout)["fingerprint"] == aligned.fingerprint
    assert Gauge.load(tmp_path / "gauge.json").to_json() == aligned.to_json()
    assert Gauge.from_json(aligned.to_dict()).to_json() == aligned.to_json()
    with pytest.raises(regauge.Error, match="force=True") as caught:
        aligned.save(tmp_path / "gauge.json")
    assert caught.value.code == "outputExists"
    aligned.save(tmp_path / "gauge.json", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["gauge.json"]


def test_it_survives_pickling_and_copying(aligned):
    for again in (pickle.loads(pickle.dumps(aligned)), copy.deepcopy(aligned)):
        assert again == aligned and hash(again) == hash(aligned) and again.to_json() == aligned.to_json()


def test_it_cannot_be_changed_through_what_it_answers(aligned):
    before = aligned.to_json(), repr(aligned), aligned.verdict
    file = aligned.to_dict()
    file["verdict"], file["perm"][0], file["summary"]["sign_flips"] = "unrelated", 63, 0
    aligned.summary["estimate"], aligned.source["name"], aligned.target["name"] = 0, "x", "x"
    aligned.sites[0]["name"] = "x"
    aligned.sites.clear()
    assert (aligned.to_json(), repr(aligned), aligned.verdict) == before
    assert aligned.sites[0].name != "x" and "x" not in (aligned.source.name, aligned.target.name)
    assert aligned.to_dict() == json.loads(aligned.to_json())


def test_arrays_outlive_their_gauge():
    perm = Gauge([1, 0], [1, -1]).perm
    assert perm.tolist() == [1, 0]


def test_its_representations_say_verdict_and_signs(aligned):
    assert "aligned" in repr(aligned) and "d=64" in repr(aligned) and aligned.fingerprint[:12] in repr(aligned)
    html = aligned._repr_html_()
    assert "aligned" in html and f"{aligned.sign_flips} negative" in html
    svg = html[html.index("<svg") : html.index("</svg>") + 6]
    assert len(xml.fromstring(svg).findall(".//{*}rect")) == 1 + 64


@pytest.mark.parametrize("d", [1, 64, 65, 1000])
def test_the_picture_stays_small_at_any_width(d):
    random = np.random.default_rng(d)
    html = Gauge(random.permutation(d), random.choice([-1, 0, 1], d))._repr_html_()
    xml.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])
    assert len(html) < 300_000


def test_a_gauge_made_by_hand_claims_nothing(aligned):
    planted = Gauge([1, 0], [1, -1])
    assert aligned.judged and not planted.judged and planted.verdict == "aligned"
    assert (planted.estimate, planted.agreement) == (1, 1)
    assert "estimated" not in repr(planted) and "1 sign flips" in repr(planted)
    assert "estimated" not in planted._repr_html_() and ">given</b>" in planted._repr_html_()
    assert ">unrelated</b>" in Gauge([0], [1], verdict="unrelated")._repr_html_()
    assert np.array_equal(regauge.transport(np.float32([3, 4]), planted), np.float32([4, -3]))


def test_names_are_escaped_in_a_notebook():
    file = Gauge([0], [1]).to_dict()
    assert "<script>" not in Gauge.from_json({**file, "source": {"name": "<script>"}})._repr_html_()


@pytest.mark.parametrize("call, code", [
    (lambda g: Gauge([0, 0], [1, 1]), "invalidGauge"),
    (lambda g: Gauge([0, 1], [1, 2]), "invalidGauge"),
    (lambda g: Gauge([0, 1], [1]), "invalidGauge"),
    (lambda g: g.apply(np.zeros(4, np.float32)), "dimensionMismatch"),
    (lambda g: g.apply(np.zeros(3, np.int32)), "wrongDtype"),
    (lambda g: g.apply("vector"), "usage"),
    (lambda g: g.apply(np.zeros(3, np.float32), axis=2), "usage"),
    (lambda g: Gauge([0, 1], [1, 0]).apply(np.zeros(2, np.float32)), "undeterminedSign"),
    (lambda g: g.apply_to_indices([3]), "dimensionMismatch"),
    (lambda g: g.then(Gauge.identity(4)), "dimensionMismatch"),
    (lambda g: g.compare(Gauge.identity(4)), "dimensionMismatch"),
    (lambda g: Gauge.from_json("{}"), "malformed"),
    (lambda g: Gauge.load("missing.json"), "missingFile"),
    (lambda g: regauge.invert(7), "usage"),
])  # fmt: skip
def test_what_is_wrong_is_refused_with_its_code(gauge, call, code):
    with pytest.raises(regauge.Error) as caught:
        call(gauge)
    assert caught.value.code == code


def test_error_can_be_pickled():
    error = pickle.loads(pickle.dumps(regauge.Error("usage", "here", "here: wrong")))
    assert (error.code, error.where, str(error)) == ("usage", "here", "here: wrong")
