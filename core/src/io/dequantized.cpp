#include "io/dequantized.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "base/float_blocks.hpp"
#include "codec/ggml_blocks.hpp"
#include "io/bytes.hpp"
#include "io/composed_source.hpp"
#include "io/gguf.hpp"
#include "io/safetensors.hpp"
#include "regauge/io/within.hpp"

namespace regauge {
namespace {

constexpr std::size_t piece = 1024;  // numbers computed at a time, on the stack: a multiple of every block's

bool isFp8(Dtype dtype) { return dtype == Dtype::F8_E4M3 || dtype == Dtype::F8_E5M2; }

// A tensor's numbers in float32, any range of them, converted to the wanted dtype.
class ComputedSource : public ByteSource {
public:
    ComputedSource(std::string name, std::uint64_t count, Dtype dtype)
        : name_(std::move(name)), count_(count), dtype_(dtype) {}
    std::uint64_t size() const override { return count_ * byteSize(dtype_); }
    const std::string& name() const override { return name_; }

    void read(std::uint64_t offset, std::span<std::byte> into) const override {
        requireWithin(*this, offset, into.size());
        const std::uint64_t element = byteSize(dtype_);
        std::array<std::byte, piece * 4> bytes;
        while (!into.empty()) {
            const std::uint64_t first = offset / element / piece * piece;
            const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(piece, count_ - first));
            std::array<float, piece> values;
            compute(first, std::span(values).first(count));
            const std::span<std::byte> own = std::span(bytes).first(count * static_cast<std::size_t>(element));
            convert(std::span(values).first(count), own);
            const auto within = static_cast<std::size_t>(offset - first * element);
            const std::size_t taken = std::min(into.size(), own.size() - within);
            std::memcpy(into.data(), own.data() + within, taken);
            into = into.subspan(taken);
            offset += taken;
        }
    }

protected:
    // Numbers [first, first + out.size()); first is a multiple of `piece`.
    virtual void compute(std::uint64_t first, std::span<float> out) const = 0;

private:
    void convert(std::span<const float> values, std::span<std::byte> out) const {
        if (dtype_ == Dtype::F32) {
            std::memcpy(out.data(), values.data(), out.size());
            return;
        }
        std::array<double, piece> wide;
        std::copy(values.begin(), values.end(), wide.begin());
        storeDoubles(std::span(wide).first(values.size()), dtype_, out);
        constexpr float mostF16 = 65504.0F;
        if (dtype_ == Dtype::F16 && std::any_of(values.begin(), values.end(), [&](float value) {
                return std::isfinite(value) && std::fabs(value) > mostF16;
            }))
            throw Error(ErrorCode::unsupported, name_,
                        "has numbers beyond 65504, the largest of float16; dequantise to bf16 or f32");
    }

    std::string name_;
    std::uint64_t count_;
    Dtype dtype_;
};

class UnpackedSource final : public ComputedSource {
public:
    UnpackedSource(std::unique_ptr<ByteSource> blocks, const GgmlType& type, std::uint64_t count, Dtype dtype)
        : ComputedSource(blocks->name(), count, dtype), blocks_(std::move(blocks)), type_(type) {}

protected:
    void compute(std::uint64_t first, std::span<float> out) const override {
        const std::vector<std::byte> bytes =
            readBytes(*blocks_, first / type_.elements * type_.bytes, out.size() / type_.elements * type_.bytes);
        unpackBlocks(type_, bytes, out);
    }

private:
    std::unique_ptr<ByteSource> blocks_;
    const GgmlType& type_;
};

// The scales of one weight [.., rows, columns], as a grid of blocks in each matrix.
struct Scales {
    std::vector<float> values;
    std::uint64_t blockRows = 1, blockColumns = 1;  // numbers that share a scale
    std::uint64_t gridRows = 1, gridColumns = 1;
    bool shared = false;  // one scale for all matrices
};

class ScaledSource final : public ComputedSource {
public:
    ScaledSource(std::unique_ptr<ByteSource> stored, const TensorInfo& info, Scales scales, Dtype dtype)
        : ComputedSource(stored->name(), info.bytes, dtype),
          stored_(std::move(stored)),
          columns_(info.shape.empty() ? 1 : info.shape.back()),
          rows_(info.shape.size() < 2 ? 1 : info.shape[info.shape.size() - 2]),
          scales_(std::move(scales)) {
        std::array<std::byte, 256> bytes;
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
        convertToFloat(bytes, info.dtype, values_);
    }

protected:
    void compute(std::uint64_t first, std::span<float> out) const override {
        const std::vector<std::byte> bytes = readBytes(*stored_, first, out.size());
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = values_[std::to_integer<std::size_t>(bytes[i])];
        if (scales_.values.empty()) return;
        for (std::size_t i = 0; i < out.size();) {  // a run of numbers with one scale at a time
            const std::uint64_t at = first + i, column = at % columns_, row = at / columns_ % rows_;
            const std::uint64_t matrix = scales_.shared ? 0 : at / columns_ / rows_;
            const std::uint64_t grid = (matrix * scales_.gridRows + row / scales_.blockRows) * scales_.gridColumns +
                                       column / scales_.blockColumns;
            const float scale = scales_.values[static_cast<std::size_t>(grid)];
            const std::uint64_t run = std::min(scales_.blockColumns - column % scales_.blockColumns, columns_ - column);
            const std::size_t end = i + static_cast<std::size_t>(std::min<std::uint64_t>(run, out.size() - i));
            for (; i < end; ++i) out[i] *= scale;
        }
    }

private:
    std::unique_ptr<ByteSource> stored_;
    std::uint64_t columns_, rows_;
    Scales scales_;
    std::array<float, 256> values_;  // of every byte
};

// Where a model's scales are.
class ScaleTensors {
public:
    explicit ScaleTensors(const std::vector<TensorFile>& files) {
        for (std::size_t f = 0; f < files.size(); ++f)
            for (std::size_t i = 0; i < files[f].tensors.size(); ++i)
                places_.emplace(files[f].tensors[i].info.name, std::pair(f, i));
        for (const TensorFile& file : files)
            for (const StoredTensor& stored : file.tensors)
                if (isFp8(stored.info.dtype))
                    for (const char* ending : {"_scale", "_scale_inv"})
                        if (places_.contains(stored.info.name + ending)) used_.push_back(stored.info.name + ending);
        std::sort(used_.begin(), used_.end());
    }

    // Of a weight by its name; nothing where it has none.
    const std::pair<std::size_t, std::size_t>* of(const std::string& weight) const {
        for (const char* ending : {"_scale", "_scale_inv"})
            if (const auto found = places_.find(weight + ending); found != places_.end()) return &found->second;
        return nullptr;
    }
    bool isScale(std::string_view name) const {
        constexpr std::string_view inputs[] = {".input_scale", ".input_global_scale", ".activation_scale"};
        return std::binary_search(used_.begin(), used_.end(), name) ||
               std::any_of(std::begin(inputs), std::end(inputs),
                           [&](std::string_view end) { return name.ends_with(end); });
    }

private:
    std::unordered_map<std::string, std::pair<std::size_t, std::size_t>> places_;
    std::vector<std::string> used_;
};

// The numbers of an axis that share a scale, where `grid` scales serve `length` numbers: the usual 128, or the smallest
// power of two, or all of them. 0 where none fits.
std::uint64_t blockOf(std::uint64_t length, std::uint64_t grid) {
    constexpr std::uint64_t usual = 128;
    const auto fits = [&](std::uint64_t block) { return (length + block - 1) / block == grid; };
    if (grid == length) return 1;
    if (grid == 1) return length;
    if (fits(usual)) return usual;
    for (std::uint64_t block = 2; block < length; block *= 2)
        if (fits(block)) return block;
    return 0;
}

Scales readScales(const TensorFile& file, std::size_t index, const TensorInfo& weight) {
    const TensorInfo& info = file.tensors[index].info;
    const std::string where = placeOf(file.source->name(), info.name);
    constexpr std::uint64_t mostBytes = std::uint64_t{1} << 28;
    if (!isFloat(info.dtype) || info.bytes > mostBytes)
        throw Error(ErrorCode::wrongDtype, where,
                    "should hold the scales of " + weight.name + " as floats, found " + std::string(name(info.dtype)) +
                        " " + toString(info.shape));
    Scales scales;
    scales.values.resize(static_cast<std::size_t>(elementCount(info.shape).value()));
    convertToFloat(readBytes(*tensorBytes(file, index), 0, info.bytes), info.dtype, scales.values);

    const Shape& of = weight.shape;
    const std::uint64_t columns = of.empty() ? 1 : of.back(), rows = of.size() < 2 ? 1 : of[of.size() - 2];
    scales.blockRows = std::max<std::uint64_t>(rows, 1);
    scales.blockColumns = std::max<std::uint64_t>(columns, 1);
    scales.shared = scales.values.size() == 1;
    if (scales.shared) return scales;
    Shape grid = info.shape;
    if (grid.size() + 1 == of.size() && grid.back() == rows) grid.push_back(1);  // one a row, without its last axis
    bool fits = grid.size() == of.size() && of.size() >= 2 &&
                std::equal(grid.begin(), grid.end() - 2, of.begin(), of.end() - 2);
    if (fits) {
        scales.gridRows = grid[grid.size() - 2];
        scales.gridColumns = grid.back();
        scales.blockRows = blockOf(rows, scales.gridRows);
        scales.blockColumns = blockOf(columns, scales.gridColumns);
        fits = scales.blockRows != 0 && scales.blockColumns != 0;
    }
    if (!fits)
        throw Error(ErrorCode::shapeMismatch, where,
                    "has the shape " + toString(info.shape) + ", which is no scale of " + weight.name + " " +
                        toString(of) + ": expected one number, one a row, or one a block");
    return scales;
}

// What becomes of one tensor of a file; `dtype` is its new one.
struct Seen {
    std::size_t index = 0;
    std::shared_ptr<const ByteSource> bytes;
};

TensorFile seenAs(const std::vector<TensorFile>& files, std::size_t f, const ScaleTensors& scales, Dtype dtype) {
    const TensorFile& file = files[f];
    std::vector<Seen> kept;
    std::vector<TensorInfo> infos;
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        const StoredTensor& stored = file.tensors[i];
        if (file.format != FileFormat::gguf && scales.isScale(stored.info.name)) continue;
        TensorInfo info = stored.info;
        std::unique_ptr<ByteSource> bytes = tensorBytes(file, i);
        const std::uint64_t count = elementCount(info.shape).value();
        if (!stored.quantized.empty()) {
            const GgmlType* type = ggmlType(stored.quantized);
            if (type->unpack != nullptr) {
                bytes = std::make_unique<UnpackedSource>(std::move(bytes), *type, count, dtype);
                info.dtype = dtype;
            }
        } else if (isFp8(info.dtype)) {
            const auto* scale = scales.of(info.name);
            bytes = std::make_unique<ScaledSource>(
                std::move(bytes), info,
                scale != nullptr ? readScales(files[scale->first], scale->second, info) : Scales(), dtype);
            info.dtype = dtype;
        }
        info.bytes = bytes->size();
        infos.push_back(std::move(info));
        kept.push_back({i, std::move(bytes)});
    }
    auto whole = std::make_shared<ComposedSource>(file.source->name());
    if (file.format == FileFormat::gguf) {
        const GgufHeader header = ggufHeader(file, infos);
        whole->add(std::make_shared<OwnedSource>(file.source->name(), header.bytes));
        for (std::size_t i = 0; i < kept.size(); ++i) {
            whole->addZeros(header.bytes.size() + header.offsets[i] - whole->size());
            whole->add(kept[i].bytes);
        }
        return openGguf(whole);
    }
    whole->add(std::make_shared<OwnedSource>(file.source->name(), safetensorsHeader(infos, file.metadata)));
    for (Seen& one : kept) whole->add(std::move(one.bytes));
    return openSafetensors(whole);
}

}  // namespace

bool isQuantized(const StoredTensor& stored) { return !stored.quantized.empty() || isFp8(stored.info.dtype); }

std::vector<TensorFile> dequantized(std::vector<TensorFile> files, Dtype dtype) {
    const auto any = [](const TensorFile& file, auto&& fits) {
        return std::any_of(file.tensors.begin(), file.tensors.end(), fits);
    };
    if (std::none_of(files.begin(), files.end(), [&](const TensorFile& file) { return any(file, isQuantized); }))
        return files;
    const ScaleTensors scales(files);
    std::vector<TensorFile> seen;
    for (std::size_t f = 0; f < files.size(); ++f) {
        // No quantised checkpoint is stored otherwise than row-major and little-endian.
        const bool plain =
            any(files[f], [](const StoredTensor& stored) { return stored.fortranOrder || stored.bigEndian; }) ||
            !any(files[f],
                 [&](const StoredTensor& stored) { return isQuantized(stored) || scales.isScale(stored.info.name); });
        seen.push_back(plain ? files[f] : seenAs(files, f, scales, dtype));
    }
    return seen;
}

TensorFile dequantized(TensorFile file, Dtype dtype) {
    std::vector<TensorFile> files;
    files.push_back(std::move(file));
    return std::move(dequantized(std::move(files), dtype).front());
}

}  // namespace regauge
