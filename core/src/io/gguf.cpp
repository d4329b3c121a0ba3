#include "io/gguf.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <numeric>
#include <optional>
#include <tuple>
#include <unordered_set>

#include "codec/ggml_blocks.hpp"
#include "io/bytes.hpp"
#include "io/number_text.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t mostHeaderBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t mostTensors = std::uint64_t{1} << 20;
constexpr std::uint64_t mostKeyValues = std::uint64_t{1} << 20;
constexpr std::uint64_t mostNameBytes = 65535;  // of a name, and of a text in a list
constexpr std::uint64_t mostShownBytes = 4096;
constexpr std::uint64_t mostShownItems = 16;
constexpr std::uint64_t defaultAlignment = 32;

// A key-value as it lies in the file.
struct KeyValue {
    std::string key;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

struct GgufDetail {
    std::vector<KeyValue> keyValues;
    std::uint64_t infosBegin = 0;  // the tensor infos
    std::uint64_t infosEnd = 0;
    std::uint64_t dataStart = 0;
    std::uint64_t alignment = defaultAlignment;
};

const GgufDetail& detailOf(const TensorFile& file) { return *static_cast<const GgufDetail*>(file.detail.get()); }

// Bytes of the value types 0 to 12; 0: strings and arrays, which have their own length.
constexpr std::uint64_t valueSizes[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
constexpr std::uint32_t stringType = 8;
constexpr std::uint32_t arrayType = 9;

// Reads forward through the header with one buffer: tokenizers make it tens of megabytes long.
class HeaderReader {
public:
    explicit HeaderReader(const ByteSource& source) : source_(source), size_(source.size()) {}

    std::uint64_t position() const { return begin_ + at_; }

    std::span<const std::byte> bytes(std::uint64_t count) {
        if (count > buffer_.size() - at_) refill(count);
        const std::span<const std::byte> part(buffer_.data() + at_, static_cast<std::size_t>(count));
        at_ += static_cast<std::size_t>(count);
        return part;
    }
    template <class T>
    T number() {
        return loadLittle<T>(bytes(sizeof(T)).data());
    }
    std::string text(std::uint64_t most) {
        const std::uint64_t length = number<std::uint64_t>();
        if (length > most)
            throw Error(
                ErrorCode::malformed, source_.name(),
                "a name or text of " + std::to_string(length) + " bytes in the GGUF header; the file is damaged");
        return std::string(asText(bytes(length)));
    }
    void skip(std::uint64_t count) {
        check(count);
        const std::uint64_t inBuffer = std::min<std::uint64_t>(count, buffer_.size() - at_);
        at_ += static_cast<std::size_t>(inBuffer);
        if (count > inBuffer) {
            begin_ += at_ + (count - inBuffer);
            at_ = 0;
            buffer_.clear();
        }
    }

private:
    void check(std::uint64_t count) const {
        if (count > size_ - position())
            throw Error(ErrorCode::truncated, source_.name(),
                        "the GGUF header reaches beyond the end of the file; copy or download it again");
        if (position() + count > mostHeaderBytes)
            throw Error(ErrorCode::tooLarge, source_.name(), "a GGUF header of more than 1 GiB");
    }
    void refill(std::uint64_t count) {
        check(count);
        begin_ += at_;
        at_ = 0;
        buffer_ = readBytes(source_, begin_,
                            std::min(size_ - begin_, std::max<std::uint64_t>(count, std::uint64_t{1} << 16)));
    }

    const ByteSource& source_;
    std::uint64_t size_;
    std::uint64_t begin_ = 0;
    std::size_t at_ = 0;
    std::vector<std::byte> buffer_;
};

std::string scalarText(HeaderReader& reader, std::uint32_t type) {
    switch (type) {
        case 0: return std::to_string(unsigned{reader.number<std::uint8_t>()});
        case 1: return std::to_string(int{reader.number<std::int8_t>()});
        case 2: return std::to_string(reader.number<std::uint16_t>());
        case 3: return std::to_string(reader.number<std::int16_t>());
        case 4: return std::to_string(reader.number<std::uint32_t>());
        case 5: return std::to_string(reader.number<std::int32_t>());
        case 6: return numberText(std::bit_cast<float>(reader.number<std::uint32_t>()));
        case 7: return reader.number<std::uint8_t>() != 0 ? "true" : "false";
        case 10: return std::to_string(reader.number<std::uint64_t>());
        case 11: return std::to_string(reader.number<std::int64_t>());
        default: return numberText(std::bit_cast<double>(reader.number<std::uint64_t>()));
    }
}

std::string stringText(HeaderReader& reader) {
    const std::uint64_t length = reader.number<std::uint64_t>();
    const std::uint64_t shown = std::min(length, mostShownBytes);
    std::string text(asText(reader.bytes(shown)));
    reader.skip(length - shown);
    return length > shown ? text + "..." : text;
}

// Passes over a value and says it in words: short arrays whole, long ones by their length.
std::string readValue(HeaderReader& reader, std::uint32_t type, const std::string& where) {
    if (type > 12)
        throw Error(ErrorCode::unsupported, where,
                    "a GGUF value of type " + std::to_string(type) + ", which regauge does not know");
    if (type == stringType) return stringText(reader);
    if (type != arrayType) return scalarText(reader, type);
    const std::uint32_t inner = reader.number<std::uint32_t>();
    const std::uint64_t count = reader.number<std::uint64_t>();
    if (inner > 12 || inner == arrayType)
        throw Error(ErrorCode::unsupported, where, "a GGUF array of arrays, or of an unknown type");
    std::string text = "[";
    for (std::uint64_t i = 0; i < count; ++i) {
        if (i == mostShownItems && inner != stringType) {
            if (count - i > mostHeaderBytes)
                throw Error(ErrorCode::truncated, where,
                            "a GGUF array of " + std::to_string(count) + " values reaches beyond the end of the file");
            reader.skip((count - i) * valueSizes[inner]);
        }
        if (i >= mostShownItems && inner != stringType) break;
        const std::string item = inner == stringType ? stringText(reader) : scalarText(reader, inner);
        if (i < mostShownItems) text += (i > 0 ? ", " : "") + item;
    }
    return count > mostShownItems ? text + ", ... " + std::to_string(count) + " in all]" : text + "]";
}

StoredTensor readInfo(HeaderReader& reader, const std::string& file) {
    StoredTensor tensor;
    TensorInfo& info = tensor.info;
    info.name = reader.text(mostNameBytes);
    const std::string where = placeOf(file, info.name);
    const std::uint32_t axes = reader.number<std::uint32_t>();
    if (axes > 8) throw Error(ErrorCode::malformed, where, std::to_string(axes) + " axes; GGUF has at most 4");
    for (std::uint32_t i = 0; i < axes; ++i) info.shape.push_back(reader.number<std::uint64_t>());
    const std::uint64_t innermost = info.shape.empty() ? 1 : info.shape.front();
    std::reverse(info.shape.begin(), info.shape.end());  // ggml lists the contiguous axis first, regauge last
    const std::uint32_t id = reader.number<std::uint32_t>();
    const GgmlType* const type = ggmlType(id);
    if (type == nullptr)
        throw Error(ErrorCode::unsupported, where,
                    "elements of ggml type " + std::to_string(id) +
                        " are not understood; convert the file to F16, BF16 or F32 first");
    const std::optional<std::uint64_t> count = elementCount(info.shape);
    if (!count || *count > (std::uint64_t{1} << 54))
        throw Error(ErrorCode::malformed, where, "its shape " + toString(info.shape) + " is impossibly large");
    if (innermost % type->elements != 0)
        throw Error(ErrorCode::malformed, where,
                    "rows of " + std::to_string(innermost) + " do not divide into " + std::string(type->name) +
                        " blocks of " + std::to_string(type->elements));
    info.dtype = type->dtype.value_or(Dtype::U8);
    if (!type->dtype) tensor.quantized = std::string(type->name);
    info.bytes = *count / type->elements * type->bytes;
    info.offset = reader.number<std::uint64_t>();  // from the start of the data
    return tensor;
}

std::vector<std::size_t> orderInFile(const std::vector<StoredTensor>& tensors) {
    std::vector<std::size_t> order(tensors.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return std::tuple(tensors[a].info.offset, tensors[a].info.bytes, a) <
               std::tuple(tensors[b].info.offset, tensors[b].info.bytes, b);
    });
    return order;
}

// Places the tensors behind the header and checks that they are there, aligned and apart.
void placeTensors(TensorFile& file, const GgufDetail& detail) {
    const std::string& name = file.source->name();
    const std::uint64_t size = file.source->size();
    for (StoredTensor& tensor : file.tensors) {
        TensorInfo& info = tensor.info;
        if (info.offset % detail.alignment != 0)
            throw Error(ErrorCode::malformed, placeOf(name, info.name),
                        "its offset " + std::to_string(info.offset) + " is not a multiple of the alignment " +
                            std::to_string(detail.alignment));
        if (detail.dataStart > size || info.offset > size - detail.dataStart ||
            info.bytes > size - detail.dataStart - info.offset) {
            throw Error(ErrorCode::truncated, placeOf(name, info.name),
                        "its bytes reach beyond the end of the file; copy or download it again");
        }
        info.offset += detail.dataStart;
    }
    const StoredTensor* before = nullptr;
    for (const std::size_t i : orderInFile(file.tensors)) {
        const StoredTensor& tensor = file.tensors[i];
        if (before != nullptr && tensor.info.offset < before->info.offset + before->info.bytes) {
            throw Error(ErrorCode::malformed, placeOf(name, tensor.info.name),
                        "its bytes overlap those of " + before->info.name);
        }
        before = &tensor;
    }
}

std::uint64_t alignUp(std::uint64_t position, std::uint64_t alignment) {
    return (position + alignment - 1) / alignment * alignment;
}

}  // namespace

TensorFile openGguf(std::shared_ptr<const ByteSource> source) {
    const std::string& name = source->name();
    HeaderReader reader(*source);
    reader.skip(4);
    const std::uint32_t version = reader.number<std::uint32_t>();
    if (version != 2 && version != 3) {
        const bool big = version == 0x02000000 || version == 0x03000000;
        throw Error(ErrorCode::unsupported, name,
                    big ? "a big-endian GGUF file; convert it with gguf_convert_endian.py"
                        : "GGUF version " + std::to_string(version) +
                              "; versions 2 and 3 are read, convert it again with a current llama.cpp");
    }
    const std::uint64_t tensorCount = reader.number<std::uint64_t>();
    const std::uint64_t keyCount = reader.number<std::uint64_t>();
    if (tensorCount > mostTensors || keyCount > mostKeyValues)
        throw Error(ErrorCode::malformed, name,
                    "a GGUF header with " + std::to_string(tensorCount) + " tensors and " + std::to_string(keyCount) +
                        " key-values; the file is damaged");

    TensorFile file;
    file.format = FileFormat::gguf;
    auto detail = std::make_shared<GgufDetail>();
    std::unordered_set<std::string> keys;
    for (std::uint64_t i = 0; i < keyCount; ++i) {
        KeyValue entry;
        entry.begin = reader.position();
        entry.key = reader.text(mostNameBytes);
        const std::uint32_t type = reader.number<std::uint32_t>();
        std::string text = readValue(reader, type, placeOf(name, entry.key));
        entry.end = reader.position();
        if (!keys.insert(entry.key).second)
            throw Error(ErrorCode::malformed, name, "the key " + entry.key + " is there twice");
        if (entry.key == "general.alignment") {
            std::uint64_t value = 0;
            std::from_chars(text.data(), text.data() + text.size(), value);
            if (type != 4 || !std::has_single_bit(value) || value > (std::uint64_t{1} << 20))
                throw Error(ErrorCode::malformed, name, "general.alignment should be a power of two, found " + text);
            detail->alignment = value;
        }
        file.metadata.emplace_back(entry.key, std::move(text));
        detail->keyValues.push_back(std::move(entry));
    }
    detail->infosBegin = reader.position();
    std::unordered_set<std::string> names;
    for (std::uint64_t i = 0; i < tensorCount; ++i) {
        file.tensors.push_back(readInfo(reader, name));
        if (!names.insert(file.tensors.back().info.name).second)
            throw Error(ErrorCode::malformed, placeOf(name, file.tensors.back().info.name),
                        "the tensor is there twice");
    }
    detail->infosEnd = reader.position();
    detail->dataStart = alignUp(detail->infosEnd, detail->alignment);
    file.source = std::move(source);
    placeTensors(file, *detail);
    file.detail = std::move(detail);
    return file;
}

void eachGgufText(const TensorFile& file, std::string_view key, std::uint64_t most,
                  const std::function<void(std::string)>& take) {
    const auto& entries = detailOf(file).keyValues;
    const auto entry = std::ranges::find(entries, key, &KeyValue::key);
    if (entry == entries.end()) return;
    HeaderReader reader(*file.source);
    reader.skip(entry->begin + 8 + key.size());  // behind the key and its length
    if (reader.number<std::uint32_t>() != arrayType || reader.number<std::uint32_t>() != stringType) return;
    const auto count = reader.number<std::uint64_t>();
    if (count > most)
        throw Error(ErrorCode::tooLarge, placeOf(file.source->name(), std::string(key)),
                    std::to_string(count) + " texts; at most " + std::to_string(most) + " are read");
    for (std::uint64_t k = 0; k < count; ++k) take(reader.text(mostNameBytes));
}

GgufHeader ggufHeader(const TensorFile& file, const std::vector<TensorInfo>& infos) {
    const GgufDetail& detail = detailOf(file);
    GgufHeader result;
    MemorySink header;
    const auto number = [&](std::uint64_t value, std::size_t size) {
        std::byte bytes[8];
        storeLittle(value, bytes);
        header.write({bytes, size});
    };
    copyBytes(*file.source, 0, 16, header);  // magic, version, tensor count
    number(detail.keyValues.size(), 8);
    std::optional<Dtype> most;  // of what was in blocks
    for (const TensorInfo& info : infos)
        if (const StoredTensor* old = file.find(info.name); !old->quantized.empty() && info.dtype != old->info.dtype)
            most = info.dtype;
    for (const KeyValue& entry : detail.keyValues) {
        constexpr std::uint64_t valueBytes = 4;
        if (entry.key != "general.file_type" || !most ||
            entry.end - entry.begin != 8 + entry.key.size() + 4 + valueBytes) {
            copyBytes(*file.source, entry.begin, entry.end - entry.begin, header);
            continue;
        }
        copyBytes(*file.source, entry.begin, entry.end - entry.begin - valueBytes, header);
        // llama.cpp's llama_ftype: all float32, mostly float16, mostly bfloat16.
        number(*most == Dtype::F32 ? 0 : *most == Dtype::F16 ? 1 : 32, valueBytes);
    }
    std::uint64_t offset = 0;
    for (const TensorInfo& info : infos) {
        const StoredTensor& old = *file.find(info.name);
        const bool blocks = !old.quantized.empty() && info.dtype == old.info.dtype;
        const GgmlType* const type = ggmlType(blocks ? std::string_view(old.quantized) : name(info.dtype));
        number(info.name.size(), 8);
        header.write(asBytes(info.name));
        number(info.shape.size(), 4);
        for (std::size_t axis = info.shape.size(); axis-- > 0;) number(info.shape[axis], 8);
        number(type->id, 4);
        number(offset, 8);
        result.offsets.push_back(offset);
        offset = alignUp(offset + info.bytes, detail.alignment);
    }
    result.bytes = header.take();
    result.bytes.resize(static_cast<std::size_t>(alignUp(result.bytes.size(), detail.alignment)));
    return result;
}

void rewriteGguf(const TensorFile& file, const std::vector<std::pair<std::string, std::string>>& provenance,
                 const MoveTensor& move, ByteSink& out) {
    const GgufDetail& detail = detailOf(file);
    std::uint64_t at = detail.dataStart;
    if (provenance.empty()) {
        copyBytes(*file.source, 0, std::min(detail.dataStart, file.source->size()), out);
    } else {
        MemorySink header;
        const auto number = [&](std::uint64_t value, std::size_t size) {
            std::byte bytes[8];
            storeLittle(value, bytes);
            header.write({bytes, size});
        };
        const auto isReplaced = [&](const KeyValue& entry) {
            return std::any_of(provenance.begin(), provenance.end(),
                               [&](const auto& pair) { return pair.first == entry.key; });
        };
        copyBytes(*file.source, 0, 16, header);  // magic, version, tensor count
        const std::size_t kept =
            static_cast<std::size_t>(std::count_if(detail.keyValues.begin(), detail.keyValues.end(),
                                                   [&](const KeyValue& entry) { return !isReplaced(entry); }));
        number(kept + provenance.size(), 8);
        for (const KeyValue& entry : detail.keyValues) {
            if (!isReplaced(entry)) copyBytes(*file.source, entry.begin, entry.end - entry.begin, header);
        }
        for (const auto& [key, value] : provenance) {
            number(key.size(), 8);
            header.write(asBytes(key));
            number(stringType, 4);
            number(value.size(), 8);
            header.write(asBytes(value));
        }
        copyBytes(*file.source, detail.infosBegin, detail.infosEnd - detail.infosBegin, header);
        const std::vector<std::byte> padding(
            static_cast<std::size_t>(alignUp(header.bytes().size(), detail.alignment) - header.bytes().size()));
        header.write(padding);
        out.write(header.bytes());
    }
    if (file.source->size() < at) return;  // no tensors, and no padding at the end
    for (const std::size_t i : orderInFile(file.tensors)) {
        const TensorInfo& info = file.tensors[i].info;
        copyBytes(*file.source, at, info.offset - at, out);
        ExactSink exact(out, info.bytes, placeOf(file.source->name(), info.name));
        move(i, *tensorBytes(file, i), exact);
        exact.finish();
        at = info.offset + info.bytes;
    }
    copyBytes(*file.source, at, file.source->size() - at, out);
}

}  // namespace regauge
