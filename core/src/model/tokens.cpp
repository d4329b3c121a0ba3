#include <cstring>
#include <nlohmann/json.hpp>

#include "io/json_text.hpp"
#include "regauge/error.hpp"
#include "regauge/io/tensor_file.hpp"
#include "regauge/model.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t mostTokens = std::uint64_t{1} << 24;  // 128 MiB as they are held

// Whole numbers of any width, one after another from where they are stored.
class Integers {
public:
    Integers(const StoredTensor& stored, const std::string& where)
        : width_(byteSize(stored.info.dtype)), bigEndian_(stored.bigEndian) {
        const Dtype dtype = stored.info.dtype;
        isSigned_ = dtype == Dtype::I8 || dtype == Dtype::I16 || dtype == Dtype::I32 || dtype == Dtype::I64;
        const bool isUnsigned = dtype == Dtype::U8 || dtype == Dtype::U16 || dtype == Dtype::U32 || dtype == Dtype::U64;
        if (!isSigned_ && !isUnsigned)
            throw Error(ErrorCode::wrongDtype, where,
                        "is " + std::string(name(dtype)) + "; token ids are whole numbers");
    }
    // `count` of them, from element `first` on.
    std::vector<std::int64_t> read(const ByteSource& source, std::uint64_t first, std::size_t count) {
        bytes_.resize(count * width_);
        source.read(first * width_, bytes_);
        std::vector<std::int64_t> values(count);
        for (std::size_t i = 0; i < count; ++i) values[i] = at(i * width_);
        return values;
    }

private:
    std::int64_t at(std::size_t begin) const {
        std::uint64_t bits = 0;
        for (std::size_t k = 0; k < width_; ++k)
            bits |= static_cast<std::uint64_t>(bytes_[begin + (bigEndian_ ? width_ - 1 - k : k)]) << (8 * k);
        const unsigned unused = static_cast<unsigned>(64 - 8 * width_);
        return isSigned_ ? static_cast<std::int64_t>(bits << unused) >> unused : static_cast<std::int64_t>(bits);
    }

    std::size_t width_;
    bool bigEndian_, isSigned_;
    std::vector<std::byte> bytes_;
};

std::vector<std::vector<std::int64_t>> fromJson(const ByteSource& source) {
    std::string text(static_cast<std::size_t>(source.size()), '\0');
    source.read(0, std::as_writable_bytes(std::span(text)));
    const nlohmann::json json = parseJson(text, source.name());
    const auto sequence = [&](const nlohmann::json& list) {
        if (!list.is_array() || list.empty())
            throw Error(ErrorCode::malformed, source.name(),
                        "every sequence must be a list of at least one token id, and " + shownJson(list) + " is not");
        std::vector<std::int64_t> tokens;
        for (const auto& entry : list) {
            if (!entry.is_number_integer() || (entry.is_number_unsigned() && entry.get<std::uint64_t>() > INT64_MAX))
                throw Error(ErrorCode::malformed, source.name(),
                            "token ids are whole numbers, and " + shownJson(entry) + " is not");
            tokens.push_back(entry.get<std::int64_t>());
        }
        return tokens;
    };
    if (!json.is_array() || json.empty())
        throw Error(ErrorCode::malformed, source.name(),
                    "tokens must be a .npy or .safetensors file of whole numbers, or a JSON array of token ids");
    if (!json.front().is_array()) return {sequence(json)};
    std::vector<std::vector<std::int64_t>> sequences;
    for (const auto& list : json) sequences.push_back(sequence(list));
    return sequences;
}

}  // namespace

std::vector<std::vector<std::int64_t>> readTokens(const Files& files, const std::string& path) {
    std::shared_ptr<const ByteSource> source = files.open(path);
    std::byte first{};
    if (source->size() > 0) source->read(0, std::span(&first, 1));
    if (first == std::byte{'['} && source->size() < (std::uint64_t{1} << 28)) return fromJson(*source);

    const TensorFile file = openTensorFile(source);
    const StoredTensor* stored = file.find("token_ids");
    if (stored == nullptr) stored = file.find("input_ids");
    if (stored == nullptr && file.tensors.size() == 1) stored = &file.tensors.front();
    if (stored == nullptr) throw Error(ErrorCode::malformed, path, "holds no tensor called token_ids");
    const TensorInfo& info = stored->info;
    const std::string where = path + ": " + info.name;
    if (info.shape.empty() || info.shape.size() > 2 || (stored->fortranOrder && info.shape.size() == 2))
        throw Error(ErrorCode::shapeMismatch, where,
                    "has shape " + toString(info.shape) + "; expected [tokens] or [sequences, tokens] in C order");
    if (!stored->quantized.empty())
        throw Error(ErrorCode::wrongDtype, where, "is " + stored->quantized + "; token ids are whole numbers");
    Integers integers(*stored, where);
    const std::uint64_t count = *elementCount(info.shape);
    if (count > mostTokens)
        throw Error(ErrorCode::tooLarge, where,
                    "holds " + std::to_string(count) + " tokens, and the reference pass takes " +
                        std::to_string(mostTokens) + " at most; save the first of them to a file of their own");
    const auto length = static_cast<std::size_t>(info.shape.back());
    std::vector<std::vector<std::int64_t>> sequences;
    if (count > 0) {
        const auto bytes = tensorBytes(file, static_cast<std::size_t>(stored - file.tensors.data()));
        for (std::uint64_t begin = 0; begin < count; begin += length)
            sequences.push_back(integers.read(*bytes, begin, length));
    }
    if (sequences.empty())
        throw Error(ErrorCode::malformed, where, "has shape " + toString(info.shape) + ", which holds no token");
    return sequences;
}

}  // namespace regauge
