"""Arrow tables, as datasets and pyarrow write them, read as evidence: the same rows as pyarrow's own.

    arrow.py             needs pyarrow, datasets and numpy beside the command
    arrow.py fixtures    writes tests/fixtures/arrow, which the C++ tests read
"""
import json
import pathlib
import shutil
import sys
import tempfile

import datasets
import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from common import ROOT, check, finish, regauge

HOOK = "blocks.1.hook_resid_pre"
datasets.disable_progress_bars()


def counted(shape, dtype="float32"):
    """0, 1/8, 2/8, ...: what the C++ tests expect without a file of values."""
    return (np.arange(np.prod(shape)) / 8).reshape(shape).astype(dtype)


def saved(folder, activations, shards):
    """What SAELens's cache is: sequences [context, d] under the hook's name, with their tokens."""
    sequences, context, d = activations.shape
    features = datasets.Features({HOOK: datasets.Array2D(shape=(context, d), dtype=str(activations.dtype)), "token_ids": datasets.Sequence(datasets.Value("int32"), length=context)})
    tokens = np.arange(sequences * context, dtype=np.int32).reshape(sequences, context)
    datasets.Dataset.from_dict({HOOK: activations, "token_ids": tokens}, features=features).save_to_disk(folder, num_shards=shards)


def kinds():
    """A column of every kind that there is, in two batches of 3 rows."""
    flat = lambda shape, dtype: pa.array(counted(shape, dtype).reshape(-1))
    rows = 6
    ragged = [[[float(r), 1.0]] * (1 + r % 2) for r in range(rows)]
    return pa.table({
        "fixed_f16": pa.FixedSizeListArray.from_arrays(flat((rows, 4), "float16"), 4),
        "list_f64": pa.array(counted((rows, 4), "float64").tolist(), pa.list_(pa.float64())),
        "text": pa.array([f"row {r}" for r in range(rows)]),
        "large_f32": pa.array(counted((rows, 3, 4)).tolist(), pa.large_list(pa.list_(pa.float32()))),
        "fixed_of_lists": pa.array(counted((rows, 2, 4)).tolist(), pa.list_(pa.list_(pa.float32()), 2)),
        "sequences": pa.array(ragged, pa.list_(pa.list_(pa.float32(), 2))),
        "ragged": pa.array([[1.0] * (1 + r % 2) for r in range(rows)], pa.list_(pa.float32())),
        "nulls": pa.array([[1.0, None]] * rows, pa.list_(pa.float32())),
        "number": pa.array(counted(rows)),
        "dictionary": pa.array(["a", "b"] * 3).dictionary_encode(),
        "structure": pa.array([{"x": 1, "y": "z"}] * rows),
        "view": pa.array(["a text that is longer than a view holds"] * rows, pa.string_view()),
        "nothing": pa.nulls(rows),
        "map": pa.array([[("k", 1)]] * rows, pa.map_(pa.string(), pa.int32())),
        "attention_mask": pa.array([[r % 2 == 0, True, False] for r in range(rows)], pa.list_(pa.bool_(), 3)),
        "input_ids": pa.array([[r, r + 1, r + 2] for r in range(rows)], pa.list_(pa.int64())),
    })


def write_stream(table, path, **options):
    with pa.ipc.new_stream(str(path), table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=3)


def write_fixtures():
    folder = ROOT / "tests" / "fixtures" / "arrow"
    shutil.rmtree(folder, ignore_errors=True)
    saved(folder / "saved", counted((5, 3, 4)), 2)
    write_stream(kinds(), folder / "kinds.arrow")
    rows = pa.table({HOOK: pa.FixedSizeListArray.from_arrays(pa.array(counted((6, 4)).reshape(-1)), 4)})
    with pa.ipc.new_file(str(folder / "file.arrow"), rows.schema) as writer:
        writer.write_table(rows, max_chunksize=4)
    for codec in ("lz4", "zstd"):
        write_stream(rows, folder / f"{codec}.arrow", compression=codec)
    write_stream(pa.table({"tensors": pa.FixedShapeTensorArray.from_numpy_ndarray(counted((6, 3, 4)))}), folder / "tensors.arrow")
    write_stream(kinds().select(["text", "ragged", "nulls", "number"]), folder / "none.arrow")


def aligned(work, source, target, gauge):
    """Whether `align` of two pieces of evidence finds the gauge."""
    out = work / "found.json"
    out.unlink(missing_ok=True)
    status, text = regauge("align", source, target, "-o", out)
    found = json.loads(out.read_text()) if status == 0 else {}
    return found.get("perm") == gauge[0].tolist() and found.get("sign") == gauge[1].tolist(), text


def check_folders(work, dtype, shards):
    random = np.random.default_rng(1)
    d, sequences, context = 24, 40, 8
    perm, sign = random.permutation(d), random.choice([-1, 1], d)
    a = (random.normal(size=(sequences, context, d)) * np.linspace(0.5, 2, d)).astype(dtype)
    b = np.ascontiguousarray(a[..., perm] * sign).astype(dtype)  # what safetensors takes
    for name, rows in (("a", a), ("b", b)):
        shutil.rmtree(work / name, ignore_errors=True)
        saved(work / name, rows, shards)
    what = f"{dtype}, {shards} files"
    right, said = aligned(work, work / "a", work / "b", (perm, sign))
    check(f"align of folders, {what}", right, "" if right else said[-300:])
    # The rows themselves: one side as datasets stores it, the other as NumPy has it.
    save_file({f"activations/{HOOK}": b, "token_ids": np.arange(sequences * context, dtype=np.int32).reshape(sequences, context)}, work / "b.safetensors")
    right, said = aligned(work, work / "a", work / "b.safetensors", (perm, sign))
    check(f"align of a folder and a bundle, {what}", right, "" if right else said[-300:])
    one, other = work / "one.stats", work / "other.stats"
    statistics = [regauge("stats", work / "a", work / side, "-o", out, "--force") for side, out in (("b", one), ("b.safetensors", other))]
    check(f"stats of a folder, {what}", all(status == 0 for status, _ in statistics), statistics[0][1][-300:])
    status, text = regauge("inspect", work / "a")
    check(f"inspect of a folder, {what}", status == 0 and f"[{sequences}, {context}, {d}]" in text and HOOK in text, text[-300:])
    if shards == 1:
        right, said = aligned(work, work / "a" / "data-00000-of-00001.arrow", work / "b", (perm, sign))
        check(f"align of a file, {what}", right, "" if right else said[-300:])


def main():
    if sys.argv[1:] == ["fixtures"]:
        return write_fixtures()
    print(f"pyarrow {pa.__version__}, datasets {datasets.__version__}, numpy {np.__version__}")
    with tempfile.TemporaryDirectory() as work:
        for dtype in ("float32", "float16", "float64"):
            for shards in (1, 3, 12):
                check_folders(pathlib.Path(work), dtype, shards)
    finish()


main()
