"""What regauge says to do in Python where it refuses a file: done as it says, and the new file is read.

    advice.py      needs torch and numpy beside the command; tests/cpp/advice.test.cpp follows what it says of its own commands
"""
import pathlib
import pickle
import re
import subprocess
import sys
import tempfile
import warnings
import zipfile

import numpy as np
import torch
import torch.distributed.checkpoint

from common import check, finish, random_gauge, regauge, write_gauge

warnings.filterwarnings("ignore")
D = 16


def legacy(work):
    torch.save({"w": torch.randn(3, D)}, work / "old.pt", _use_new_zipfile_serialization=False)
    return work / "old.pt", r"torch\.save\(torch\.load\(path\), new_path\)"


def joblib(work):
    (work / "probe.pkl").write_bytes(pickle.dumps({"coef_": np.ones((1, D))}))
    return work / "probe.pkl", r"np\.savez\('probe\.npz', coef_=probe\.coef_\)"


def script(work):
    torch.jit.save(torch.jit.script(torch.nn.Linear(D, 3)), work / "script.pt")
    return work / "script.pt", r"torch\.save\(model\.state_dict\(\), path\)"


def objects(work):
    np.save(work / "objects.npy", np.array([np.ones(D), None, np.zeros(D)], dtype=object), allow_pickle=True)
    return work / "objects.npy", r"np\.stack\(list\)"


def appended(work):
    with open(work / "two.npy", "wb") as file:
        np.save(file, np.ones(D))
        np.save(file, np.ones(D))
    return work / "two.npy", r"np\.savez"


def distributed(work):
    torch.distributed.checkpoint.save({"w": torch.randn(3, D)}, checkpoint_id=work / "distributed")
    return work / "distributed", r"python -m torch\.distributed\.checkpoint\.format_utils dcp_to_torch FOLDER model\.pt"


def repeated(work):
    torch.save({"a": torch.randn(4, 1).expand(4, D), "b": torch.randn(D)}, work / "repeated.pt")
    return work / "repeated.pt", r"torch\.save\(\{k: v\.clone\(\) for k, v in d\.items\(\)\}, path\)"


def expanded(work):
    torch.save({"a": torch.randn(1, D).expand(300_000, D)}, work / "expanded.pt")  # 18 MiB of 64 bytes
    return work / "expanded.pt", r"save it with \.clone\(\)"


class Probe:
    coef_ = np.ones((1, D))


# For each: what makes the file, and the printed line as it is run; `old` and `new` are paths.
KINDS = {
    "PyTorch before 1.6": (legacy, "torch.save(torch.load(old), new)", ".pt"),
    "a bare pickle": (joblib, "np.savez(new, coef_=probe.coef_)", ".npz"),
    "a TorchScript archive": (script, "torch.save(torch.jit.load(old).state_dict(), new)", ".pt"),
    "an array of objects": (objects, "np.save(new, np.stack([x for x in np.load(old, allow_pickle=True) if x is not None]))", ".npy"),
    "two arrays in one .npy": (appended, "file = open(old, 'rb'); np.savez(new, a=np.load(file), b=np.load(file))", ".npz"),
    "a view that repeats elements": (repeated, "d = torch.load(old); torch.save({k: v.clone() for k, v in d.items()}, new)", ".pt"),
    "a long view that repeats elements": (expanded, "d = torch.load(old); torch.save({k: v.clone() for k, v in d.items()}, new)", ".pt"),
    "a distributed checkpoint": (distributed, None, ".pt"),
}


def check_zip64(work):
    """A compressed archive that would grow beyond 4 GiB is to be saved with np.savez, which then writes zip64 records: those of a limit of nothing are the same."""
    limit, zipfile.ZIP64_LIMIT = zipfile.ZIP64_LIMIT, 0
    rows = {name: np.random.default_rng(0).normal(size=(20, D)) for name in ("a", "b")}
    np.savez(work / "wide.npz", **rows)
    zipfile.ZIP64_LIMIT = limit
    gauge = random_gauge(D)
    status, text = regauge("transport", work / "wide.npz", "--gauge", write_gauge(gauge, work / "gauge.json"), "-o", work / "moved.npz", "--kind", "vector")
    right = status == 0 and all(np.array_equal(np.load(work / "moved.npz")[name], value[:, gauge["perm"]] * np.array(gauge["sign"])) for name, value in rows.items())
    check("an archive with zip64 records, as np.savez writes it beyond 4 GiB", right and b"PK\x06\x06" in (work / "wide.npz").read_bytes(), text[-200:])


def main():
    print(f"torch {torch.__version__}, numpy {np.__version__}")
    for what, (make, line, ending) in KINDS.items():
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            gauge = write_gauge(random_gauge(D), work / "gauge.json")
            old, said = make(work)
            new = work / f"new{ending}"
            status, text = regauge("transport", old, "--gauge", gauge, "-o", work / "out", "--kind", "vector") if old.is_file() else regauge("inspect", old)
            refused = status != 0 and re.search(said, text.replace("\n", " "))
            if line is None:
                subprocess.run([sys.executable, "-m", "torch.distributed.checkpoint.format_utils", "dcp_to_torch", old, new], capture_output=True, check=True)
            else:
                exec(line, {"torch": torch, "np": np, "old": old, "new": new, "probe": Probe})  # noqa: S102 - our own lines
            moved = regauge("transport", new, "--gauge", gauge, "-o", work / "moved", "--kind", "vector") if what != "a TorchScript archive" else regauge("inspect", new)
            check(what, bool(refused) and moved[0] == 0, "" if refused and moved[0] == 0 else text[-300:] + moved[1][-200:])
    with tempfile.TemporaryDirectory() as work:
        check_zip64(pathlib.Path(work))
    finish()


main()
