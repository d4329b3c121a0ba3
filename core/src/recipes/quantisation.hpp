// How weights that a quantisation method packed become floats again.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace regauge {

// What to do with a model whose weights are packed by a method that regauge does not read, as the end of a sentence:
// what was tried with transformers 5.24, and for all other methods the model before it was quantised. method: the
// quant_method of config.json.
std::string wayOutOfPacked(std::string_view method);

// Of a tensor whose name is that of a packed weight (shared.json) what it is and the way out, as a sentence without its
// subject: "is a GPTQ or AWQ weight, packed in ..; move ..". Nothing of other names.
std::optional<std::string> packedWeight(std::string_view tensor);

}  // namespace regauge
