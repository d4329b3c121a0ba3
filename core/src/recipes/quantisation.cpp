#include "recipes/quantisation.hpp"

#include "recipes/name_pattern.hpp"
#include "recipes/recipe_table.hpp"

namespace regauge {

std::string wayOutOfPacked(std::string_view method) {
    const auto dequantise = [](std::string_view how) {
        return "dequantise the model first (in transformers, " + std::string(how) + ", then save_pretrained)";
    };
    if (method == "bitsandbytes" || method == "higgs") return dequantise("model.dequantize()");
    if (method == "mxfp4") return dequantise("from_pretrained(path, quantization_config=Mxfp4Config(dequantize=True))");
    return "take the model that it was made from, in float, and quantise what was moved again";
}

std::optional<std::string> packedWeight(std::string_view tensor) {
    for (const auto& [pattern, what] : sharedRules().quantised)
        if (matchName(pattern, tensor))
            return "is " + what + ", packed in a way that regauge does not read; " +
                   wayOutOfPacked(what.ends_with("bitsandbytes weight") ? "bitsandbytes"
                                  : what.ends_with("MXFP4 weight")      ? "mxfp4"
                                                                        : "");
    return std::nullopt;
}

}  // namespace regauge
