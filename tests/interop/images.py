"""Vision-language models run with an image: the tower is copied, what it ends in is moved, and the logits stay.

    images.py [FAMILY ...]
"""
import pathlib
import sys
import tempfile

import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from common import check, finish, random_gauge, regauge, write_gauge
from families import TOLERANCE, configuration, save

D, IMAGE = 64, 3  # the width of the language model; the token that an image's patches stand for


def grid_inputs(config):
    """Qwen's: patches in a row, with the grid that they come from."""
    vision = config.vision_config
    merge, patch = vision.spatial_merge_size, vision.patch_size
    pixels = torch.randn(4 * merge * merge, 3 * getattr(vision, "temporal_patch_size", 2) * patch * patch, generator=torch.Generator().manual_seed(4))
    tokens = torch.tensor([[1, config.vision_start_token_id] + [IMAGE] * 4 + [7, 8, 9, 10]])
    return dict(input_ids=tokens, pixel_values=pixels, image_grid_thw=torch.tensor([[1, 2 * merge, 2 * merge]]), mm_token_type_ids=(tokens == IMAGE).long())


def gemma_inputs(config):
    tokens = torch.tensor([[1] + [IMAGE] * config.mm_tokens_per_image + [7, 8, 9, 10]])
    size = config.vision_config.image_size
    return dict(input_ids=tokens, pixel_values=torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(4)), token_type_ids=(tokens == IMAGE).long())


def qwen(config):
    config.image_token_id, config.vision_start_token_id, config.video_token_id = IMAGE, 4, 98
    return config


def gemma(config):
    config.image_token_id = config.image_token_index = IMAGE
    config.mm_tokens_per_image, config.vision_config.image_size, config.vision_config.patch_size = 4, 32, 8
    return config


FAMILIES = {"qwen2_vl": (qwen, grid_inputs), "qwen2_5_vl": (qwen, grid_inputs), "qwen3_vl": (qwen, grid_inputs), "qwen3_5": (qwen, grid_inputs), "gemma3": (gemma, gemma_inputs)}


def logits(folder, inputs):
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(**inputs).logits.double()


def tried(family, folder):
    adapt, inputs_of = FAMILIES[family]
    config = adapt(configuration(CONFIG_MAPPING[family], D, False, family))
    save(config, transformers.AutoModelForImageTextToText, folder / "a")
    inputs = inputs_of(config)
    expected = logits(folder / "a", inputs)
    blind = logits(folder / "a", {**inputs, "pixel_values": 0 * inputs["pixel_values"]})
    status, text = regauge("transport", folder / "a", "--gauge", write_gauge(random_gauge(D, 3), folder / "g.json"), "-o", folder / "b")
    if status != 0:
        return check(f"{family} with an image", False, text.strip()[-300:])
    scale = expected.abs().max()
    change = ((logits(folder / "b", inputs) - expected).abs().max() / scale).item()
    seen = ((blind - expected).abs().max() / scale).item()
    check(f"{family} with an image", change < TOLERANCE and seen > 100 * TOLERANCE, f"logits change by {change:.0e} (by {seen:.2f} with another image)")


for name in sys.argv[1:] or FAMILIES:
    with tempfile.TemporaryDirectory() as work:
        try:
            tried(name, pathlib.Path(work))
        except Exception as error:  # noqa: BLE001 - one family's trouble must not hide the others'
            check(f"{name} with an image", False, f"{type(error).__name__}: {str(error)[:300]}")
finish()
