#include "regauge/words.hpp"

#include <algorithm>
#include <optional>

#include "regauge/alignment.hpp"
#include "regauge/error.hpp"
#include "regauge/tensor.hpp"

namespace regauge {
namespace {

// The enum whose value k has the k-th word.
template <class Enum>
std::optional<Enum> valueOf(const Words& words, std::string_view text) {
    const auto found = std::find(words.begin(), words.end(), text);
    return found == words.end() ? std::nullopt : std::optional(static_cast<Enum>(found - words.begin()));
}

template <class Enum>
std::string_view wordOf(const Words& words, Enum value) {
    return words.at(static_cast<std::size_t>(value));
}

}  // namespace

const Words& groupWords() {
    static const Words words{"signed", "permutation", "layernorm"};
    return words;
}

const Words& statisticWords() {
    static const Words words{"auto", "correlation", "whitened"};
    return words;
}

const Words& verdictWords() {
    static const Words words{"aligned", "partial", "unrelated"};
    return words;
}

const Words& errorCodeWords() {
#define REGAUGE_WORD(code) #code,
    static const Words words{REGAUGE_ERROR_CODES(REGAUGE_WORD)};
#undef REGAUGE_WORD
    return words;
}

const Words& dequantizedWords() {
    static const Words words{"bf16", "f16", "f32"};
    return words;
}

std::string either(const Words& words) {
    std::string text;
    for (std::size_t k = 0; k < words.size(); ++k)
        text += std::string(k == 0 ? "" : k + 1 < words.size() ? ", " : " or ") + std::string(words[k]);
    return text;
}

std::string_view name(Group group) { return wordOf(groupWords(), group); }
std::string_view name(Statistic statistic) { return wordOf(statisticWords(), statistic); }
std::string_view name(Verdict verdict) { return wordOf(verdictWords(), verdict); }
std::optional<Group> groupFromName(std::string_view text) { return valueOf<Group>(groupWords(), text); }
std::optional<Statistic> statisticFromName(std::string_view text) { return valueOf<Statistic>(statisticWords(), text); }
std::optional<Verdict> verdictFromName(std::string_view text) { return valueOf<Verdict>(verdictWords(), text); }

std::optional<Dtype> dequantizedFromName(std::string_view text) {
    constexpr Dtype dtypes[] = {Dtype::BF16, Dtype::F16, Dtype::F32};  // in the order of the words
    const Words& words = dequantizedWords();
    const auto found = std::ranges::find(words, text);
    return found == words.end() ? std::nullopt : std::optional(dtypes[found - words.begin()]);
}

}  // namespace regauge
