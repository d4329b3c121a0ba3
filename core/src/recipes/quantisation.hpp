// How weights that a quantisation method packed become floats again.
#pragma once

#include <string>
#include <string_view>

namespace regauge {

// What to do with a model whose weights are packed by a method that regauge does not read, as the end of a sentence:
// what transformers 5.24 can undo, and for all other methods the model before it was quantised. method: the
// quant_method of config.json.
std::string wayOutOfPacked(std::string_view method);

// The same of one tensor that is packed, by what shared.json calls it: "is a GPTQ or AWQ weight, packed in ..; move
// ..".
std::string packedWeight(const std::string& what);

}  // namespace regauge
