#include "io/safetensors.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>
#include <unordered_set>

#include "io/bytes.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t mostHeaderBytes = 100'000'000;  // the reference implementation's own limit
constexpr std::size_t mostAxes = 64;

// Takes the header's JSON event by event. A parsed document would not do: it silently keeps the last of two tensors of
// one name, and a 100 MB header would become a gigabyte of nodes.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
public:
    HeaderReader(const std::string& file, std::uint64_t dataStart) : file_(file), dataStart_(dataStart) {}

    std::vector<StoredTensor> tensors;
    std::vector<std::pair<std::string, std::string>> metadata;

    bool null() override { return unexpected("null"); }
    bool boolean(bool) override { return unexpected("a boolean"); }
    bool number_integer(number_integer_t value) override { return unexpected("the number " + std::to_string(value)); }
    bool number_float(number_float_t, const string_t& text) override { return unexpected("the number " + text); }
    bool binary(binary_t&) override { return unexpected("binary data"); }
    bool number_unsigned(number_unsigned_t value) override {
        if (!inList_) return unexpected("the number " + std::to_string(value));
        std::vector<std::uint64_t>& list = field_ == Field::shape ? current_.info.shape : offsets_;
        if (list.size() == (field_ == Field::shape ? mostAxes : 2)) malformed("its " + fieldName() + " is too long");
        list.push_back(value);
        return true;
    }
    bool string(string_t& value) override {
        if (level_ == Level::metadata) {
            metadata.emplace_back(key_, value);
            return true;
        }
        if (field_ != Field::dtype || inList_) return unexpected("the text \"" + value + '"');
        dtypeText_ = value;
        return true;
    }
    bool start_object(std::size_t) override {
        if (level_ == Level::outside) {
            level_ = Level::top;
        } else if (level_ == Level::top && key_ == "__metadata__") {
            level_ = Level::metadata;
        } else if (level_ == Level::top) {
            level_ = Level::tensor;
            current_ = StoredTensor{};
            current_.info.name = key_;
            dtypeText_.clear();
            offsets_.clear();
            seen_ = 0;
            field_ = Field::none;
        } else {
            return unexpected("an object");
        }
        return true;
    }
    bool key(string_t& value) override {
        key_ = value;
        if (level_ == Level::top) {
            if (!names_.insert(value).second)
                throw Error(ErrorCode::malformed, file_,
                            "the header names \"" + value +
                                "\" twice; save the file again with each tensor under its own name");
        } else if (level_ == Level::metadata) {
            if (!metadataKeys_.insert(value).second)
                throw Error(ErrorCode::malformed, file_, "__metadata__ has the key \"" + value + "\" twice");
        } else {
            field_ = value == "dtype"          ? Field::dtype
                     : value == "shape"        ? Field::shape
                     : value == "data_offsets" ? Field::offsets
                                               : Field::none;
            if (field_ == Field::none)
                malformed("the header has an unknown field \"" + value + "\" (expected dtype, shape and data_offsets)");
            if ((seen_ & bit(field_)) != 0) malformed("the header gives its " + fieldName() + " twice");
            seen_ |= bit(field_);
        }
        return true;
    }
    bool end_object() override {
        if (level_ == Level::tensor) {
            finishTensor();
            level_ = Level::top;
        } else {
            level_ = level_ == Level::metadata ? Level::top : Level::outside;
        }
        return true;
    }
    bool start_array(std::size_t) override {
        if (level_ != Level::tensor || inList_ || (field_ != Field::shape && field_ != Field::offsets))
            return unexpected("an array");
        inList_ = true;
        return true;
    }
    bool end_array() override {
        inList_ = false;
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
        throw Error(ErrorCode::malformed, file_,
                    "the header is not valid JSON at byte " + std::to_string(8 + position) +
                        "; the file is damaged or not safetensors");
    }

private:
    enum class Level { outside, top, metadata, tensor };
    enum class Field { none, dtype, shape, offsets };

    static unsigned bit(Field field) { return 1U << static_cast<unsigned>(field); }
    std::string fieldName() const {
        return field_ == Field::dtype ? "dtype" : field_ == Field::shape ? "shape" : "data_offsets";
    }
    [[noreturn]] void malformed(const std::string& sentence) const {
        throw Error(ErrorCode::malformed, placeOf(file_, current_.info.name), sentence);
    }
    bool unexpected(const std::string& what) const {
        if (level_ == Level::tensor && field_ != Field::none) malformed("its " + fieldName() + " holds " + what);
        if (level_ == Level::metadata)
            throw Error(ErrorCode::malformed, file_,
                        "__metadata__ may hold only text, but \"" + key_ + "\" is " + what);
        throw Error(ErrorCode::malformed, file_,
                    "the header should be an object of tensors, but \"" + key_ + "\" is " + what);
    }

    void finishTensor() {
        TensorInfo& info = current_.info;
        if (seen_ != (bit(Field::dtype) | bit(Field::shape) | bit(Field::offsets)))
            malformed("the header lacks its dtype, shape or data_offsets");
        const std::optional<Dtype> dtype = dtypeFromName(dtypeText_);
        if (!dtype) {
            throw Error(ErrorCode::unsupported, placeOf(file_, info.name),
                        "elements of type " + dtypeText_ +
                            " are not understood; convert the tensor to F32, F16, BF16 or F8 first");
        }
        info.dtype = *dtype;
        if (offsets_.size() != 2 || offsets_[0] > offsets_[1])
            malformed("its data_offsets should be [begin, end] with begin <= end");
        const std::optional<std::uint64_t> bytes = byteCount(info.dtype, info.shape);
        if (!bytes) malformed("its shape " + toString(info.shape) + " is impossibly large");
        if (*bytes != offsets_[1] - offsets_[0]) {
            malformed("shape " + toString(info.shape) + " of " + dtypeText_ + " needs " + std::to_string(*bytes) +
                      " bytes, but data_offsets [" + std::to_string(offsets_[0]) + ", " + std::to_string(offsets_[1]) +
                      "] give " + std::to_string(offsets_[1] - offsets_[0]));
        }
        if (offsets_[1] > (std::uint64_t{1} << 62))
            malformed("its data_offsets end at " + std::to_string(offsets_[1]) + ", far beyond any file");
        info.offset = dataStart_ + offsets_[0];
        info.bytes = *bytes;
        tensors.push_back(std::move(current_));
    }

    const std::string& file_;
    std::uint64_t dataStart_;
    Level level_ = Level::outside;
    Field field_ = Field::none;
    bool inList_ = false;
    unsigned seen_ = 0;
    std::string key_;
    std::string dtypeText_;
    std::vector<std::uint64_t> offsets_;
    StoredTensor current_;
    std::unordered_set<std::string> names_;
    std::unordered_set<std::string> metadataKeys_;
};

std::vector<std::size_t> orderInFile(const std::vector<StoredTensor>& tensors) {
    std::vector<std::size_t> order(tensors.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto end = [&](std::size_t i) { return tensors[i].info.offset + tensors[i].info.bytes; };
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return std::tuple(tensors[a].info.offset, end(a), a) < std::tuple(tensors[b].info.offset, end(b), b);
    });
    return order;
}

// The format allows no holes and no overlaps: the data is its tensors, one after the other.
void checkLayout(const TensorFile& file, std::uint64_t dataStart) {
    const std::string& name = file.source->name();
    std::uint64_t expected = dataStart;
    const StoredTensor* before = nullptr;
    for (const std::size_t i : orderInFile(file.tensors)) {
        const TensorInfo& info = file.tensors[i].info;
        if (info.offset < expected) {
            throw Error(ErrorCode::malformed, placeOf(name, info.name),
                        "its bytes overlap those of " + before->info.name + "; the file is damaged, save it again");
        }
        if (info.offset > expected) {
            throw Error(ErrorCode::malformed, placeOf(name, info.name),
                        std::to_string(info.offset - expected) +
                            " bytes before it belong to no tensor; the file is damaged, save it again");
        }
        expected = info.offset + info.bytes;
        if (expected > file.source->size()) {
            throw Error(ErrorCode::truncated, placeOf(name, info.name),
                        "its bytes end at " + std::to_string(expected) + ", but the file ends at " +
                            std::to_string(file.source->size()) + "; download or copy it again");
        }
        before = &file.tensors[i];
    }
    if (expected != file.source->size()) {
        throw Error(ErrorCode::malformed, name,
                    std::to_string(file.source->size() - expected) + " bytes after the last tensor belong to none");
    }
}

}  // namespace

TensorFile openSafetensors(std::shared_ptr<const ByteSource> source) {
    const std::string& name = source->name();
    const std::uint64_t size = source->size();
    if (size < 10)
        throw Error(ErrorCode::truncated, name,
                    "expected a safetensors header, but the file has only " + std::to_string(size) + " bytes");
    const std::uint64_t length = loadLittle<std::uint64_t>(readBytes(*source, 0, 8).data());
    if (length > size - 8) {
        throw Error(ErrorCode::truncated, name,
                    "the header says that it is " + std::to_string(length) + " bytes long, but the file has only " +
                        std::to_string(size) + "; it is cut short or not safetensors");
    }
    if (length > mostHeaderBytes)
        throw Error(ErrorCode::malformed, name,
                    "a header of " + std::to_string(length) + " bytes is beyond safetensors' limit of 100 MB");
    const std::vector<std::byte> header = readBytes(*source, 8, length);
    if (header.empty() || header[0] != std::byte{'{'})
        throw Error(ErrorCode::malformed, name, "a safetensors header starts with '{', this one does not");

    TensorFile file;
    file.format = FileFormat::safetensors;
    HeaderReader reader(name, 8 + length);
    const std::string_view text = asText(header);
    nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
    file.tensors = std::move(reader.tensors);
    file.metadata = std::move(reader.metadata);
    file.source = std::move(source);
    checkLayout(file, 8 + length);
    return file;
}

void rewriteSafetensors(const TensorFile& file, const std::vector<std::pair<std::string, std::string>>& provenance,
                        const MoveTensor& move, ByteSink& out) {
    const std::uint64_t length = loadLittle<std::uint64_t>(readBytes(*file.source, 0, 8).data());
    if (provenance.empty()) {
        copyBytes(*file.source, 0, 8 + length, out);
    } else {
        const std::string header = withMetadata(asText(readBytes(*file.source, 8, length)), provenance);
        std::byte prefix[8];
        storeLittle<std::uint64_t>(header.size(), prefix);
        out.write(prefix);
        out.write(asBytes(header));
    }
    for (const std::size_t i : orderInFile(file.tensors)) {
        const TensorInfo& info = file.tensors[i].info;
        ExactSink exact(out, info.bytes, placeOf(file.source->name(), info.name));
        move(i, *tensorBytes(file, i), exact);
        exact.finish();
    }
}

}  // namespace regauge
