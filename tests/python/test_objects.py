"""Objects and models: what the command does with files, and the same with arrays."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import regauge


def test_one_array_comes_back_as_an_array(sample, aligned):
    vector = np.load(sample / "source/refusal_resid2.npy")
    moved = regauge.transport(vector, aligned)
    assert moved.dtype == vector.dtype and np.array_equal(moved, aligned.apply(vector))


def test_a_file_goes_where_it_is_told_as_the_command_moves_it(command, sample, aligned, tmp_path):
    aligned.save(tmp_path / "gauge.json")
    for name in ("sae_resid1", "refusal.gguf"):
        ours, theirs = tmp_path / "ours" / name, tmp_path / "theirs" / name
        ours.parent.mkdir(exist_ok=True), theirs.parent.mkdir(exist_ok=True)
        moved = regauge.transport(sample / "source" / name, aligned, out=ours)
        assert moved.plan.kind and not moved.files
        command("transport", sample / "source" / name, "--gauge", tmp_path / "gauge.json", "-o", theirs)
        for path in [ours] if ours.is_file() else sorted(ours.iterdir()):
            assert path.read_bytes() == (theirs / path.relative_to(ours)).read_bytes()


def test_quantised_weights_come_back_as_floats():
    header = json.dumps({"vector": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    file = len(header).to_bytes(8, "little") + header + bytes([0x38, 0x40, 0x30, 0xB8])  # 1, 2, 0.5, -1
    gauge = regauge.Gauge([1, 0, 2, 3], [1, 1, 1, -1])
    moved = regauge.transport(file, gauge, dequantize="f32")
    assert np.array_equal(np.frombuffer(moved.files[""][-16:], "<f4"), [2, 1, 0.5, 1])
    with pytest.raises(regauge.Error, match="bf16, f16 or f32|bf16.*f16.*f32"):
        regauge.transport(file, gauge, dequantize="int8")


@pytest.mark.parametrize("floats", ["bf16", "f16", "f32"])
def test_quantised_arrays_come_back_in_the_element_type_that_was_asked_for(floats):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = {"bf16": ml_dtypes.bfloat16, "f16": np.float16, "f32": np.float32}[floats]
    vectors = {"a": np.float32([1, 2, 3, 4]).astype(ml_dtypes.float8_e4m3fn), "b": np.float32([5, 6, 7, 8])}
    moved = regauge.transport(vectors, regauge.Gauge([1, 2, 3, 0], [1, -1, 1, 1]), kind="vector", dequantize=floats).arrays
    assert moved["a"].dtype == kind and moved["a"].astype(np.float32).tolist() == [2, -3, 4, 1]
    assert moved["b"].dtype == np.float32 and moved["b"].tolist() == [6, -7, 8, 5]
    alone = regauge.transport(vectors["a"], regauge.Gauge([1, 2, 3, 0], [1, -1, 1, 1]), dequantize=floats)
    assert alone.dtype == kind and alone.tobytes() == moved["a"].tobytes()


def test_element_types_that_numpy_lacks_are_named_where_ml_dtypes_is_not_installed(monkeypatch):
    from regauge._api import _arrays_like

    header = json.dumps({"v": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    file = len(header).to_bytes(8, "little") + header + bytes(4)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(regauge.Error, match="v: is of type bfloat16, .*ml_dtypes"):
        _arrays_like({"v": np.float32([1, 2])}, file)


def test_moved_tensors_are_those_of_the_moved_file():
    from regauge._api import _arrays_like
    from regauge._inputs import safetensors

    file = b"".join(bytes(piece) for piece in safetensors({"new": np.float32([3]), "7": np.float64([4])}, "file"))
    moved = _arrays_like({"old": np.float32([1]), 7: np.float64([2])}, file)
    assert list(moved) == [7, "new"] and moved[7].tolist() == [4] and moved["new"].tolist() == [3]


def test_without_a_place_the_moved_files_are_handed_back(sample, aligned, tmp_path):
    moved = regauge.transport(sample / "source/sae_resid1", aligned)
    regauge.transport(sample / "source/sae_resid1", aligned, out=tmp_path / "sae")
    assert moved.files == {path.name: path.read_bytes() for path in (tmp_path / "sae").iterdir()}
    contents = {path.name: path.read_bytes() for path in (sample / "source/sae_resid1").iterdir()}
    assert regauge.transport(contents, aligned).files == moved.files


def test_arrays_by_name_come_back_as_arrays_by_name(aligned):
    random = np.random.default_rng(2)
    sae = {"W_enc": random.normal(size=(64, 96)), "b_enc": random.normal(size=96), "W_dec": random.normal(size=(96, 64)),
           "b_dec": random.normal(size=64)}  # fmt: skip
    files = {"cfg.json": json.dumps({"d_in": 64, "d_sae": 96}).encode(), "sae_weights.safetensors": sae}
    plan = regauge.transport(files, aligned).plan
    assert plan.kind == "saelens"
    vectors = {"layer.1": random.normal(size=64).astype(np.float32), "layer.2": random.normal(size=64).astype(np.float32)}
    moved = regauge.transport(vectors, aligned)
    for name, vector in vectors.items():
        assert np.array_equal(moved.arrays[name], aligned.apply(vector))
        moved.arrays[name] += 1  # is the caller's own
    by_layer = regauge.transport({0: vectors["layer.1"], 1: vectors["layer.2"]}, aligned).arrays
    assert list(by_layer) == [0, 1] and np.array_equal(by_layer[1], aligned.apply(vectors["layer.2"]))


def test_an_array_goes_to_a_file_of_the_format_that_its_name_says(aligned, tmp_path):
    rows = np.random.default_rng(4).normal(size=(3, 64))
    for name, given in (("a.npy", rows[0]), ("b.npy", rows.astype(np.float32)), ("c.npy", np.asfortranarray(rows)),
                        ("d.npy", rows.astype(">f4"))):  # fmt: skip
        assert regauge.transport(given, aligned, out=tmp_path / name).arrays is None
        assert np.array_equal(np.load(tmp_path / name), aligned.apply(given))
    regauge.transport(rows, aligned, out=tmp_path / "e.safetensors")
    assert (tmp_path / "e.safetensors").read_bytes()[8:9] == b"{"
    before = sorted(tmp_path.iterdir())
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    for given, code, says in ((rows.astype(bfloat16), "wrongDtype", "bfloat16.*safetensors"),
                              ({"a": rows[0], "b": rows[1]}, "usage", "one array.*safetensors")):  # fmt: skip
        with pytest.raises(regauge.Error, match=says) as caught:
            regauge.transport(given, aligned, out=tmp_path / "f.npy")
        assert caught.value.code == code and sorted(tmp_path.iterdir()) == before


def test_what_moved_is_shown_by_names_and_sizes(sample, aligned):
    moved = regauge.transport(sample / "source/sae_resid1", aligned)
    assert all(f"'{name}': {len(content)} bytes" in repr(moved) for name, content in moved.files.items())
    assert len(repr(moved)) < 300
    by_name = regauge.transport({"v": np.ones((500, 64), np.float32)}, aligned)
    assert repr(by_name).endswith("arrays={'v': float32 [500, 64]}>") and len(repr(by_name)) < 200
    merged = regauge.merge(sample / "other_run", sample / "source", gauge=aligned)
    assert len(repr(merged)) < 5000 and " bytes" in repr(merged)


def test_a_dry_run_and_inspect_only_say_how(sample, aligned):
    planned = regauge.transport(sample / "source/sae_resid1", aligned, dry_run=True)
    assert not planned.files and planned.plan == regauge.inspect(sample / "source/sae_resid1")
    assert {tensor.name for tensor in planned.plan.tensors} >= {"W_enc", "W_dec"}
    assert regauge.inspect(np.zeros(64, np.float32)).d == 64


def test_unrelated_gauges_are_refused_unless_forced(aligned, sample):
    unrelated = regauge.Gauge(aligned.perm, aligned.sign, verdict="unrelated")
    for thing in (np.ones(64, np.float32), sample / "source/sae_resid1"):
        with pytest.raises(regauge.Error, match="force=True") as caught:
            regauge.transport(thing, unrelated)
        assert caught.value.code == "unrelated"
    assert regauge.transport(np.ones(64, np.float32), unrelated, force=True) is not None


def test_an_output_that_exists_is_refused_in_pythons_words(aligned, sample, tmp_path):
    (tmp_path / "out.npy").write_text("mine")
    with pytest.raises(regauge.Error, match="force=True") as caught:
        regauge.transport(sample / "source/refusal_resid2.npy", aligned, out=tmp_path / "out.npy")
    assert caught.value.code == "outputExists" and (tmp_path / "out.npy").read_text() == "mine"


def test_a_moved_model_computes_the_same_function(sample, aligned, tmp_path):
    regauge.transport(sample / "source", aligned, out=tmp_path / "moved")
    tokens = np.load(sample / "source/tokens.npy")
    for given in (tokens[:1], tokens[:1].tolist(), sample / "source/tokens.npy", list(tokens[0]), [list(tokens[0]), [1]]):
        verified = regauge.verify(sample / "source", tmp_path / "moved", given, sequences=1)
        assert verified.positions == tokens.shape[1] and verified.same_function and verified.max_logit_difference < 1e-3
    assert not regauge.verify(sample / "source", sample / "other_run", tokens[:1]).same_function


def test_the_moved_vector_steers_and_the_unsigned_one_does_not(sample, aligned):
    vector = np.load(sample / "source/refusal_resid2.npy")
    prompt = json.loads((sample / "source/requests.json").read_text())[0]
    said = regauge.steer(sample / "source", sample / "other_run", vector=vector, site="resid.2", strength=0.9,
                         gauge=aligned, prompt=prompt, length=4)  # fmt: skip
    effect = {arm.name: arm.effect for arm in said.arms}
    assert effect["target-moved"] > effect["target-permuted"] and effect["target-moved"] > effect["target-not-moved"]


def test_trace_goes_through_the_checkpoints_between(sample):
    runs = [sample / name / "evidence.safetensors" for name in ("source", "target", "other_run")]
    gauge = regauge.trace(runs)
    assert gauge.trace.path[0] == 0 and gauge.trace.path[-1] == 2
    assert gauge.verdict == "aligned" and isinstance(gauge, regauge.Gauge)


def test_merge_audit_activations_and_ceiling_answer(sample, aligned, tmp_path):
    merged = regauge.merge(sample / "other_run", sample / "source", gauge=aligned, weight=0.25)
    assert merged.weight == 0.25 and any(name.endswith(".safetensors") for name in merged.files)
    audited = regauge.audit(np.load(sample / "source/refusal_resid2.npy"), gauges=20, k=5, gauge=aligned)
    assert audited.k == 5 and audited.gauges == 20 and audited.survives and audited.statement
    tokens = np.load(sample / "source/tokens.npy")[:2]
    bundle = regauge.activations(sample / "source", tokens)
    assert regauge.align(bundle, bundle).is_identity
    regauge.activations(sample / "source", tokens, out=tmp_path / "evidence.safetensors")
    assert (tmp_path / "evidence.safetensors").read_bytes() == bundle
    assert regauge.ceiling(d=16, rows=64, steps=2).points[-1].sign_marginalized > 0.5


def test_a_path_that_begins_with_a_dash_is_a_path(sample, aligned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("-x.npy", np.ones(64, np.float32))
    regauge.transport("-x.npy", aligned, out="-y.npy")
    assert np.array_equal(np.load("-y.npy"), aligned.apply(np.ones(64, np.float32)))


def test_the_module_runs_as_the_command(sample):
    ran = subprocess.run([sys.executable, "-m", "regauge", "inspect", sample / "source/sae_resid1", "--json"], capture_output=True, text=True)
    assert ran.returncode == 0 and json.loads(ran.stdout)["kind"] == "saelens"
    ran = subprocess.run([sys.executable, "-m", "regauge", "show", "missing.json"], capture_output=True, text=True)
    assert ran.returncode == 2 and ran.stderr.startswith("regauge: missing.json: ")


def test_the_modules_streams_fail_as_the_commands_do(command, sample, tmp_path):
    module = [sys.executable, "-m", "regauge"]
    gone, nobody = os.pipe()
    os.close(gone)
    for words in (["inspect", sample / "source/sae_resid1", "--json"], ["inspect", tmp_path / "nothing"]):
        for stream in ("stdout", "stderr"):
            for place in (nobody, open("/dev/full", "w")):
                ran = subprocess.run([*module, *words], **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: place})
                native = command(*words, **{stream: place})
                said = [None if one is None else one.decode() for one in (ran.stdout, ran.stderr)]
                assert (ran.returncode, *said) == (native.returncode, native.stdout, native.stderr)
    os.close(nobody)
    regauge.Gauge.from_json({**regauge.Gauge([0], [1]).to_dict(), "source": {"name": "é中"}}).save(tmp_path / "gauge.json")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ran = subprocess.run([*module, "show", tmp_path / "gauge.json"], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0 and "\\xe9\\u4e2d" in ran.stdout and not ran.stderr
