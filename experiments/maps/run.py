"""Steering vectors and SAEs through `regauge map`, between models of other seeds and of other widths.

    python experiments/maps/run.py [--regauge build/native/regauge] [--data build/experiments-maps] [--seeds 3] [--kinds ...]

Needs torch, transformers and safetensors. Interrupted, it goes on where it was (delete --data to begin anew); writes
RESULTS.md beside itself. Three seeds took 13 minutes of one processor.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

import torch
from safetensors.torch import load_file, save_file

import models
import report

HERE = pathlib.Path(__file__).resolve().parent
FAMILIES = ("auto", "affine", "orthogonal", "gauge")
KINDS = {"other seed, 64 to 64": ("a", "b"), "wider, 64 to 128": ("a", "w"), "narrower, 128 to 64": ("w", "a")}
WIDTHS = {"a": 64, "b": 64, "w": 128}
RANDOM_DIRECTIONS = 16


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regauge", type=pathlib.Path, default=HERE.parents[1] / "build/native/regauge")
    parser.add_argument("--data", type=pathlib.Path, default=HERE.parents[1] / "build/experiments-maps")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="only these pairs")
    return parser.parse_args()


def regauge(options, *words):
    """What the command says with --json; exit 1 means that no map helps, and is an answer."""
    done = subprocess.run([options.regauge, *map(str, words), "--json"], capture_output=True, text=True)
    if done.returncode > 1:
        raise SystemExit(f"regauge {' '.join(map(str, words))}: {done.stderr}")
    return json.loads(done.stdout)


def prepare(options, who, seed):
    """A trained model's folder, with its evidence, vectors and SAE."""
    number = 100 + seed if who == "b" else seed
    folder = models.made(options.data / f"{who}{seed}", lambda part: models.train(WIDTHS[who], number, part))
    model = models.load(folder)
    models.made(folder / "evidence.safetensors", lambda part: models.evidence(model, part))
    for what in models.PROPERTIES:
        models.made(
            folder / f"{what}.safetensors", lambda part: save_file({"vector": models.vector_of(model, what)}, part)
        )
    if not (folder / "sae").exists():
        rows = models.rows_at(model, models.SAE_PLACE, "sae", models.SAE_WINDOWS)
        models.made(folder / "sae", lambda part: models.train_sae(rows, number, part))
    return folder


def fit(options, source, target, place, family, file):
    site = f"resid.{place}=resid.{place}"
    words = ["--site", site, "-o", file, "--force", "--family", family]
    return regauge(options, "map", source / "evidence.safetensors", target / "evidence.safetensors", *words)


def moved(options, what, source, map_file, file, *flags):
    regauge(options, "transport", source / f"{what}.safetensors", "--map", map_file, "-o", file, "--force", *flags)
    return load_file(file)["vector"]


def vectors_between(options, source, target, work):
    """Effects of the properties' vectors, as shares of the target's own vector's."""
    model, maps, result = models.load(target), {}, {}
    same = WIDTHS[source.name[0]] == WIDTHS[target.name[0]]
    for family in FAMILIES[: 4 if same else 3]:
        maps[family] = work / f"{family}.safetensors"
        said = fit(options, source, target, models.VECTOR_PLACE, family, maps[family])
        result[f"map {family}"] = {key: said[key] for key in ("family", "r2", "ceiling")}
    for what in models.PROPERTIES:
        own = load_file(target / f"{what}.safetensors")["vector"]
        there = {"own": own}
        for family, file in maps.items():
            there[family] = moved(options, what, source, file, work / "moved.safetensors")
        there["auto, strength kept"] = moved(
            options, what, source, maps["auto"], work / "moved.safetensors", "--keep-strength"
        )
        if same:
            there["unmoved"] = load_file(source / f"{what}.safetensors")["vector"]
        effects = {name: models.effect_of(model, what, vector) for name, vector in there.items()}
        torch.manual_seed(0)
        drawn = torch.nn.functional.normalize(torch.randn(RANDOM_DIRECTIONS, len(own)), dim=-1) * own.norm()
        sizes = [abs(models.effect_of(model, what, vector)) for vector in drawn]
        effects["random"] = statistics.mean(sizes)
        result[what] = {name: effect / effects["own"] for name, effect in effects.items()}
        result[f"{what} own"], result[f"{what} known"] = effects["own"], models.known(model, what)
        if what == "refusal":
            result["turned"] = {name: models.turned(model, vector) for name, vector in there.items()}
            result["turned"]["unsteered"] = models.turned(model, None)
    return result


def sae_between(options, source, target, work):
    """NMSE on the target's rows, which neither map nor SAE has seen."""
    model = models.load(target)
    rows = models.rows_at(model, models.SAE_PLACE, "test", 64)
    result = {"trained there": models.nmse(target / "sae", rows)}
    home = models.rows_at(models.load(source), models.SAE_PLACE, "test", 64)
    result["at home"] = models.nmse(source / "sae", home)
    same = WIDTHS[source.name[0]] == WIDTHS[target.name[0]]
    if same:
        result["unmoved"] = models.nmse(source / "sae", rows)
    for family in FAMILIES[: 4 if same else 3]:
        said = fit(options, source, target, models.SAE_PLACE, family, work / "sae-map.safetensors")
        words = ["--map", work / "sae-map.safetensors", "-o", work / "sae", "--force"]
        regauge(options, "transport", source / "sae", *words)
        result[family] = models.nmse(work / "sae", rows)
        result[f"r2 {family}"] = said["r2"]
    return result


def study(options, kind, seed):
    source, target = (options.data / f"{who}{seed}" for who in KINDS[kind])
    file = options.data / f"result-{source.name}-{target.name}.json"

    def measure(part):
        work = options.data / "work"
        work.mkdir(exist_ok=True)
        found = {"vectors": vectors_between(options, source, target, work), "sae": sae_between(options, source, target, work)}
        part.write_text(json.dumps(found, indent=1))

    return json.loads(models.made(file, measure).read_text())


def main():
    torch.set_num_threads(1)
    options = arguments()
    options.data.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for who in dict.fromkeys(who for kind in options.kinds for who in KINDS[kind]):
            prepare(options, who, seed)
    found = {kind: [study(options, kind, seed) for seed in range(options.seeds)] for kind in options.kinds}
    (HERE / "RESULTS.md").write_text(report.text(found, options.seeds))


if __name__ == "__main__":
    main()
