"""Messages: the core's command lines and flags are this package's calls and keyword arguments."""

import numpy as np
import pytest
from conftest import SAMPLE

import regauge
from regauge import Gauge
from regauge._error import Error, in_python


def in_words(said, call="transport", where="", own=()):
    with pytest.raises(Error) as caught, in_python(call, *own):
        raise Error("usage", where, f"{where}: {said}" if where else said)
    return caught.value


@pytest.mark.parametrize("call, said, meant", [
    ("inspect", "give --kind, or --kind vector where every tensor's", 'give kind, or kind="vector" where every tensor\'s'),
    ("inspect", "be a (--kind llama) or b (--kind gemma2), whose", 'be a (kind="llama") or b (kind="gemma2"), whose'),
    ("transport", "; --unknown copy copies them", "; copy_unknown=True copies them"),
    ("transport", "exists already; --force overwrites it, or choose another name with -o",
     "exists already; force=True overwrites it, or choose another name with out"),
    ("transport", "has no hidden part ('align --hidden'); leave out --site to move it",
     "has no hidden part (align(source, target, hidden=True)); leave out site to move it"),
    ("transport", "; find one with 'regauge align SOURCE TARGET -o gauge.json', and move it with --gauge",
     "; find one with align(source, target), and move it with regauge.transport(object, gauge)"),
    ("transport", "say which with --site S=T", 'say which with site="S=T"'),
    ("transport", "(regauge map SOURCE TARGET --site resid.2=T), or say with --site which",
     '(fit_map(source, target, sites=[("resid.2", "T"), ...])), or say with site which'),
    ("transport", "layer: regauge map SOURCE TARGET --site S=T --site ...",
     'layer: fit_map(source, target, sites=[("S", "T"), ...])'),
    ("transport", "each with --site S=T when fitting the map", 'each with sites=[("S", "T")] when fitting the map'),
    ("transport", "; transport --dequantize bf16 (or f16, f32) writes", '; transport with dequantize="bf16" (or f16, f32) writes'),
    ("align", "for a map: 'regauge map SOURCE TARGET -o map.safetensors'", "for a map: fit_map(source, target)"),
    ("align", "are read; align without --hidden", "are read; align without hidden=True"),
    ("align", "--hidden takes two checkpoints", "hidden=True takes two checkpoints"),
    ("align", "; --statistic correlation needs 3 MB; one --site needs", '; statistic="correlation" needs 3 MB; one site (sites) needs'),
    ("trace", "choose sites with --site", "choose sites (sites=[...])"),
    ("align", "choose sites of one width with --site, by the names a", "choose sites of one width (sites=[...]), by the names a"),
    ("map", "take --family orthogonal, affine or auto", 'take family="orthogonal", "affine" or "auto"'),
    ("map", "give --ridge a larger number, or leave it out", "give ridge a larger number, or leave it out"),
    ("align", "--skip-first: is -1; see 'regauge align --help'", "skip_first: is -1"),
    ("audit", "give --d N, or a gauge", "give d=N, or a gauge"),
    ("steer", "--site is required", "site is required"),
    ("steer", "--tokens: is none", "prompt: is none"),
    ("verify", "--tokens: is none", "tokens: is none"),
    # What only looks like a flag of ours.
    ("align", "/x/models--openai-community--gpt2/a", "/x/models--openai-community--gpt2/a"),
    ("align", "give every 'regauge stats' the same --site", "give every 'regauge stats' the same --site"),
    ("align", "its sums are for maps: regauge map a.stats -o map.safetensors; for a gauge sum the rows without --map",
     "its sums are for maps: regauge map a.stats -o map.safetensors; for a gauge sum the rows without --map"),
    ("transport", "llama-quantize --allow-requantize FILE.gguf NEW.gguf", "llama-quantize --allow-requantize FILE.gguf NEW.gguf"),
])  # fmt: skip
def test_flags_and_command_lines_are_keyword_arguments_and_calls(call, said, meant):
    assert str(in_words(said, call)) == meant
    assert str(in_words(said, call, "a/path --site b")) == f"a/path --site b: {meant}"  # which is the caller's own


@pytest.mark.parametrize("call, where, argument, begins", [
    ("transport", "--site resid.9", "site", 'site="resid.9": is none'),
    ("transport", "--kind bogus", "kind", 'kind="bogus": is none'),
    ("transport", "--keep-strength", "keep_strength", "keep_strength: is none"),
    ("map", "--site resid 9", "sites", 'sites=["resid 9"]: is none'),
    ("map", "--ridge -1", "ridge", 'ridge="-1": is none'),
    ("audit", "--d", "d", "d: is none"),
    ("audit", "--data", "--data", "--data: is none"),
])  # fmt: skip
def test_a_place_that_is_a_flag_is_an_argument(call, where, argument, begins):
    error = in_words("is none", call, where)
    assert (error.where, str(error)) == (argument, begins)
    own = in_words("is none", call, where, own=[where])
    assert (own.where, str(own)) == (where, f"{where}: is none")


def test_an_error_that_is_made_or_copied_says_what_it_was_given():
    assert str(regauge.Error("usage", "a", "a: give --site")) == "a: give --site"


ROWS = np.random.default_rng(3).normal(size=(256, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def maps():
    return regauge.fit_map({"resid.0": ROWS, "resid.1": ROWS**3}, {"resid.0": ROWS, "resid.1": ROWS**3},
                           sites=["resid.0", "resid.1"])  # fmt: skip


@pytest.mark.parametrize("call, code, where, says", [
    (lambda maps: maps.transport(ROWS[0]), "ambiguous", "object", 'say which with site="S=T"'),
    (lambda maps: maps.transport(ROWS[0], site="resid.9"), "usage", "site", 'site="resid.9": there is no such map'),
    (lambda maps: maps.transport(SAMPLE / "source"), "unsupported", str(SAMPLE / "source"),
     "find one with align(source, target), and move it with regauge.transport(object, gauge)"),
    (lambda maps: regauge.transport(ROWS[0], maps), "usage", "gauge", "maps.transport(object) moves"),
    (lambda maps: regauge.align(ROWS, ROWS[:, :4]), "dimensionMismatch", None, "but for a map: fit_map(source, target)"),
    (lambda maps: regauge.steer("a", "b", vector=ROWS[0], site=None, gauge=Gauge.identity(6), prompt=[1]), "usage", "",
     "site is required"),
    (lambda maps: regauge.inspect(ROWS, kind="bogus"), "usage", "kind", 'kind="bogus": is not a kind'),
    (lambda maps: regauge.fit_map(ROWS, ROWS, ridge="x"), "usage", "ridge", 'ridge="x": expected auto'),
    (lambda maps: Gauge.load("a --site b.json"), "missingFile", "a --site b.json", "a --site b.json: "),
    (lambda maps: Gauge.load("--site b.json"), "missingFile", "--site b.json", "--site b.json: "),
    (lambda maps: regauge.inspect("--site b.json"), "missingFile", "--site b.json", "--site b.json: "),
])  # fmt: skip
def test_calls_are_refused_in_their_own_words(maps, call, code, where, says):
    with pytest.raises(regauge.Error) as caught:
        call(maps)
    assert caught.value.code == code and says in str(caught.value)
    assert where is None or caught.value.where == where
    assert "regauge map" not in str(caught.value) and "sites S=T" not in str(caught.value)
