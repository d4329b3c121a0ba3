"""Collect an evidence bundle from a Hugging Face model: residual activations at a few places, norm gains, and the tokens they were read on.

    python examples/collect_evidence.py MODEL_A --text some.txt -o a.safetensors
    python examples/collect_evidence.py MODEL_B --tokens a.safetensors -o b.safetensors     # the same tokens
    regauge align a.safetensors b.safetensors --skip-first 1 -o gauge.json
    regauge transport steering.npy --gauge gauge.json -o moved.npy

MODEL is a folder or a name on the Hub. Needs torch, transformers and numpy; a GPU is used where there is one.

Memory: the weights in their own precision, without the output head, and one batch of activations; rows go straight to the file. A 7B model in bfloat16
takes 14 GB; where that is too much, `--device-map auto` lets accelerate spread the weights over GPUs, memory and disk. On disk: 4 bytes x rows x d a place;
4096 rows of 5 places at d = 4096 are 336 MB. Rows: a few times d is plenty; fewer than d still work, less surely.
"""
import argparse
import json
import os
import pathlib
import sys

import numpy as np
import torch
import transformers

NUMBERS = {"F32": np.float32, "F16": np.float16, "I64": np.int64}


class Bundle:
    """A safetensors file whose tensors are filled row by row. It appears under its name when whole."""

    def __init__(self, path, tensors):  # name -> (dtype, shape)
        self.path, self.part = pathlib.Path(path), pathlib.Path(f"{path}.part")
        header, self.places, end = {"__metadata__": {"format": "pt"}}, {}, 0
        for name, (dtype, shape) in tensors.items():
            begin, end = end, end + int(np.prod(shape)) * np.dtype(NUMBERS[dtype]).itemsize
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
            self.places[name] = (begin, NUMBERS[dtype], shape)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self.start = 8 + len(text)
        with open(self.part, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(self.start + end)

    def write(self, name, first, values):
        """Rows (entries along the first axis) from `first` on."""
        begin, dtype, shape = self.places[name]
        row = int(np.prod(shape[1:])) * np.dtype(dtype).itemsize
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(values, dtype)
        if dtype is not np.int64 and not np.isfinite(values).all():
            sys.exit(f"{name}: not finite" + (" in float16; leave out --half" if dtype is np.float16 else ""))
        with open(self.part, "r+b") as file:
            file.seek(self.start + begin + first * row)
            file.write(values.tobytes())

    def finish(self):
        os.replace(self.part, self.path)


def decoder_of(model):
    """The module that holds the layers of the text model, the layers, and the norm after them."""
    config = model.config.get_text_config()
    for module in model.modules():
        for layers in module.children():
            if isinstance(layers, torch.nn.ModuleList) and len(layers) == config.num_hidden_layers:
                norms = [getattr(module, name) for name in ("norm", "final_layernorm", "ln_f", "final_layer_norm") if hasattr(module, name)]
                if norms:
                    return layers, norms[0], config.hidden_size
    sys.exit(f"{type(model).__name__}: no list of {config.num_hidden_layers} layers with a norm after it; adapt decoder_of")


def gain_of(norm, d):
    """What an RMSNorm multiplies with, measured (Gemma stores the gain less one); a LayerNorm's weight."""
    if isinstance(norm, torch.nn.LayerNorm):
        return norm.weight.detach().float().cpu().numpy()
    weight = norm.weight
    with torch.no_grad():
        return norm(torch.ones(1, d, dtype=weight.dtype, device=weight.device))[0].float().cpu().numpy()


def gains_of(layers, final, d):
    """Named as `regauge activations` names them: attn and mlp before a block, post_attn and post_mlp after it, final."""
    norms = {}
    for number, layer in enumerate(layers):
        named = {name: getattr(layer, name) for name in ("input_layernorm", "ln_1", "post_attention_layernorm", "ln_2", "pre_feedforward_layernorm", "post_feedforward_layernorm") if hasattr(layer, name)}
        # Where it stands between attention and MLP, Llama's post_attention_layernorm comes before the MLP; Gemma 2's and OLMo 2's after attention.
        after_attention = "post_feedforward_layernorm" in named
        roles = {"input_layernorm": "attn", "ln_1": "attn", "post_attention_layernorm": "post_attn" if after_attention else "mlp", "ln_2": "mlp",
                 "pre_feedforward_layernorm": "mlp", "post_feedforward_layernorm": "post_mlp"}
        norms |= {f"{roles[name]}.{number}": norm for name, norm in named.items()}
    norms["final"] = final
    return {name: gain_of(norm, d) for name, norm in norms.items()}


def tokens_of(arguments):
    """[sequences, length], without padding."""
    if arguments.tokens:
        if arguments.tokens.endswith(".safetensors"):
            from safetensors import safe_open
            with safe_open(arguments.tokens, "np") as file:
                ids = file.get_tensor("token_ids")
        else:
            ids = np.load(arguments.tokens)
        return ids.reshape(-1, arguments.length) if ids.ndim == 1 else ids
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
    ids = tokenizer(pathlib.Path(arguments.text).read_text(encoding="utf8"), add_special_tokens=False)["input_ids"]
    first = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]  # every sequence begins as the model is used to
    body = arguments.length - len(first)
    count = min(-(-arguments.rows // arguments.length), len(ids) // body)
    if count == 0:
        sys.exit(f"{arguments.text}: {len(ids)} tokens are fewer than one sequence of {arguments.length}; give more text or a smaller --length")
    if count * arguments.length < arguments.rows:
        print(f"{arguments.text}: enough for {count * arguments.length} of {arguments.rows} rows", file=sys.stderr)
    return np.array([first + ids[k * body:(k + 1) * body] for k in range(count)], np.int64)


def collect(arguments):
    ids = tokens_of(arguments)
    loading = {"device_map": arguments.device_map} if arguments.device_map else {}
    loading["dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"] = arguments.dtype
    model = transformers.AutoModel.from_pretrained(arguments.model, **loading).eval()  # without the output head
    if not arguments.device_map:
        model.to("cuda" if torch.cuda.is_available() else "cpu")
    layers, final, d = decoder_of(model)
    places = sorted(set(arguments.places or np.linspace(0, len(layers), min(5, len(layers) + 1)).round().astype(int).tolist()))
    if places[-1] > len(layers) or places[0] < 0:
        sys.exit(f"--places: this model has 0 (the embedding) to {len(layers)} (what the last layer puts out)")
    if ids.max() >= model.get_input_embeddings().num_embeddings:
        sys.exit(f"token {ids.max()} is beyond the vocabulary of {model.get_input_embeddings().num_embeddings}: both models must use one tokenizer")

    gains = gains_of(layers, final, d)
    number = "F16" if arguments.half else "F32"
    bundle = Bundle(arguments.output, {**{f"activations/resid.{p}": (number, (*ids.shape, d)) for p in places}, **{f"gains/{name}": ("F32", (d,)) for name in gains}, "token_ids": ("I64", ids.shape)})
    for name, gain in gains.items():
        bundle.write(f"gains/{name}", 0, gain)
    bundle.write("token_ids", 0, ids)

    # The residual stream is what a layer reads: taken before the layer, it is the same whatever the layer returns.
    row = 0

    def keep(place):
        def hook(_, arguments, named):
            x = arguments[0] if arguments else named["hidden_states"]
            bundle.write(f"activations/resid.{place}", row, x.float().cpu().numpy())
        return hook

    for place in places:
        (layers[place] if place < len(layers) else final).register_forward_pre_hook(keep(place), with_kwargs=True)
    device = model.get_input_embeddings().weight.device
    with torch.inference_mode():
        for row in range(0, len(ids), arguments.batch):
            model(input_ids=torch.from_numpy(ids[row:row + arguments.batch]).to(device), use_cache=False)
            if sys.stderr.isatty():
                print(f"\r{min(row + arguments.batch, len(ids))}/{len(ids)} sequences", end="", file=sys.stderr)
    bundle.finish()
    print(f"{arguments.output}: {ids.size} rows of d = {d} at {', '.join(f'resid.{p}' for p in places)}, {len(gains)} gains")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, or a name on the Hub")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", help="a text file to read the model on")
    what.add_argument("--tokens", help="token ids: the other model's bundle, or .npy [sequences, length]")
    parser.add_argument("-o", "--output", required=True, help="the bundle to write (.safetensors)")
    parser.add_argument("--places", type=int, nargs="+", help="0 is the embedding, l what layer l - 1 puts out (default: five, evenly spread)")
    parser.add_argument("--rows", type=int, default=4096, help="tokens to read from --text (default 4096)")
    parser.add_argument("--length", type=int, default=128, help="tokens of a sequence (default 128)")
    parser.add_argument("--batch", type=int, default=4, help="sequences at a time (default 4)")
    parser.add_argument("--dtype", default="auto", help="of the weights: auto (as stored), bfloat16, float16, float32")
    parser.add_argument("--device-map", help="as in transformers, e.g. auto (needs accelerate)")
    parser.add_argument("--half", action="store_true", help="store float16: half the disk, and refused where it overflows")
    collect(parser.parse_args())


if __name__ == "__main__":
    main()
