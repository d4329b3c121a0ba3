#include "io/json_vector.hpp"

#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "io/bytes.hpp"
#include "io/number_text.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t mostBytes = std::uint64_t{64} << 20;
constexpr std::size_t mostAxes = 16;

// One number's text, inside the file's.
struct Token {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
};

struct JsonDetail {
    std::string text;
    std::vector<Token> tokens;
    std::vector<std::byte> values;  // F64
};

const JsonDetail& detailOf(const TensorFile& file) { return *static_cast<const JsonDetail*>(file.detail.get()); }

// Reads nested arrays without recursion; `shape` is fixed by the first path down, every other must agree.
class ArrayReader {
public:
    ArrayReader(JsonDetail& detail, const std::string& where) : detail_(detail), where_(where) {}

    Shape read() {
        std::vector<std::uint64_t> counts;  // of the open arrays
        Shape shape;
        bool first = true;  // until the first array closes, depth and lengths are learned
        skipSpace();
        do {
            const char c = peek();
            if (c == '[' && (first || counts.size() < shape.size())) {
                if (counts.size() == mostAxes) fail("nests deeper than " + std::to_string(mostAxes) + " levels");
                if (!counts.empty()) ++counts.back();
                ++at_;
                counts.push_back(0);
                if (first) shape.push_back(0);
                skipSpace();
                if (peek() == ']') fail("is empty");
                continue;
            }
            if (counts.size() != shape.size()) fail("mixes numbers and arrays");
            ++counts.back();
            number();
            first = false;
            skipSpace();
            while (!counts.empty() && peek() == ']') {
                const std::size_t axis = counts.size() - 1;
                if (shape[axis] != 0 && shape[axis] != counts.back())
                    fail("is not rectangular: a row of " + std::to_string(counts.back()) + " among rows of " +
                         std::to_string(shape[axis]));
                shape[axis] = counts.back();
                counts.pop_back();
                ++at_;
                skipSpace();
            }
            if (counts.empty()) break;
            if (peek() != ',') fail("is damaged");
            ++at_;
            skipSpace();
        } while (true);
        if (at_ != detail_.text.size()) fail("is followed by something else");
        return shape;
    }

private:
    [[noreturn]] void fail(const std::string& what) const {
        throw Error(ErrorCode::malformed, where_,
                    "expected an array of numbers (or of arrays of equal length), but at byte " + std::to_string(at_) +
                        " it " + what);
    }
    char peek() const { return at_ < detail_.text.size() ? detail_.text[at_] : '\0'; }
    void skipSpace() {
        while (at_ < detail_.text.size() &&
               std::string_view(" \t\r\n").find(detail_.text[at_]) != std::string_view::npos)
            ++at_;
    }
    void number() {
        const std::size_t begin = at_;
        while (at_ < detail_.text.size() &&
               std::string_view("+-.0123456789eE").find(detail_.text[at_]) != std::string_view::npos)
            ++at_;
        const std::string_view token = std::string_view(detail_.text).substr(begin, at_ - begin);
        // Through the JSON parser: it knows the grammar, and reads doubles the same on every platform and in every
        // locale.
        const nlohmann::json parsed = nlohmann::json::parse(token, nullptr, false);
        if (!parsed.is_number()) fail("holds something that is not a number");
        const double value = token.front() == '-' ? -std::abs(parsed.get<double>()) : parsed.get<double>();
        if (!std::isfinite(value)) fail("holds a number beyond the range of float64");
        detail_.tokens.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at_)});
        std::byte bytes[8];
        storeLittle(std::bit_cast<std::uint64_t>(value), bytes);
        detail_.values.insert(detail_.values.end(), bytes, bytes + 8);
    }

    JsonDetail& detail_;
    const std::string& where_;
    std::size_t at_ = 0;
};

}  // namespace

TensorFile openJsonVector(std::shared_ptr<const ByteSource> source) {
    if (source->size() > mostBytes)
        throw Error(ErrorCode::tooLarge, source->name(),
                    "a JSON array of more than 64 MiB; save it as .npy or .safetensors");
    auto detail = std::make_shared<JsonDetail>();
    detail->text = std::string(asText(readBytes(*source, 0, source->size())));
    TensorFile file;
    file.format = FileFormat::jsonVector;
    StoredTensor tensor;
    tensor.info.name = "vector";
    tensor.info.dtype = Dtype::F64;
    tensor.info.shape = ArrayReader(*detail, source->name()).read();
    tensor.info.bytes = detail->values.size();
    file.tensors.push_back(std::move(tensor));
    file.detail = std::move(detail);
    file.source = std::move(source);
    return file;
}

std::unique_ptr<ByteSource> jsonTensorBytes(const TensorFile& file) {
    return std::make_unique<MemorySource>(file.source->name(), detailOf(file).values);
}

// A moved number keeps its digits and at most gains or loses a '-': 0.10 stays 0.10, and moving back gives the file
// byte for byte.
void rewriteJsonVector(const TensorFile& file, const MoveTensor& move, ByteSink& out) {
    const JsonDetail& detail = detailOf(file);
    const std::string_view text = detail.text;
    constexpr std::uint64_t signBit = std::uint64_t{1} << 63;
    std::unordered_map<std::uint64_t, std::string_view> digits;  // magnitude -> its text
    for (std::size_t i = 0; i < detail.tokens.size(); ++i) {
        std::string_view token = text.substr(detail.tokens[i].begin, detail.tokens[i].end - detail.tokens[i].begin);
        if (token.front() == '-') token.remove_prefix(1);
        digits.emplace(loadLittle<std::uint64_t>(detail.values.data() + 8 * i) & ~signBit, token);
    }
    MemorySink moved;
    ExactSink exact(moved, file.tensors[0].info.bytes, file.source->name());
    move(0, *jsonTensorBytes(file), exact);
    exact.finish();

    std::string written;
    std::size_t at = 0;
    for (std::size_t i = 0; i < detail.tokens.size(); ++i) {
        written += text.substr(at, detail.tokens[i].begin - at);
        at = detail.tokens[i].end;
        const std::uint64_t bits = loadLittle<std::uint64_t>(moved.bytes().data() + 8 * i);
        if ((bits & signBit) != 0) written += '-';
        if (const auto found = digits.find(bits & ~signBit); found != digits.end()) {
            written += found->second;
        } else {
            written += numberText(std::bit_cast<double>(bits & ~signBit));
        }
    }
    written += text.substr(at);
    out.write(asBytes(written));
}

}  // namespace regauge
