"""Every file in tests/fixtures: moved by the command, torch.load, numpy.load and gguf read what NumPy computes from the original; moved back, it is the original byte for byte.

What must be refused is refused and leaves nothing behind.
"""
import json
import pathlib
import shutil
import tempfile

import gguf
import numpy as np
import torch

from common import ROOT, check, finish, inverse, random_gauge, regauge, same_bytes, transport, write_gauge

FIXTURES = ROOT / "tests" / "fixtures"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text())
D = 16
GAUGE = random_gauge(D, 3)
PERM, SIGN = np.array(GAUGE["perm"]), np.array(GAUGE["sign"], dtype=np.float64)


def moved(x, axis=-1, signs=True):
    x = np.take(np.asarray(x, dtype=np.float64), PERM, axis=axis)
    shape = [1] * x.ndim
    shape[axis] = D
    return x * SIGN.reshape(shape) if signs else x


def flat(obj, prefix=""):
    """Tensors of a torch.load, by dotted path."""
    if isinstance(obj, torch.Tensor):
        return {prefix or "tensor": obj.double().numpy()}
    items = obj.items() if isinstance(obj, dict) else enumerate(obj) if isinstance(obj, (list, tuple)) else []
    found = {}
    for key, value in items:
        found.update(flat(value, f"{prefix}.{key}" if prefix else str(key)))
    return found


def read(path):
    if path.suffix == ".npy":
        return {"array": np.load(path).astype(np.float64)}
    if path.suffix == ".npz":
        return {k: v.astype(np.float64) for k, v in np.load(path).items()}
    if path.suffix == ".gguf":
        return {t.name: t.data.astype(np.float64) for t in gguf.GGUFReader(path).tensors}
    return flat(torch.load(path, weights_only=True))


# Which axis of which tensor, where it is not the last of all of them.
AXES = {"ae.pt": {"encoder.weight": 1, "encoder.bias": None, "decoder.weight": 0, "bias": 0}, "gemma_scope/params.npz": {"W_enc": 0, "W_dec": 1, "b_dec": 0, "b_enc": None, "threshold": None}}
OPTIONS = {"views_share_storage.pt": ["--unknown", "copy"]}
READERS = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "embed_tokens", "lm_head")


def expected_of(name, tensor, value, parameters):
    if name in OPTIONS or value.ndim == 0:
        return value
    if name.startswith("optimizer"):
        parameter = parameters[int(tensor.split(".")[1])] if tensor.startswith("state.") else tensor
        if "norm" in parameter:
            return moved(value, 0, signs=False)
        return moved(value, 1 if any(r in parameter for r in READERS) else 0, signs=not tensor.endswith("exp_avg_sq"))
    axis = AXES.get(name, {}).get(tensor, -1)
    return value if axis is None else moved(value, axis)


def check_sharing(work, g, back):
    """Tensors that share a storage: together where they agree, each in a storage of its own where they cannot."""
    base, x = torch.randn(4, D), torch.randn(D)
    cases = {"rows and all of them": ({"layer_0": base[0], "layer_1": base[1], "vectors": base}, True), "transposed": ({"encoder.weight": base, "decoder.weight": base.t(), "bias": x}, True),
             "columns apart": ({"3": torch.randn(4, 2 * D)[:, :D], "5": base[:, :].t().contiguous().t()}, True),
             "odd and even": ({"coef_": x[None], "mean_": x, "scale_": x, "var_": x.view(D)}, False), "expanded": ({"mean_": x, "coef_": torch.ones(1, 1).expand(3, D)}, False)}
    for what, (tensors, whole) in cases.items():
        a, b, c = (work / f"{what}-{n}.pt" for n in "abc")
        torch.save(tensors, a)
        transport(a, g, b), transport(b, back, c)
        rule = {"decoder.weight": (0, True), "scale_": (-1, False), "var_": (-1, False)}
        right = all(np.array_equal(t, moved(flat(tensors)[n], *rule.get(n, (-1, True)))) for n, t in read(b).items())
        same = same_bytes(a, c) if whole else all(torch.equal(t, torch.load(c)[n]) for n, t in tensors.items())
        check(f"shared storage, {what}: torch.load gives what NumPy computes", right and list(read(b)) == list(tensors))
        check(f"shared storage, {what}: back {'byte for byte' if whole else 'number for number'}", same)


def main():
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        g, back = write_gauge(GAUGE, work / "g.json"), write_gauge(inverse(GAUGE), work / "gi.json")
        for name, about in EXPECTED.items():
            source = FIXTURES / name
            if about.get("must") == "refuse" or name == "i8.npy":
                status, text = regauge("transport", source, "--gauge", g, "-o", work / "refused")
                ok = status == 2 and not (work / "refused").exists() and text.count("\n") == 1 and about.get("global_name", "").split(" ")[-1] in text
                check(f"{name}: refused", ok, text.strip().split(": ", 2)[-1][:110])
                continue
            folder = work / name.replace("/", "-")
            (folder / "a").mkdir(parents=True)
            item = folder / "a" / source.name
            shutil.copy(source, item)
            if name == "optimizer.pt":
                shutil.copy(FIXTURES / "optimizer_model.pt", folder / "a" / "pytorch_model.bin")
                (folder / "b").mkdir()
                shutil.copy(FIXTURES / "optimizer_model.pt", folder / "b" / "pytorch_model.bin")  # names only: the shapes are the same
            else:
                (folder / "b").mkdir()
            transport(item, g, folder / "b" / source.name, *OPTIONS.get(name, []))
            transport(folder / "b" / source.name, back, folder / "c", *OPTIONS.get(name, []))
            before, after = read(item), read(folder / "b" / source.name)
            parameters = about.get("param_names")
            right = before.keys() == after.keys() and all(np.array_equal(after[t], expected_of(name, t, v, parameters), equal_nan=True) for t, v in before.items())
            check(f"{name}: NumPy computes the same", right, f"{len(before)} tensors")
            check(f"{name}: back byte for byte", same_bytes(item, folder / "c"))
        check_sharing(work, g, back)
    finish()


main()
