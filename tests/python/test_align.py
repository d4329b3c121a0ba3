"""Aligning: files and arrays, the same answer as the command, nothing copied, stopped when asked."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest

import regauge
from regauge import _native
from regauge._inputs import Inputs


@pytest.mark.parametrize("target", ["target", "other_run"])
def test_the_sample_has_the_gauge_file_of_the_command_byte_for_byte(command, sample, target, tmp_path):
    source, target = sample / "source/evidence.safetensors", sample / target / "evidence.safetensors"
    gauge = regauge.align(source, target)
    ran = command("align", source, target, "-o", tmp_path / "gauge.json", "--json")
    assert ran.returncode == 0
    assert gauge.fingerprint == json.loads(ran.stdout)["fingerprint"]
    assert gauge.to_json().encode() == (tmp_path / "gauge.json").read_bytes()


def test_arrays_are_aligned_as_the_gauge_between_them_says(planted):
    x, y, truth = planted
    gauge = regauge.align(x, y)
    assert gauge.verdict == "aligned"
    assert gauge == truth
    assert gauge.source.name == "source" and gauge.target.name == "target"


@pytest.mark.parametrize("form", ["alone", "by site", "as evidence"])
def test_every_form_of_evidence_in_memory_gives_the_same_gauge(planted, form):
    x, y, truth = planted
    wrap = {"alone": lambda a: a, "by site": lambda a: {"resid.3": a},
            "as evidence": lambda a: {"activations": {"resid.3": a}, "token_ids": list(range(len(a)))}}[form]  # fmt: skip
    assert regauge.align(wrap(x), wrap(y)) == truth


def test_memory_and_a_file_of_the_same_rows_can_be_mixed(planted, tmp_path):
    x, y, truth = planted
    np.save(tmp_path / "x.npy", x)
    assert regauge.align({"rows": y}, tmp_path / "x.npy") == truth.inverse()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_every_kind_of_float_is_read(planted, dtype):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    x, y, truth = planted
    assert regauge.align((x / 8).astype(dtype), (y / 8).astype(dtype)) == truth


def test_a_c_ordered_float32_array_is_read_where_it_is(planted):
    x, _, _ = planted
    inputs = Inputs()
    inputs.evidence({"activations": {"resid.0": x, "resid.1": x[:256]}}, "source")
    assert inputs.mounts[0].addresses == [x.ctypes.data, x.ctypes.data]


def test_other_layouts_are_read_as_their_values(planted):
    x, y, truth = planted
    assert regauge.align(np.asfortranarray(x), y[::1]) == truth
    wide = np.repeat(x, 2, axis=1)
    assert regauge.align(wide[:, ::2], y) == truth
    assert regauge.align(x.astype(">f4"), y) == truth


def test_a_read_only_array_is_as_good(planted):
    x, y, truth = planted
    frozen = x.copy()
    frozen.flags.writeable = False
    assert regauge.align(frozen, y) == truth


def test_options_are_the_commands(command, sample, tmp_path):
    paths = sample / "source/evidence.safetensors", sample / "other_run/evidence.safetensors"
    gauge = regauge.align(*paths, group="permutation", statistic="correlation", sites=["resid.1"], rows=300, skip_first=1)
    command("align", *paths, "--group", "permutation", "--statistic", "correlation", "--site", "resid.1", "--rows", 300,
            "--skip-first", 1, "-o", tmp_path / "gauge.json")  # fmt: skip
    assert gauge.to_json().encode() == (tmp_path / "gauge.json").read_bytes()


def test_more_gains_are_taken_from_arrays(planted):
    x, y, truth = planted
    gain = np.linspace(1, 2, 24)
    gauge = regauge.align(x, y, gains=({"gains": {"final": gain}}, {"gains": {"final": truth.apply_even(gain)}}))
    assert gauge == truth and "gains" in [site.name for site in gauge.sites]
    moved = truth.apply_even(gain)
    for gains in ((gain, moved), ({"final": gain}, {"final": moved}), ({"gains/final": gain}, {"gains": {"final": moved}})):
        (more,) = [site for site in regauge.align(x, y, gains=gains).sites if site.name == "gains"]
        assert more.rows == 1


def test_arrays_by_the_names_of_an_evidence_file_are_that_file(planted):
    x, y, truth = planted
    gain, ids = np.linspace(1, 2, 24), np.arange(512)
    source = {"activations/resid.1": x, "gains/final": gain, "token_ids": ids, "attention_mask": ids < 500}
    target = {"activations/resid.1": y, "gains/final": truth.apply_even(gain), "token_ids": ids}
    gauge = regauge.align(source, target)
    assert gauge == truth and gauge.rows == 500
    assert [site.name for site in gauge.sites] == ["resid.1", "gains"]
    with pytest.raises(regauge.Error) as caught:
        regauge.align({"resid.1": x, "token_ids": ids}, {"resid.1": y, "token_ids": ids[::-1]})
    assert caught.value.code == "tokensDiffer"
    with pytest.raises(regauge.Error, match="two of one name"):
        regauge.align({"resid.1": x, "activations/resid.1": x}, y)


def test_unrelated_rows_are_an_answer_and_not_an_error(planted):
    random = np.random.default_rng(1)
    gauge = regauge.align(random.normal(size=(256, 32)), random.normal(size=(256, 32)))
    assert gauge.verdict == "unrelated"


def test_progress_is_told_and_its_exception_comes_back(planted):
    x, y, _ = planted
    seen = []
    regauge.align(x, y, progress=lambda stage, done, total: seen.append((stage, done, total)))
    assert seen and all(0 <= done <= total for _, done, total in seen)

    def stop(*_):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        regauge.align(x, y, progress=stop)


def test_progress_true_draws_tqdms_bar(planted, capsys):
    pytest.importorskip("tqdm")
    regauge.align(*planted[:2], progress=True)


def large():
    random = np.random.default_rng(0)
    x = random.normal(size=(40000, 512)).astype(np.float32)
    return x, np.ascontiguousarray(x[:, ::-1])


def test_control_c_stops_the_work():
    x, y = large()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            for _ in range(100):
                regauge.align(x, y)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_other_threads_run_meanwhile():
    x, y = large()
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.002)

    thread = threading.Thread(target=tick)
    thread.start()
    regauge.align(x, y)
    done.set()
    thread.join()
    assert len(ticks) > 5  # a held lock would let it tick before and after only


@pytest.mark.parametrize("call, code, where, says", [
    (lambda x: regauge.align("missing.safetensors", x), "missingFile", "missing.safetensors", "no such file"),
    (lambda x: regauge.align(x, x[:, :5]), "dimensionMismatch", None, "24"),
    (lambda x: regauge.align(x, x[:5]), "rowsMismatch", None, "rows"),
    (lambda x: regauge.align(x * np.float32(np.nan), x), "notFinite", None, "source"),
    (lambda x: regauge.align(x, x, group="cyclic"), "usage", "", "group"),
    (lambda x: regauge.align(x, x, rows=-1), "usage", "", "rows"),
    (lambda x: regauge.align(x, 7), "usage", "target", "int"),
    (lambda x: regauge.align(x, x.astype("complex64")), "wrongDtype", None, "complex64"),
    (lambda x: regauge.align({"activations": x, "tokens": [1]}, x), "usage", "source", "tokens"),
    (lambda x: regauge.align(x, x, sites=["resid.9"]), "usage", None, "resid.9"),
    (lambda x: regauge.align({"activations": x, "token_ids": range(512)}, {"activations": x, "token_ids": [0] * 512}),
     "tokensDiffer", None, "token"),
])  # fmt: skip
def test_refusals_have_a_code_a_place_and_a_sentence(planted, call, code, where, says):
    with pytest.raises(regauge.Error) as caught:
        call(planted[0])
    assert caught.value.code == code
    assert where is None or caught.value.where == where
    assert says in str(caught.value)
    assert "--" not in str(caught.value)  # flags are a shell's


def test_codes_are_those_of_the_core():
    assert {"usage", "missingFile", "cancelled", "internal"} < set(regauge.error_codes)
    assert regauge.version == _native.version == regauge.__version__
