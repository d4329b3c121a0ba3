"""AdamW resumed in other coordinates: a model and its optimizer state, both moved, train on as if nothing had happened; state moved without signs does not."""
import pathlib
import shutil
import tempfile

import torch
import transformers

from common import check, finish, random_gauge, transport, write_gauge

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
D, STEPS = 64, 5


def optimizer_of(model):
    return torch.optim.AdamW(model.named_parameters(), lr=3e-3, weight_decay=0.1)  # named: the state says which parameter is which


def train(model, optimizer, tokens):
    for batch in tokens:
        optimizer.zero_grad()
        model(batch, labels=batch).loss.backward()
        optimizer.step()
    with torch.no_grad():
        return model(tokens[0]).logits


def check_trainer(family, config):
    """A checkpoint folder of the real Trainer, moved whole: the Trainer resumes from it as from the original."""
    class Tokens(torch.utils.data.Dataset):
        tokens = torch.randint(3, 96, (64, 16), generator=torch.Generator().manual_seed(5))

        def __len__(self):
            return 64

        def __getitem__(self, i):
            return {"input_ids": self.tokens[i], "labels": self.tokens[i]}

    def trainer(folder, steps, model):
        arguments = transformers.TrainingArguments(output_dir=str(folder), max_steps=steps, save_steps=10, per_device_train_batch_size=4, learning_rate=3e-3, weight_decay=0.1, warmup_steps=3, report_to=[],
                                                   use_cpu=True, disable_tqdm=True, logging_strategy="no", seed=0)
        return transformers.Trainer(model=model, args=arguments, train_dataset=Tokens())

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        trainer(work / "run", 10, transformers.AutoModelForCausalLM.from_config(config)).train()
        gauge, start = random_gauge(D, 1), work / "run" / "checkpoint-10"
        transport(start, write_gauge(gauge, work / "g.json"), work / "moved")
        load = transformers.AutoModelForCausalLM.from_pretrained
        finished = {}
        (work / "stale").mkdir()
        for file in (work / "moved").iterdir():
            shutil.copy(start / file.name if file.name == "optimizer.pt" else file, work / "stale" / file.name)
        for folder in (start, work / "moved", work / "stale"):
            model = load(folder)
            trainer(work / "resumed", 20, model).train(resume_from_checkpoint=str(folder))
            with torch.no_grad():
                finished[folder.name] = model.eval()(Tokens.tokens[:4]).logits
        expected = finished["checkpoint-10"]
        difference, stale = ((finished[n] - expected).abs().max().item() for n in ("moved", "stale"))
        names = sorted(p.name for p in (work / "moved").iterdir())
        check(f"Trainer, {family}: resumed from the moved folder", difference < 1e-3, f"logits differ by {difference:.1e} after 10 more steps; {len(names)} files")
        check(f"Trainer, {family}: with the optimizer not moved it visibly breaks", stale > 1e-2, f"{stale:.2f}")


def main():
    small = dict(vocab_size=96, hidden_size=D, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, pad_token_id=0)
    check_trainer("llama", transformers.LlamaConfig(**small, tie_word_embeddings=True))
    check_trainer("qwen3", transformers.Qwen3Config(**small, head_dim=16))
    check_trainer("gemma2", transformers.Gemma2Config(**small, head_dim=16))
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=96, hidden_size=D, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, pad_token_id=0)
    model = transformers.LlamaForCausalLM(config)
    optimizer = optimizer_of(model)
    before, after = torch.randint(3, 96, (20, 4, 16)), torch.randint(3, 96, (STEPS, 4, 16))
    train(model, optimizer, before)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        model.save_pretrained(work / "a")
        torch.save(optimizer.state_dict(), work / "a" / "optimizer.pt")
        gauge = random_gauge(D, 1)
        transport(work / "a", write_gauge(gauge, work / "g.json"), work / "b")
        unsigned = write_gauge({**gauge, "sign": [1] * D}, work / "p.json")
        transport(work / "a" / "optimizer.pt", unsigned, work / "unsigned.pt")
        expected = train(model, optimizer, after)
        for what, state, right in (("moved state", work / "b" / "optimizer.pt", True), ("state moved by the permutation alone", work / "unsigned.pt", False),
                                   ("state not moved", work / "a" / "optimizer.pt", False)):
            other = transformers.LlamaForCausalLM.from_pretrained(work / "b")
            resumed = optimizer_of(other)
            resumed.load_state_dict(torch.load(state))
            difference = (train(other, resumed, after) - expected).abs().max().item()
            check(f"{what}: the trajectory {'goes on' if right else 'visibly breaks'}", (difference < 1e-3) == right, f"logits differ by {difference:.1e} after {STEPS} steps")
    finish()


main()
