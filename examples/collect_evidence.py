"""Collect an evidence bundle from a Hugging Face model: residual activations at a few places, norm gains, and the tokens they were read on.

    python examples/collect_evidence.py MODEL_A --text some.txt -o a.safetensors
    python examples/collect_evidence.py MODEL_B --tokens a.safetensors -o b.safetensors     # the same tokens
    regauge align a.safetensors b.safetensors --skip-first 1 -o gauge.json
    regauge transport steering.npy --gauge gauge.json -o moved.npy

Models with other tokenizers are paired by the text that a token ends at: give each the other's name, and the same --text, --rows and --length.

    python examples/collect_evidence.py MODEL_A --text some.txt --spans-with MODEL_B -o a.safetensors
    python examples/collect_evidence.py MODEL_B --text some.txt --spans-with MODEL_A -o b.safetensors
    regauge map a.safetensors b.safetensors -o map.safetensors

A passage of the text goes through both tokenizers, whose character offsets say where each token ends; a row is kept where both have a token that ends at
that character (the last one, where several end there: pieces of one character), so row k of both files has read the same text and no more. The bundle
has no `token_ids`: rows pair by position, and the metadata's `spans_sha256` is the same in both files where they do.

MODEL is a folder or a name on the Hub. Needs torch, transformers and numpy; a GPU is used where there is one.

Memory: the weights in their own precision, without the output head, and one batch of activations; rows go straight to the file. A 7B model in bfloat16
takes 14 GB; where that is too much, `--device-map auto` lets accelerate spread the weights over GPUs, memory and disk. On disk: 4 bytes x rows x d a place;
4096 rows of 5 places at d = 4096 are 336 MB. Rows: a few times d is plenty; fewer than d still work, less surely.
"""
import argparse
import hashlib
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

    def __init__(self, path, tensors, metadata):  # name -> (dtype, shape)
        self.path, self.part = pathlib.Path(path), pathlib.Path(f"{path}.part")
        header, self.places, end = {"__metadata__": {"format": "pt", **metadata}}, {}, 0
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


def ends_of(tokenizer, text):
    """Token ids without special ones, and for each character at which a token ends the number of the last one that does."""
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return found["input_ids"], {end: k for k, (begin, end) in enumerate(found["offset_mapping"]) if end > begin}


def spans_of(arguments):
    """Passages in this model's tokens, and of each the rows to keep with their characters: those that both tokenizers end a token at.

    Passages are cut by characters, --length times 4 each, so that they are the same for both models; each ends at a space. Both sides compute the same
    list of characters, since "ends a token in both" does not know which tokenizer is whose.
    """
    own, other = (transformers.AutoTokenizer.from_pretrained(name) for name in (arguments.model, arguments.spans_with))
    if not (own.is_fast and other.is_fast):
        sys.exit("--spans-with needs tokenizers that give character offsets (\"fast\" ones)")
    text = pathlib.Path(arguments.text).read_text(encoding="utf8")
    first = [] if own.bos_token_id is None else [own.bos_token_id]
    passages, begin, rows = [], 0, 0
    while begin < len(text) and rows < arguments.rows:
        end = min(begin + 4 * arguments.length, len(text))
        space = text.rfind(" ", begin + 1, end) if end < len(text) else -1
        end = space if space > begin else end
        (ids, mine), (_, theirs) = ends_of(own, text[begin:end]), ends_of(other, text[begin:end])
        shared = sorted(mine.keys() & theirs.keys())[: arguments.rows - rows]
        if shared:
            passages.append((first + ids, [len(first) + mine[place] for place in shared], shared))
        rows += len(shared)
        begin = end
    if rows < arguments.rows:
        print(f"{arguments.text}: enough for {rows} of {arguments.rows} rows", file=sys.stderr)
    if rows == 0:
        sys.exit(f"{arguments.text}: the two tokenizers end no token at the same character")
    return passages


def collect(arguments):
    passages = spans_of(arguments) if arguments.spans_with else None
    ids = None if passages else tokens_of(arguments)
    loading = {"device_map": arguments.device_map} if arguments.device_map else {}
    loading["dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"] = arguments.dtype
    model = transformers.AutoModel.from_pretrained(arguments.model, **loading).eval()  # without the output head
    if not arguments.device_map:
        model.to("cuda" if torch.cuda.is_available() else "cpu")
    layers, final, d = decoder_of(model)
    places = sorted(set(arguments.places or np.linspace(0, len(layers), min(5, len(layers) + 1)).round().astype(int).tolist()))
    if places[-1] > len(layers) or places[0] < 0:
        sys.exit(f"--places: this model has 0 (the embedding) to {len(layers)} (what the last layer puts out)")
    largest = max(max(tokens) for tokens, _, _ in passages) if passages else ids.max()
    if largest >= model.get_input_embeddings().num_embeddings:
        sys.exit(f"token {largest} is beyond the vocabulary of {model.get_input_embeddings().num_embeddings}: both models must use one tokenizer")

    gains = gains_of(layers, final, d)
    number = "F16" if arguments.half else "F32"
    spans = [(k, place) for k, (_, _, shared) in enumerate(passages or []) for place in shared]
    shape, tokens_read = ((len(spans),), {}) if passages else (ids.shape, {"token_ids": ids})
    metadata = {"spans_sha256": hashlib.sha256(json.dumps(spans).encode()).hexdigest()} if passages else {}
    bundle = Bundle(arguments.output, {**{f"activations/resid.{p}": (number, (*shape, d)) for p in places}, **{f"gains/{name}": ("F32", (d,)) for name in gains}, **{name: ("I64", values.shape) for name, values in tokens_read.items()}}, metadata)
    for name, gain in gains.items():
        bundle.write(f"gains/{name}", 0, gain)
    for name, values in tokens_read.items():
        bundle.write(name, 0, values)

    # The residual stream is what a layer reads: taken before the layer, it is the same whatever the layer returns.
    row, kept = 0, None  # kept: the tokens of the only sequence whose rows are wanted; all of them

    def keep(place):
        def hook(_, arguments, named):
            x = arguments[0] if arguments else named["hidden_states"]
            x = x.float().cpu().numpy()
            bundle.write(f"activations/resid.{place}", row, x if kept is None else x[0, kept])
        return hook

    for place in places:
        (layers[place] if place < len(layers) else final).register_forward_pre_hook(keep(place), with_kwargs=True)
    device = model.get_input_embeddings().weight.device
    with torch.inference_mode():
        for tokens, kept, _ in passages or []:  # of different lengths: one at a time
            model(input_ids=torch.tensor([tokens], device=device), use_cache=False)
            row += len(kept)
        for row in range(0, 0 if passages else len(ids), arguments.batch):
            model(input_ids=torch.from_numpy(ids[row:row + arguments.batch]).to(device), use_cache=False)
            if sys.stderr.isatty():
                print(f"\r{min(row + arguments.batch, len(ids))}/{len(ids)} sequences", end="", file=sys.stderr)
    bundle.finish()
    print(f"{arguments.output}: {np.prod(shape)} rows of d = {d} at {', '.join(f'resid.{p}' for p in places)}, {len(gains)} gains")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, or a name on the Hub")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", help="a text file to read the model on")
    what.add_argument("--tokens", help="token ids: the other model's bundle, or .npy [sequences, length]")
    parser.add_argument("--spans-with", metavar="MODEL", help="the other model, whose tokenizer differs: rows are paired by the text they end at (needs --text)")
    parser.add_argument("-o", "--output", required=True, help="the bundle to write (.safetensors)")
    parser.add_argument("--places", type=int, nargs="+", help="0 is the embedding, l what layer l - 1 puts out (default: five, evenly spread)")
    parser.add_argument("--rows", type=int, default=4096, help="tokens to read from --text (default 4096)")
    parser.add_argument("--length", type=int, default=128, help="tokens of a sequence (default 128)")
    parser.add_argument("--batch", type=int, default=4, help="sequences at a time (default 4)")
    parser.add_argument("--dtype", default="auto", help="of the weights: auto (as stored), bfloat16, float16, float32")
    parser.add_argument("--device-map", help="as in transformers, e.g. auto (needs accelerate)")
    parser.add_argument("--half", action="store_true", help="store float16: half the disk, and refused where it overflows")
    arguments = parser.parse_args()
    if arguments.spans_with and not arguments.text:
        parser.error("--spans-with needs --text")
    collect(arguments)


if __name__ == "__main__":
    main()
