"""SmolLM2-135M-Instruct: plant gauges, fine-tune hard, and see what regauge recovers and says. Resumes where it was.

make experiments-real                       # everything
python experiments/real/run.py --quick      # one seed, two drifts, three depths
"""

import argparse
import pathlib
import subprocess

import torch
import transformers

import forks
import report
import smollm
import study

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="seed 1, learning rates 5e-4 and 4e-3, sites 5, 15 and 30, two sweeps a share",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[5e-4, 1e-3, 2e-3, 4e-3], help="learning rates, light to ruinous"
    )
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[6, 10, 20, 30], help="checkpoints to save, besides step 0"
    )
    parser.add_argument("--places", type=int, nargs="+", default=list(forks.PLACES), help="sites of the recovery table")
    parser.add_argument("--rows", type=int, nargs="+", default=list(study.ROWS))
    parser.add_argument("--gauges", type=int, default=10, help="random gauges for each share of positive signs")
    parser.add_argument("--regauge", type=lambda path: pathlib.Path(path).resolve(), default=ROOT / "build/native/regauge")
    parser.add_argument("--regauge-is", help="what RESULTS.md calls it (default: its --version)")
    parser.add_argument(
        "--data", type=pathlib.Path, default=ROOT / "build/experiments-real/data", help="what can be made again"
    )
    parser.add_argument(
        "--output", type=pathlib.Path, help="default: RESULTS.md beside this file; with --quick, in the data folder"
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="of torch; another number may give other runs in the last bits"
    )
    parser.add_argument("--only", choices=("train", "evaluate", "report"), help="one part of the work")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.rates, options.places, options.gauges = [1], [5e-4, 4e-3], [5, 15, 30], 2
    output = options.output or (options.data if options.quick else pathlib.Path(__file__).parent) / "RESULTS.md"
    steps = [0, *sorted(options.steps)]
    torch.set_num_threads(options.threads)
    options.data.mkdir(parents=True, exist_ok=True)

    if options.only in (None, "train"):
        smollm.make_base(options.data / "base")
        text = smollm.Text(transformers.AutoTokenizer.from_pretrained(options.data / "base"))
        for seed in options.seeds:
            gauge = forks.make_truth(
                options.data, seed, transformers.AutoConfig.from_pretrained(options.data / "base").hidden_size
            )
            for rate in options.rates:
                for side in "ab":
                    forks.train(
                        options.data, text, seed, rate, steps, side, gauge, keep_model=rate == min(options.rates)
                    )
        forks.make_unrelated(options.data, text)

    results = study.Results(options.data / "results", options.regauge)
    if options.only in (None, "evaluate"):
        work = study.Study(options.data, options.regauge, results, options.seeds, options.rates, steps)
        work.ways()
        work.steering(options.gauges)
        work.recovery(options.places, options.rows)
        work.unrelated()

    version = subprocess.run([options.regauge, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    report.write(
        output,
        results.kept,
        options.regauge_is or f"regauge {version}",
        "make experiments-real" if not options.quick else "run.py --quick",
    )
    print(output)


if __name__ == "__main__":
    main()
