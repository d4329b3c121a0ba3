#!/usr/bin/env python3
"""Moving a checkpoint beside copying it with cp, the file in the page cache, in one run.

    python3 bench/peers/transport_cp.py build/bench/regauge [--layers 4] [--rounds 6] [--folder /tmp]

The checkpoint is a Llama of d = 2048 in bfloat16, its numbers random; 18 layers are 2 GB. All run in turn, `rounds` times, first by turns: into the page cache
(regauge with --no-sync), and until the disk has it (cp, then sync of its files; regauge as it is). Medians of the clock and of CPU time.
"""
import argparse
import json
import os
import platform
import random
import resource
import statistics
import struct
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("command", help="the regauge program")
parser.add_argument("--layers", type=int, default=4)
parser.add_argument("--rounds", type=int, default=6)
parser.add_argument("--folder", help="where the files go")
arguments = parser.parse_args()
d, wide, vocabulary = 2048, 5632, 32000


def shapes():
    yield "model.embed_tokens.weight", [vocabulary, d]
    for layer in range(arguments.layers):
        name = f"model.layers.{layer}"
        yield f"{name}.input_layernorm.weight", [d]
        yield f"{name}.post_attention_layernorm.weight", [d]
        for part in "qkvo":
            yield f"{name}.self_attn.{part}_proj.weight", [d, d]
        yield f"{name}.mlp.gate_proj.weight", [wide, d]
        yield f"{name}.mlp.up_proj.weight", [wide, d]
        yield f"{name}.mlp.down_proj.weight", [d, wide]
    yield "model.norm.weight", [d]
    yield "lm_head.weight", [vocabulary, d]


def write_checkpoint(folder):
    os.mkdir(folder)
    header, end = {}, 0
    for name, shape in shapes():
        begin, end = end, end + 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    noise = random.Random(1).randbytes(1 << 24)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for begin in range(0, end, len(noise)):
            file.write(noise[: end - begin])
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": d, "intermediate_size": wide, "num_hidden_layers": arguments.layers,
              "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": vocabulary, "rms_norm_eps": 1e-5, "tie_word_embeddings": False}
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)
    return end


def timed(command):
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


with tempfile.TemporaryDirectory(dir=arguments.folder) as top:
    model, moved, copy, gauge = (os.path.join(top, name) for name in ("model", "moved", "copy", "gauge.json"))
    size = write_checkpoint(model)
    shuffled = random.Random(2)
    perm = shuffled.sample(range(d), d)
    with open(gauge, "w") as file:
        json.dump({"format": "regauge-gauge", "version": 1, "d": d, "group": "signed", "perm": perm, "sign": shuffled.choices([1, -1], k=d)}, file)
    transport = [arguments.command, "transport", model, "--gauge", gauge, "-o", moved, "--quiet"]
    commands = {
        "page cache": (["cp", "-r", model, copy], [*transport, "--no-sync"]),
        "disk": (["sh", "-c", f"cp -r {model} {copy} && sync {copy}/* {copy}"], transport),
    }
    times = {where: ([], []) for where in commands}
    for k in range(arguments.rounds + 1):
        for where, pair in commands.items():
            # By turns first: a virtual machine gives memory that was just freed at once, and more than that slowly.
            for kept, command in list(zip(times[where], pair))[:: 1 if k % 2 else -1]:
                subprocess.run(["sync"], check=True)  # what others left to write
                measured = timed(command)
                if k > 0:  # the first one fills the cache
                    kept.append(measured)
            subprocess.run(["rm", "-r", copy, moved], check=True)
    version = subprocess.run([arguments.command, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"{platform.processor() or platform.machine()}, {version}; a checkpoint of {size / 2**20:.0f} MiB, d = {d}, bfloat16\n")
    print("| to | | cp, s | regauge transport, s | ratio |\n| --- | --- | --- | --- | --- |")
    for where, (cp, ours) in times.items():
        for k, what in enumerate(("clock", "CPU")):
            a, b = (statistics.median(measured[k] for measured in runs) for runs in (cp, ours))
            print(f"| {where} | {what} | {a:.2f} | {b:.2f} | {b / a:.2f} |")
