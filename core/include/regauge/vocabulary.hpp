// What token ids stand for, so that people read words instead of numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "regauge/io/byte_source.hpp"

namespace regauge {

class Vocabulary {
public:
    // Ids are bytes: a model whose vocabulary is 256.
    static Vocabulary ofBytes();
    // What lies beside a model: the tokenizer.ggml.* key-values of GGUF files, or tokenizer.json in a checkpoint folder
    // (Hugging Face: BPE, Unigram, WordPiece). Nothing where there is none, or one of another kind, or one that cannot
    // be read, as words are a courtesy: `unread` says why then.
    static std::optional<Vocabulary> beside(const Files& files, const std::string& model, std::string& unread);

    // The text of the tokens in a row. No space is taken off at its beginning, since tokens seldom begin a text. Bytes
    // as the tokens have them, so a text that begins or ends within a letter is no UTF-8 there. U+FFFD for an id that
    // stands for nothing.
    std::string text(std::span<const std::int64_t> tokens) const;

private:
    explicit Vocabulary(std::vector<std::optional<std::string>> pieces) : pieces_(std::move(pieces)) {}
    std::vector<std::optional<std::string>> pieces_;  // by id, as bytes
};

}  // namespace regauge
