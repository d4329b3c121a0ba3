// Python that collects evidence from two models: residual activations at five places, on the same tokens.

/** Needs torch, transformers and safetensors. Names are folders or those of a hub. */
export function evidenceSnippet(source: string, target: string): string {
  return `import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

TEXTS = open("some.txt").read().split("\\n\\n")[:64]  # a few thousand tokens of any text

def evidence(name, out):
    tokenizer = AutoTokenizer.from_pretrained(name)
    model = AutoModel.from_pretrained(name).float().eval()
    count = model.config.get_text_config().num_hidden_layers
    sites = sorted({count * k // 5 for k in range(5)})
    rows = {f"activations/resid.{site}": [] for site in sites}
    for text in TEXTS:
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=512)
        with torch.no_grad():
            hidden = model(**tokens, output_hidden_states=True).hidden_states
        for site in sites:
            rows[f"activations/resid.{site}"].append(hidden[site][0, 1:])  # not the first: it is an outlier
    save_file({key: torch.cat(parts).half().contiguous() for key, parts in rows.items()}, out)

evidence(${JSON.stringify(source)}, "source.safetensors")
evidence(${JSON.stringify(target)}, "target.safetensors")
`;
}
