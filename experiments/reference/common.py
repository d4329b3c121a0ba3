"""Runs the command on pairs and series of arrays, for trials.py, traces.py and compare.py."""
import json
import subprocess
from pathlib import Path

import numpy as np


class Command:
    def __init__(self, path, folder):
        self.path, self.folder = path, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def run(self, *arguments):
        """What the command says with --json, and the gauge that it wrote (all of it: self.gauge): (summary, perm, sign)."""
        out = self.folder / "gauge.json"
        done = subprocess.run([self.path, *map(str, arguments), "-o", out, "--force", "--json"], capture_output=True, text=True)
        if done.returncode == 2:
            raise SystemExit(done.stderr)
        gauge = json.loads(out.read_text())
        self.gauge = gauge
        return json.loads(done.stdout), np.array(gauge["perm"]), np.array(gauge["sign"])

    def align(self, x, y, *flags):
        for name, rows in (("x", x), ("y", y)):
            np.save(self.folder / f"{name}.npy", np.ascontiguousarray(rows, np.float32))
        return self.run("align", self.folder / "x.npy", self.folder / "y.npy", *flags)

    def align_bundles(self, xs, ys, gx, gy):
        """Rows of several sites, and {name: gain vector}."""
        return self.run("align", self.bundle("x", xs, gx), self.bundle("y", ys, gy))

    def trace(self, checkpoints):
        """Rows of several sites of each checkpoint."""
        return self.run("trace", *(self.bundle(f"c{k}", rows, {}) for k, rows in enumerate(checkpoints)))

    def bundle(self, name, rows, gains):
        file = self.folder / f"{name}.safetensors"
        tensors = {f"activations/{k}": a for k, a in enumerate(rows)} | {f"gains/{k}": g for k, g in gains.items()}
        file.write_bytes(safetensors(tensors))
        return file


def safetensors(tensors):
    """The bytes of a file of float32 arrays."""
    header, data = {}, b""
    for name, array in tensors.items():
        raw = np.ascontiguousarray(array, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def share(perm, sign, truth):
    return float(np.mean((perm == truth[0]) & (sign == truth[1])))
