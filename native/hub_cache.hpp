// The Hugging Face hub's cache on this machine: "org/name" is the folder that a download left there.
#pragma once

#include <string>

namespace regauge {

// "Qwen/Qwen3-0.6B" or "Qwen/Qwen3-0.6B/config.json" -> the same below models--Qwen--Qwen3-0.6B of the cache, where the
// path itself is not there and that folder is; else the path as it is. Nothing is downloaded. The cache is where
// huggingface_hub has it: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub or
// ~/.cache/huggingface/hub.
std::string inHubCache(const std::string& path);

}  // namespace regauge
