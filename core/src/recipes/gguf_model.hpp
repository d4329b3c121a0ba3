// A GGUF model in the words of the checkpoint that llama.cpp's converter made it from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "regauge/io/tensor_file.hpp"

namespace regauge {

class GgufModel {
public:
    // file: the whole model, or the first file of a split one, which has the key-values.
    explicit GgufModel(const TensorFile& file);

    const std::string& architecture() const { return architecture_; }  // "llama"; "" where the file does not say
    // Key-values as text: value("attention.head_count") is "llama.attention.head_count".
    std::optional<std::string> value(std::string_view key) const;
    std::optional<std::uint64_t> number(std::string_view key) const;

    // "blk.3.attn_q.weight" -> "layers.3.self_attn.q_proj.weight". A name that stands for none is given back.
    std::string nameOf(std::string_view tensor) const;

    // Where the converter re-ordered the rows of a query or key weight or bias, the number of its heads, otherwise 0:
    //   checkpoint's head:  a0 a1 .. b0 b1 ..      GGUF's:  a0 b0 a1 b1 ..      (rotated pairs become neighbours)
    std::uint64_t interleavedHeads(std::string_view tensor) const;

private:
    std::vector<std::pair<std::string, std::string>> metadata_;
    std::string architecture_;
    bool sandwich_ = false;  // a norm behind the MLP, too: ffn_norm then stands before it, post_attention_norm behind
                             // attention
};

}  // namespace regauge
