"""What regauge and plain correlation recover of the planted gauges.

Every result is kept under its key, so that a killed run goes on.
"""

import hashlib
import itertools
import json
import pathlib
import resource
import subprocess
import tempfile

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy.optimize import linear_sum_assignment

import forks
import smollm

ROWS = (64, 96, 256, 1024)
SURE = 0.9  # what a user who keeps only sure channels would ask of confidence
STEERED_PLACE = 15  # the middle of 30 layers
STRENGTH = 2.0  # of the steering vector, in differences of the means
POSITIVE_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Results:
    """One JSON file for each build of regauge that was asked."""

    def __init__(self, folder, regauge):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{hashlib.sha256(pathlib.Path(regauge).read_bytes()).hexdigest()[:12]}.json"
        self.kept = json.loads(self.path.read_text()) if self.path.exists() else {}

    def once(self, key, work):
        if key not in self.kept:
            self.kept[key] = work()
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps(self.kept))
            part.rename(self.path)
            print(key, json.dumps(self.kept[key])[:160], flush=True)
        return self.kept[key]


def run_regauge(regauge, command, *arguments):
    """The gauge file's content and the CPU seconds. A file is written even where the answer is no (exit 1)."""
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "gauge.json"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [regauge, command, *map(str, arguments), "-o", output, "--quiet", "--threads", "1"],
            capture_output=True,
            text=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode > 1 or not output.exists():
            raise RuntimeError(f"regauge {command} {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return json.loads(output.read_text()), seconds


def right(gauge, truth):
    """Per channel: partner and sign."""
    return (np.array(gauge["perm"]) == truth["perm"]) & (np.array(gauge["sign"]) == truth["sign"])


def judged(gauge, truth):
    good, sure = right(gauge, truth), np.array(gauge["confidence"]) > SURE
    return {
        "right": float(good.mean()),
        "estimate": gauge["summary"]["estimate"],
        "verdict": gauge["verdict"],
        "sure": int(sure.sum()),
        "sure_right": int(good[sure].sum()),
    }


def rows_of(path, place, rows):
    with safe_open(path, "np") as file:
        x = file.get_tensor(f"activations/resid.{place}").astype(np.float64)
    return x.reshape(-1, x.shape[-1])[:rows]


def plain(a, b, place, rows=None):
    """Pearson's r over all rows, SciPy's assignment on |r|, the sign of r: the paper's statistic."""
    x, y = (rows_of(path, place, rows) for path in (a, b))
    x, y = ((z - z.mean(0)) / (z.std(0) + 1e-12) for z in (x, y))
    r = y.T @ x / len(x)
    i, j = linear_sum_assignment(-abs(r))
    return {"perm": j.tolist(), "sign": np.where(r[i, j] < 0, -1, 1).tolist()}


def composed(gauges):
    """The first one first: y[i] = s2[i] * s1[p2[i]] * x[p1[p2[i]]]."""
    perm, sign = np.array(gauges[0]["perm"]), np.array(gauges[0]["sign"])
    for gauge in gauges[1:]:
        then = np.array(gauge["perm"])
        perm, sign = perm[then], np.array(gauge["sign"]) * sign[then]
    return {"perm": perm.tolist(), "sign": sign.tolist()}


class Study:
    def __init__(self, data, regauge, results, seeds, rates, steps):
        self.data, self.regauge, self.results = data, regauge, results
        self.seeds, self.rates, self.steps = seeds, rates, steps
        self.truth = {seed: json.loads((data / f"s{seed}_truth.json").read_text()) for seed in seeds}

    def pair(self, seed, rate, step, prompts=""):
        return [forks.evidence_path(self.data, seed, rate, step, side, prompts) for side in "ab"]

    def recovery(self, places, rows):
        """One site, the first rows only: plain, regauge on the rows alone, and on the rows with the gains."""
        cases = itertools.product(forks.PROMPTS, self.seeds, self.rates, self.steps[1:], places, rows)
        for prompts, seed, rate, step, place, count in cases:
            a, b = self.pair(seed, rate, step, prompts)
            if a.exists() and b.exists():  # trained in part: what is there is judged
                key = f"recovery {seed} {forks.rate_name(rate)} {step} {prompts or '_long'} {place} {count}"
                self.results.once(key, lambda: self.recover(a, b, place, count, self.truth[seed]))

    def recover(self, a, b, place, count, truth):
        with tempfile.TemporaryDirectory() as folder:
            alone = []
            for side, path in zip("ab", (a, b)):
                with safe_open(path, "np") as file:
                    names = (f"activations/resid.{place}", "token_ids")
                    alone.append(pathlib.Path(folder) / f"{side}.safetensors")
                    save_file({name: file.get_tensor(name) for name in names}, alone[-1])
            chosen = ("--site", f"resid.{place}", "--rows", count)
            rows_only, _ = run_regauge(self.regauge, "align", *alone, *chosen)
            with_gains, _ = run_regauge(self.regauge, "align", a, b, *chosen)
        return {
            "plain": float(right(plain(a, b, place, count), truth).mean()),
            "rows": judged(rows_only, truth),
            "gains": judged(with_gains, truth),
        }

    def ways(self):
        """From the last checkpoint of A to the last of B: directly, hop by hop, via the base, and by trace."""
        for seed in self.seeds:
            for rate in self.rates:
                if all(path.exists() for step in self.steps for path in self.pair(seed, rate, step)):
                    self.results.once(f"ways {seed} {forks.rate_name(rate)}", lambda: self.way(seed, rate))

    def way(self, seed, rate):
        truth = self.truth[seed]
        side = [[forks.evidence_path(self.data, seed, rate, step, s) for step in self.steps] for s in "ab"]
        chain = [*reversed(side[0]), *side[1]]
        align = lambda a, b: run_regauge(self.regauge, "align", a, b)[0]
        share = lambda gauge: float(right(gauge, truth).mean())
        traced, seconds = run_regauge(self.regauge, "trace", *chain)
        hops = list(zip(chain, chain[1:]))
        return {
            "ends": judged(align(chain[0], chain[-1]), truth),
            "trace": judged(traced, truth),
            "trace_seconds": seconds,
            "hops": share(composed([align(*hop) for hop in hops])),
            "base": share(
                composed([align(chain[0], side[0][0]), align(side[0][0], side[1][0]), align(side[1][0], chain[-1])])
            ),
            "plain_ends": {place: share(plain(chain[0], chain[-1], place)) for place in (0, 15, 30)},
            "plain_hops": {place: share(composed([plain(*hop, place) for hop in hops])) for place in (0, 15, 30)},
        }

    def unrelated(self):
        def bundle(prompts, *arguments):
            a, b = (self.data / f"unrelated{prompts}_{side}.safetensors" for side in "ab")
            gauge, seconds = run_regauge(self.regauge, "align", a, b, *arguments)
            return {"verdict": gauge["verdict"], "estimate": gauge["summary"]["estimate"], "seconds": seconds}

        def folders():
            gauge, seconds = run_regauge(self.regauge, "align", self.data / "base", self.data / "random")
            return {"verdict": gauge["verdict"], "estimate": gauge["summary"]["estimate"], "seconds": seconds}

        if not (self.data / "unrelated_short_b.safetensors").exists():  # the last to be made
            return
        for prompts in forks.PROMPTS:
            self.results.once(f"unrelated {prompts or '_long'} 1024", lambda: bundle(prompts))
            self.results.once(f"unrelated {prompts or '_long'} 64", lambda: bundle(prompts, "--rows", 64))
        self.results.once("unrelated checkpoints", folders)

    def steering(self, gauges):
        """A sentiment vector made in A, judged in B, at the lightest rate; and what random gauges do to it."""
        rate = min(self.rates)
        name = forks.rate_name(rate)
        for seed in self.seeds:
            keys = [
                f"steering {seed}",
                *(f"sweep {seed} {share} {n}" for share in POSITIVE_SHARES for n in range(gauges)),
            ]
            if all(key in self.results.kept for key in keys):
                continue
            if not all((self.data / f"s{seed}_lr{name}_{side}/model.safetensors").exists() for side in "ab"):
                continue
            truth = smollm.Gauge.of(self.truth[seed])
            source = Sentiment(self.data / f"s{seed}_lr{name}_a")
            target = Sentiment(self.data / f"s{seed}_lr{name}_b")
            vector = source.vector()
            d = len(vector)
            effect = lambda moved: target.effect(moved)
            a, b = self.pair(seed, rate, self.steps[-1])

            def once():
                found, only = self.both(a, b)
                return {
                    "source": source.effect(vector),
                    "truth": effect(truth.move(vector)),
                    "moved": effect(found.move(vector)),
                    "permutation": effect(only.move(vector)),
                    "no_signs": effect(vector[truth.perm]),
                    "unmoved": effect(vector),
                }

            self.results.once(keys[0], once)
            tensors = load_file(b)
            for share in POSITIVE_SHARES:
                for n in range(gauges):

                    def swept():
                        planted = smollm.Gauge.planted(d, 1000 * seed + n, share)  # apart from the runs' own seeds
                        back = lambda y: truth.move(planted.move_back(y))  # planted coordinates to the target's own
                        with tempfile.TemporaryDirectory() as folder:
                            path = pathlib.Path(folder) / "b.safetensors"
                            save_file(
                                {key: moved_evidence(key, value, truth, planted) for key, value in tensors.items()},
                                path,
                            )
                            found, only = self.both(a, path)
                        record = planted.record()
                        return {
                            "right": float(right(found.record(), record).mean()),
                            "permutation_right": float(right(only.record(), record).mean()),
                            "moved": effect(back(found.move(vector))),
                            "permutation": effect(back(only.move(vector))),
                            "no_signs": effect(back(vector[planted.perm])),
                            "unmoved": effect(back(vector)),
                            "truth": effect(truth.move(vector)),
                        }

                    self.results.once(f"sweep {seed} {share} {n}", swept)

    def both(self, a, b):
        """regauge's gauge, and raw signed matching's."""
        return [
            smollm.Gauge.of(run_regauge(self.regauge, "align", a, b, *more)[0])
            for more in ((), ("--group", "permutation"))
        ]


def moved_evidence(key, value, truth, planted):
    """B's evidence, taken out of the run's gauge and put into another."""
    x = torch.from_numpy(value)
    if key.startswith("activations/"):
        return planted.move(truth.move_back(x)).contiguous().numpy()
    if key.startswith("gains/"):
        gain = torch.empty_like(x)
        gain[truth.perm] = x
        return gain[planted.perm].contiguous().numpy()
    return value


class Sentiment:
    """Steering at the middle place of a checkpoint: towards praise, measured on sentences that leave it open."""

    THINGS = ("film", "book", "restaurant", "hotel", "concert", "phone")
    PRAISE = (
        "I loved the {}. It was wonderful.",
        "The {} was great, the best I have seen.",
        "What a beautiful {}, I was happy.",
    )
    BLAME = (
        "I hated the {}. It was terrible.",
        "The {} was awful, the worst I have seen.",
        "What an ugly {}, I was angry.",
    )
    OPEN = ("In my opinion the {} was", "Everyone said that the {} was", "To be honest, the {} was very")
    GOOD, BAD = (" great", " good", " wonderful", " beautiful"), (" terrible", " bad", " awful", " ugly")

    def __init__(self, folder):
        self.model = smollm.load(folder).eval()
        self.tokenizer = smollm.transformers.AutoTokenizer.from_pretrained(folder)
        self.layer = self.model.model.layers[STEERED_PLACE]
        first = lambda words: [self.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
        self.good, self.bad = first(self.GOOD), first(self.BAD)
        self.open = [self.ids(sentence.format(thing)) for sentence in self.OPEN for thing in self.THINGS]
        self.before = self.leaning()

    def ids(self, text):
        return torch.tensor(
            [[self.tokenizer.bos_token_id, *self.tokenizer(text, add_special_tokens=False)["input_ids"]]]
        )

    @torch.no_grad()
    def vector(self):
        """Mean over the last tokens of praise less that of blame."""
        kept = []
        hook = self.layer.register_forward_pre_hook(
            lambda _, given, named: kept.append((given[0] if given else named["hidden_states"])[0, -1]),
            with_kwargs=True,
        )
        for sentences in (self.PRAISE, self.BLAME):
            for sentence in sentences:
                for thing in self.THINGS:
                    self.model.model(input_ids=self.ids(sentence.format(thing)), use_cache=False)
        hook.remove()
        half = len(kept) // 2
        return STRENGTH * (torch.stack(kept[:half]).mean(0) - torch.stack(kept[half:]).mean(0))

    @torch.no_grad()
    def leaning(self):
        """Nats by which good words are likelier than bad ones, averaged."""
        total = 0.0
        for ids in self.open:
            logits = self.model(input_ids=ids, use_cache=False).logits[0, -1]
            total += (logits[self.good].logsumexp(0) - logits[self.bad].logsumexp(0)).item()
        return total / len(self.open)

    def effect(self, vector):
        """How much the vector, added at every token, changes the leaning."""

        def add(_, given, named):
            if given:
                return (given[0] + vector, *given[1:]), named
            return given, {**named, "hidden_states": named["hidden_states"] + vector}

        hook = self.layer.register_forward_pre_hook(add, with_kwargs=True)
        try:
            return self.leaning() - self.before
        finally:
            hook.remove()
