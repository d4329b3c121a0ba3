#include "io/npy.hpp"

#include <algorithm>

#include "io/bytes.hpp"

namespace regauge {
namespace {

// Reads the one Python literal that NumPy writes: {'descr': '<f4', 'fortran_order': False, 'shape': (7, 16), }
class DictReader {
public:
    DictReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

    std::string descr;
    bool fortranOrder = false;
    Shape shape;

    void read() {
        expect('{');
        bool hasDescr = false;
        bool hasOrder = false;
        bool hasShape = false;
        while (!accept('}')) {
            const std::string key = quoted();
            expect(':');
            if (key == "descr" && !hasDescr) {
                if (peek() == '[')
                    throw Error(ErrorCode::unsupported, where_,
                                "a structured array (several fields an element) is not understood; save one plain "
                                "array for each field");
                descr = quoted();
                hasDescr = true;
            } else if (key == "fortran_order" && !hasOrder) {
                fortranOrder = boolean();
                hasOrder = true;
            } else if (key == "shape" && !hasShape) {
                readShape();
                hasShape = true;
            } else {
                malformed();
            }
            if (!accept(',') && peek() != '}') malformed();
        }
        skipSpace();
        if (at_ != text_.size() || !hasDescr || !hasOrder || !hasShape) malformed();
    }

private:
    [[noreturn]] void malformed() const {
        throw Error(ErrorCode::malformed, where_,
                    "the .npy header is damaged near character " + std::to_string(at_) +
                        "; expected {'descr': ..., 'fortran_order': ..., 'shape': (...)}");
    }
    void skipSpace() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
    }
    char peek() {
        skipSpace();
        return at_ < text_.size() ? text_[at_] : '\0';
    }
    bool accept(char c) {
        if (peek() != c) return false;
        ++at_;
        return true;
    }
    void expect(char c) {
        if (!accept(c)) malformed();
    }
    std::string quoted() {
        const char quote = peek();
        if (quote != '\'' && quote != '"') malformed();
        const std::size_t end = text_.find(quote, at_ + 1);
        if (end == std::string_view::npos) malformed();
        const std::string value(text_.substr(at_ + 1, end - at_ - 1));
        at_ = end + 1;
        return value;
    }
    bool boolean() {
        skipSpace();
        for (const bool value : {true, false}) {
            const std::string_view word = value ? "True" : "False";
            if (text_.substr(at_, word.size()) == word) {
                at_ += word.size();
                return value;
            }
        }
        malformed();
    }
    void readShape() {
        expect('(');
        while (!accept(')')) {
            std::uint64_t n = 0;
            std::size_t digits = 0;
            for (skipSpace(); at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_, ++digits) {
                if (n > (std::uint64_t{1} << 58)) malformed();
                n = n * 10 + static_cast<std::uint64_t>(text_[at_] - '0');
            }
            if (digits == 0 || shape.size() == 64) malformed();
            accept('L');  // written by Python 2
            shape.push_back(n);
            if (!accept(',') && peek() != ')') malformed();
        }
    }

    std::string_view text_;
    const std::string& where_;
    std::size_t at_ = 0;
};

// What dtypes are called behind the character of their endianness; the first of two names is written.
constexpr std::pair<std::string_view, Dtype> kinds[] = {
    {"b1", Dtype::BOOL}, {"?", Dtype::BOOL}, {"i1", Dtype::I8},  {"u1", Dtype::U8},  {"i2", Dtype::I16},
    {"u2", Dtype::U16},  {"i4", Dtype::I32}, {"u4", Dtype::U32}, {"i8", Dtype::I64}, {"u8", Dtype::U64},
    {"f2", Dtype::F16},  {"f4", Dtype::F32}, {"f8", Dtype::F64}, {"c8", Dtype::C64},
};

// '<f4' -> F32, little-endian. Refusals say what to do instead.
Dtype dtypeOf(const std::string& descr, bool& bigEndian, const std::string& where) {
    const std::string kind =
        descr.size() > 1 && std::string_view("<>|=").find(descr[0]) != std::string_view::npos ? descr.substr(1) : descr;
    bigEndian = !descr.empty() && descr[0] == '>';
    if (kind.starts_with('O')) {
        throw Error(ErrorCode::unsupported, where,
                    "an array of Python objects is a pickle, which regauge never runs; save the numbers alone, e.g. "
                    "np.save(path, np.stack(list))");
    }
    if (kind == "V2") {
        throw Error(ErrorCode::unsupported, where,
                    "elements of type '" + descr +
                        "' are probably bfloat16, but .npy cannot say so; save them as .safetensors, or as float32");
    }
    for (const auto& [text, dtype] : kinds) {
        if (kind == text) return dtype;
    }
    throw Error(ErrorCode::unsupported, where,
                "elements of type '" + descr + "' are not understood; save them as float32, float16 or float64");
}

}  // namespace

bool holdsNoNumbers(std::span<const std::byte> bytes, const std::string& where) {
    constexpr std::size_t prefix = 10;  // of version 1, which NumPy writes wherever it can
    if (bytes.size() < prefix || bytes[6] != std::byte{1}) return false;
    const std::size_t length = loadLittle<std::uint16_t>(bytes.data() + 8);
    if (length > bytes.size() - prefix) return false;
    DictReader dict(asText(bytes.subspan(prefix, length)), where);
    try {
        dict.read();
    } catch (const Error&) {
        return false;
    }
    const std::size_t kind = dict.descr.find_first_not_of("<>|=");
    return kind != std::string::npos && std::string_view("USOMm").find(dict.descr[kind]) != std::string_view::npos;
}

StoredTensor parseNpyHeader(std::span<const std::byte> bytes, std::uint64_t size, const std::string& where) {
    const auto need = [&](std::uint64_t count) {
        if (count > bytes.size())
            throw Error(ErrorCode::truncated, where,
                        "expected a .npy header of " + std::to_string(count) + " bytes, but only " +
                            std::to_string(size) + " are there");
    };
    need(10);
    if (asText(bytes.first(6)) != "\x93NUMPY")
        throw Error(ErrorCode::malformed, where, "expected a .npy array, but its magic bytes are not there");
    const unsigned major = std::to_integer<unsigned>(bytes[6]);
    if (major < 1 || major > 3)
        throw Error(ErrorCode::unsupported, where,
                    ".npy version " + std::to_string(major) + " is not understood (1 to 3 are)");
    if (major > 1) need(12);
    const std::uint64_t start = major == 1 ? 10 : 12;
    const std::uint64_t length =
        major == 1 ? loadLittle<std::uint16_t>(bytes.data() + 8) : loadLittle<std::uint32_t>(bytes.data() + 8);
    if (start + length > mostNpyHeaderBytes && start + length <= size)
        throw Error(ErrorCode::malformed, where,
                    "a .npy header of " + std::to_string(length) + " bytes is no plain array's");
    need(start + length);

    DictReader dict(asText(bytes.subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(length))), where);
    dict.read();
    StoredTensor tensor;
    tensor.info.dtype = dtypeOf(dict.descr, tensor.bigEndian, where);
    tensor.info.shape = dict.shape;
    tensor.fortranOrder = dict.fortranOrder && dict.shape.size() > 1;
    tensor.bigEndian = tensor.bigEndian && byteSize(tensor.info.dtype) > 1;
    tensor.info.offset = start + length;
    const std::optional<std::uint64_t> count = byteCount(tensor.info.dtype, tensor.info.shape);
    if (!count)
        throw Error(ErrorCode::malformed, where, "the shape " + toString(tensor.info.shape) + " is impossibly large");
    tensor.info.bytes = *count;
    const std::uint64_t there = size - tensor.info.offset;
    if (there < *count) {
        throw Error(ErrorCode::truncated, where,
                    "shape " + toString(tensor.info.shape) + " of " + std::string(name(tensor.info.dtype)) + " needs " +
                        std::to_string(*count) + " bytes, but only " + std::to_string(there) + " are there");
    }
    if (there > *count)
        throw Error(
            ErrorCode::malformed, where,
            std::to_string(there - *count) + " bytes follow the array; for several arrays in one file use np.savez");
    return tensor;
}

std::string npyHeader(const StoredTensor& tensor, const std::string& where) {
    constexpr std::size_t alignment = 64, fixedBytes = 10;  // the header ends at a multiple; magic, version and length
    const Dtype dtype = tensor.info.dtype;
    const auto kind = std::ranges::find(kinds, dtype, &std::pair<std::string_view, Dtype>::second);
    if (kind == std::end(kinds))
        throw Error(ErrorCode::unsupported, where, "is " + std::string(name(dtype)) + ", which .npy cannot say");
    const char endian = byteSize(dtype) == 1 ? '|' : tensor.bigEndian ? '>' : '<';
    std::string shape;
    for (const std::uint64_t length : tensor.info.shape) shape += std::to_string(length) + ", ";
    if (tensor.info.shape.size() > 1) shape.resize(shape.size() - 2);
    if (tensor.info.shape.size() == 1) shape.pop_back();
    std::string dict = std::string("{'descr': '") + endian + std::string(kind->first) +
                       "', 'fortran_order': " + (tensor.fortranOrder ? "True" : "False") + ", 'shape': (" + shape +
                       "), }";
    dict.resize((fixedBytes + dict.size() + alignment) / alignment * alignment - fixedBytes - 1, ' ');
    dict += '\n';
    std::string header("\x93NUMPY\x01\x00", 8);
    header += static_cast<char>(dict.size() % 256);
    header += static_cast<char>(dict.size() / 256);
    return header + dict;
}

TensorFile openNpy(std::shared_ptr<const ByteSource> source) {
    TensorFile file;
    file.format = FileFormat::npy;
    file.tensors.push_back(parseNpyHeader(readBytes(*source, 0, std::min(source->size(), mostNpyHeaderBytes)),
                                          source->size(), source->name()));
    file.tensors[0].info.name = "array";
    file.source = std::move(source);
    return file;
}

void rewriteNpy(const TensorFile& file, const MoveTensor& move, ByteSink& out) {
    const TensorInfo& info = file.tensors[0].info;
    copyBytes(*file.source, 0, info.offset, out);
    ExactSink exact(out, info.bytes, file.source->name());
    move(0, *tensorBytes(file, 0), exact);
    exact.finish();
}

}  // namespace regauge
