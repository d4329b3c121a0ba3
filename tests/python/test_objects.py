"""Objects and models: what the command does with files, and the same with arrays."""

import json
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
    advice = str(regauge.Error("unsupported", "w", "transport --dequantize bf16 (or f16, f32) writes the values as floats"))
    assert 'dequantize="bf16" (or' in advice


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
    for given in (tokens[:1], tokens[:1].tolist(), sample / "source/tokens.npy"):
        verified = regauge.verify(sample / "source", tmp_path / "moved", given, sequences=1)
        assert verified.same_function and verified.max_logit_difference < 1e-3
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
