"""Files that regauge refuses with a line of Python: the line is run, and what it writes is read.

    containers.py      needs pyarrow and numpy beside the command
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from common import check, finish, random_gauge, regauge, transport, write_gauge


def tables(activations):
    """A column of sequences as datasets' Array2D stores it (lists of lists), and one of rows (lists of a fixed size)."""
    rows = activations.reshape(-1, activations.shape[-1])
    yield "sequences", pa.table({"blocks.1.hook_resid_pre": activations.tolist(), "token_ids": [list(range(a.shape[0])) for a in activations]})
    yield "rows", pa.table({"blocks.1.hook_resid_pre": pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])})


def write_stream(table, path):
    with pa.ipc.new_stream(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)


# Compressed, all of them: Arrow that is not is read.
WRITERS = {"data.arrow": write_stream, "data.feather": lambda t, p: pyarrow.feather.write_feather(t, str(p)), "data.parquet": lambda t, p: pyarrow.parquet.write_table(t, p)}


def followed(path, folder, *command):
    """The rows that the line saves which the command prints, or why there is none."""
    status, text = regauge(*command)
    line = re.search(r": (import numpy, .*)$", text.strip())
    if status == 0 or not line:
        return None, text.strip()
    python = line[1].replace("FILE", str(next(path.iterdir()) if path.is_dir() else path)).replace("COLUMN", "blocks.1.hook_resid_pre")
    done = subprocess.run([sys.executable, "-c", python], cwd=folder, capture_output=True, text=True)
    return (np.load(folder / "rows.npy"), python) if done.returncode == 0 else (None, done.stderr[-300:])


def check_tensors(work, **options):
    """The line also saves tensors of a fixed shape with all their axes, from files that are read and that are not."""
    expected = np.arange(5 * 3 * 4, dtype=np.float32).reshape(5, 3, 4)
    table = pa.table({"blocks.1.hook_resid_pre": pa.FixedShapeTensorArray.from_numpy_ndarray(expected)})
    path = work / "tensors.arrow"
    with pa.ipc.new_stream(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=2)
    rows, said = followed(path, work, "inspect", path)
    check(f"tensors of a fixed shape, {options or 'not compressed'}", rows is not None and np.array_equal(rows, expected), said[:160])
    pyarrow.parquet.write_table(table, work / "tensors.parquet")
    rows, said = followed(work / "tensors.parquet", work, "inspect", work / "tensors.parquet")
    check("tensors of a fixed shape in Parquet", rows is not None and np.array_equal(rows, expected), said[:160])


def main():
    print(f"pyarrow {pa.__version__}, numpy {np.__version__}")
    activations = np.random.default_rng(0).normal(size=(6, 5, 16)).astype(np.float32)
    for what, table in tables(activations):
        for name, write in WRITERS.items():
            with tempfile.TemporaryDirectory() as work:
                work = pathlib.Path(work)
                (work / "folder").mkdir()
                write(table, work / "folder" / name)
                for given in (work / "folder" / name, work / "folder"):
                    rows, said = followed(given, work, "inspect", given)
                    right = rows is not None and np.array_equal(rows.reshape(-1, 16), activations.reshape(-1, 16))
                    read = right and regauge("inspect", "--kind", "vector", work / "rows.npy")[0] == 0
                    check(f"{what} in {name}, {'the folder' if given.is_dir() else 'the file'}", read, said[:160])
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        (work / "folder").mkdir()
        table = dict(tables(activations))["sequences"]
        with pa.ipc.new_stream(work / "folder" / "data.arrow", table.schema) as writer:
            writer.write_table(table)
        check_tensors(work)
        check_tensors(work, compression="zstd")
        gauge = write_gauge(random_gauge(16), work / "gauge.json")
        for given in (work / "folder" / "data.arrow", work / "folder"):
            rows, said = followed(given, work, "transport", given, "--gauge", gauge, "-o", work / "out")
            right = rows is not None and np.array_equal(rows, activations)
            check(f"transport of {given.name}", right and transport(work / "rows.npy", gauge, work / "moved.npy") != "", said[:160])
    finish()


main()
