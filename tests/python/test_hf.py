"""regauge.hf with the real libraries, on tiny random models."""

import numpy as np
import pytest

import regauge

torch = pytest.importorskip("torch")


@pytest.fixture
def gauge():
    random = np.random.default_rng(11)
    return regauge.Gauge(random.permutation(16), random.choice([-1, 1], 16))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "float8_e4m3fn"])
def test_tensors_are_moved_as_tensors(gauge, dtype):
    x = torch.randn(3, 16).to(getattr(torch, dtype))
    moved = gauge.apply(x)
    assert moved.dtype == x.dtype and moved.shape == x.shape and moved.device == x.device
    reference = x.double()[:, torch.from_numpy(gauge.perm.astype(np.int64))] * torch.from_numpy(gauge.sign.astype(np.float64))
    assert torch.equal(moved.double(), reference)
    assert torch.equal(gauge.inverse().apply(moved).view(torch.uint8), x.view(torch.uint8))


def test_tensors_with_a_graph_and_strides_are_moved_by_value(gauge):
    x = torch.randn(16, 3, requires_grad=True)
    assert torch.equal(gauge.apply(x.T), gauge.apply(x.detach().T.contiguous()))
    assert isinstance(gauge.apply(torch.nn.Parameter(torch.randn(16))), torch.Tensor)


def test_tensors_are_read_where_they_are():
    from regauge._inputs import Inputs

    x, half = torch.randn(8, 16), torch.randn(8, 16).bfloat16()
    inputs = Inputs()
    inputs.evidence({"a": x, "b": half}, "source")
    assert inputs.mounts[0].addresses == [x.data_ptr(), half.data_ptr()]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tensors_are_aligned(planted, dtype):
    x, y, truth = planted
    kind = getattr(torch, dtype)
    assert regauge.align(torch.from_numpy(x).to(kind), torch.from_numpy(y).to(kind)) == truth


@pytest.mark.parametrize("floats", ["bf16", "f16", "f32"])
def test_quantised_tensors_come_back_in_the_element_type_that_was_asked_for(gauge, floats):
    kind = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}[floats]
    vectors = {0: torch.arange(16.0).to(torch.float8_e4m3fn), 1: torch.arange(16.0)}
    moved = regauge.transport(vectors, gauge, kind="vector", dequantize=floats).arrays
    assert moved[0].dtype == kind and torch.equal(moved[0].float(), gauge.apply(vectors[0].float()))
    assert moved[1].dtype == torch.float32 and torch.equal(moved[1], gauge.apply(vectors[1]))


# --- models

D, LAYERS, VOCABULARY = 48, 2, 61


def tiny(kind, seed=0):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(seed)
    sizes = dict(hidden_size=D, intermediate_size=64, num_hidden_layers=LAYERS, num_attention_heads=4,
                 num_key_value_heads=2, vocab_size=VOCABULARY, head_dim=12, pad_token_id=0, initializer_range=0.3)  # fmt: skip
    model = getattr(transformers, f"{kind}ForCausalLM")(getattr(transformers, f"{kind}Config")(**sizes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(1 + 0.3 * torch.rand_like(parameter))
    return model


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A tiny Llama, the same moved by a gauge (as the core moves its files), and the gauge."""
    folder, random = tmp_path_factory.mktemp("pair"), np.random.default_rng(5)
    model, truth = tiny("Llama"), regauge.Gauge(random.permutation(D), random.choice([-1, 1], D))
    model.save_pretrained(folder / "a")
    regauge.transport(folder / "a", truth, out=folder / "b")
    return model, type(model).from_pretrained(folder / "b").eval(), truth


def ids(sequences=8, length=32):
    return torch.from_numpy(np.random.default_rng(1).integers(1, VOCABULARY, (sequences, length)))


def test_evidence_of_both_models_gives_the_gauge_between_them(pair):
    from regauge import hf

    a, b, truth = pair
    source, target = hf.evidence(a, texts=ids()), hf.evidence(b, texts=ids())
    assert list(source["activations"]) == ["resid.0", "resid.1", "resid.2"]
    assert set(source["gains"]) == {"attn.0", "mlp.0", "attn.1", "mlp.1", "final"}
    assert source["activations"]["resid.1"].shape == (8, 32, D)
    gauge = regauge.align(source, target)
    assert gauge == truth and gauge.verdict == "aligned"
    hidden = a(ids(), output_hidden_states=True).hidden_states[1]
    assert torch.allclose(source["activations"]["resid.1"], hidden, atol=1e-5)


class WordTokenizer:
    """Words of the texts as numbers: what evidence asks of a tokenizer."""

    def __call__(self, texts):
        return {"input_ids": [[1 + hash(word) % (VOCABULARY - 1) for word in text.split()] for text in texts]}


def test_texts_of_different_lengths_are_padded_and_the_padding_is_no_evidence(pair):
    from regauge import hf

    a, b, truth = pair
    texts = [" ".join(f"w{(k * j) % 40}" for j in range(12 + k)) for k in range(1, 12)]
    source, target = hf.evidence(a, WordTokenizer(), texts), hf.evidence(b, WordTokenizer(), texts)
    assert source["attention_mask"].sum(1).tolist() == [12 + k for k in range(1, 12)]
    assert regauge.align(source, target) == truth


def test_what_a_tokenizer_answers_and_lists_of_ids_are_the_same_evidence(pair):
    from regauge import hf

    model = pair[0]
    rows = [[3, 4, 5, 6], [7, 8]]
    mask = [[1, 1, 1, 1], [1, 1, 0, 0]]
    padded = {"input_ids": torch.tensor([rows[0], [*rows[1], 0, 0]]), "attention_mask": torch.tensor(mask)}
    answers = [padded, {name: value.tolist() for name, value in padded.items()}, {"input_ids": rows}, rows,
               [np.array(row) for row in rows], pytest.importorskip("transformers").BatchEncoding(padded)]  # fmt: skip
    for found in (hf.evidence(model, texts=given) for given in answers):
        assert torch.equal(found["token_ids"], padded["input_ids"]) and found["attention_mask"].tolist() == mask
    texts = np.array(["w1 w2 w3", "w4"])
    assert hf.evidence(model, WordTokenizer(), texts)["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert list(hf.evidence(model, texts=rows, sites="resid.1")["activations"]) == ["resid.1"]


def test_evidence_leaves_every_part_of_a_model_in_its_mode(pair):
    from regauge import hf

    model = pair[0]
    try:
        model.train()
        model.model.layers[0].eval()
        before = [module.training for module in model.modules()]
        hf.evidence(model, texts=[[1, 2]])
        assert [module.training for module in model.modules()] == before and not all(before)
    finally:
        model.eval()


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Mistral", "Gemma2", "Olmo2"])
def test_families_name_their_norms_as_the_command_does(kind, tmp_path):
    from regauge import hf

    model = tiny(kind)
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "evidence").write_bytes(b"")
    found = hf.evidence(model, texts=ids(2, 8), sites=["resid.1"])
    assert list(found["activations"]) == ["resid.1"]
    theirs = regauge.activations(tmp_path / "model", ids(2, 8).numpy())
    header = theirs[8 : 8 + int.from_bytes(theirs[:8], "little")].decode()
    assert all(f'"gains/{name}"' in header for name in found["gains"])


def test_a_moved_vector_steers_the_moved_model_as_the_vector_does_the_first(pair):
    from regauge import hf

    a, b, truth = pair
    vector, tokens = torch.randn(D), ids(1, 8)
    for site in ("resid.0", "resid.1", "resid.2"):
        with torch.no_grad(), hf.steering(a, vector, site, strength=2.0):
            first = a(tokens).logits
        with torch.no_grad(), hf.steering(b, vector.numpy(), site, strength=2.0, gauge=truth):
            second = b(tokens).logits
        assert torch.allclose(first, second, atol=1e-3)
        with torch.no_grad():
            assert not torch.allclose(first, a(tokens).logits, atol=1e-3)  # and the hook is gone


def test_a_vector_of_any_kind_steers(pair):
    from regauge import hf

    bfloat16, float8 = (getattr(pytest.importorskip("ml_dtypes"), name) for name in ("bfloat16", "float8_e4m3fn"))
    plain = np.arange(D, dtype=np.float32) % 8  # whole, so that every kind holds it
    frozen = plain.copy()
    frozen.flags.writeable = False
    kinds = [plain, frozen, plain.astype(">f4"), plain.astype(bfloat16), plain.astype(float8), plain[::-1].copy()[::-1],
             plain.tolist(), torch.from_numpy(plain).bfloat16(), torch.from_numpy(plain).to(torch.float8_e4m3fn)]  # fmt: skip
    found = []
    for vector in kinds:
        with torch.no_grad(), hf.steering(pair[0], vector, "resid.1", strength=0.5):
            found.append(pair[0](ids(1, 4)).logits)
    assert all(torch.equal(one, found[0]) for one in found)


@pytest.mark.parametrize("call, code", [
    (lambda hf, a: hf.evidence(a, texts=["no tokenizer"]), "usage"),
    (lambda hf, a: hf.evidence(a, texts=[[VOCABULARY + 3]]), "usage"),
    (lambda hf, a: hf.evidence(a, texts=[[-1]]), "usage"),
    (lambda hf, a: hf.evidence(a, texts=torch.tensor([[1.5, 2]])), "malformed"),
    (lambda hf, a: hf.evidence(a, texts=torch.ones(1, 2, 3)), "shapeMismatch"),
    (lambda hf, a: hf.evidence(a, texts=torch.zeros(0, 3)), "usage"),
    (lambda hf, a: hf.evidence(a, texts={"ids": [[1]]}), "usage"),
    (lambda hf, a: hf.evidence(a, texts={"input_ids": [[1, 2]], "attention_mask": [[1]]}), "shapeMismatch"),
    (lambda hf, a: hf.evidence(a, texts=np.array(["no tokenizer"])), "usage"),
    (lambda hf, a: hf.evidence(a, WordTokenizer(), ["a", 1]), "usage"),
    (lambda hf, a: hf.evidence(a, texts=5), "usage"),
    (lambda hf, a: hf.evidence(a, texts=[[1]], batch=0), "usage"),
    (lambda hf, a: hf.evidence(a, WordTokenizer(), "a b", length=-1), "usage"),
    (lambda hf, a: hf.evidence(torch.nn.Linear(2, 2), texts=[[1]]), "unsupported"),
    (lambda hf, a: hf.evidence("gpt2", texts=[[1]]), "unsupported"),
    (lambda hf, a: hf.evidence(a, texts=ids(1, 4), sites=["resid.7"]), "usage"),
    (lambda hf, a: hf.evidence(a, texts=ids(1, 4), sites=[1]), "usage"),
    (lambda hf, a: hf.steering(a, [1, [2]], "resid.1").__enter__(), "malformed"),
    (lambda hf, a: hf.steering(a, np.zeros(D, "complex64"), "resid.1").__enter__(), "wrongDtype"),
    (lambda hf, a: hf.move_sae("folder", regauge.Gauge.identity(2)), "unsupported"),
    (lambda hf, a: hf.move_sae({"W_enc": torch.zeros(1, 2, 2), "W_dec": torch.zeros(2, 2)}, regauge.Gauge.identity(2)), "unsupported"),
    (lambda hf, a: hf.steering(a, torch.zeros(D + 1), "resid.1").__enter__(), "dimensionMismatch"),
    (lambda hf, a: hf.steering(a, torch.zeros(D), "mlp.1").__enter__(), "usage"),
    (lambda hf, a: hf.move_sae({"weight": torch.zeros(2, 2)}, regauge.Gauge.identity(2)), "unsupported"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(pair, call, code):
    from regauge import hf

    with pytest.raises(regauge.Error) as caught:
        call(hf, pair[0])
    assert caught.value.code == code


# --- SAEs


def test_an_saes_state_dict_is_moved_to_the_same_function(gauge):
    from regauge import hf

    sae = {"W_enc": torch.randn(16, 40), "b_enc": torch.randn(40), "W_dec": torch.randn(40, 16), "b_dec": torch.randn(16)}
    moved = hf.move_sae(sae, gauge)

    def decode(p, x):
        return torch.relu((x - p["b_dec"]) @ p["W_enc"] + p["b_enc"]) @ p["W_dec"] + p["b_dec"]

    x = torch.randn(5, 16)
    assert torch.allclose(decode(moved, gauge.apply(x)), gauge.apply(decode(sae, x)), atol=1e-4)
    with pytest.raises(regauge.Error):
        hf.move_sae({**sae, "W_odd": torch.zeros(16)}, gauge)


def test_an_sae_of_saelens_is_moved_in_memory(gauge):
    sae_lens = pytest.importorskip("sae_lens")
    from regauge import hf

    sae = sae_lens.StandardSAE(sae_lens.StandardSAEConfig(d_in=16, d_sae=40, dtype="float32", device="cpu"))
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(torch.randn_like(parameter))
    before = {name: value.clone() for name, value in sae.state_dict().items()}
    moved, x = hf.move_sae(sae, gauge), torch.randn(5, 16)
    assert type(moved) is type(sae)
    assert torch.allclose(moved(gauge.apply(x)), gauge.apply(sae(x)), atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in sae.state_dict().items())
