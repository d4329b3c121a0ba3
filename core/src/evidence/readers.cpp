#include "evidence/readers.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "codec/ggml_blocks.hpp"
#include "io/bytes.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t mostWidth = std::uint64_t{1} << 24;
constexpr std::uint64_t mostInMemory = std::uint64_t{1} << 28;

void reverseElements(std::span<std::byte> bytes, std::size_t size) {
    for (std::size_t at = 0; at + size <= bytes.size(); at += size)
        std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                     bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
}

// A column-major tensor as row-major bytes, in memory. For matrices of rows LineRows streams instead; this serves more
// axes, ids and masks.
std::unique_ptr<ByteSource> toRowMajor(std::unique_ptr<ByteSource> columnMajor, const TensorInfo& info) {
    if (info.bytes > mostInMemory) {
        throw Error(ErrorCode::tooLarge, columnMajor->name(),
                    "a Fortran-ordered array of " + std::to_string(info.shape.size()) + " axes and " +
                        std::to_string(info.bytes) + " bytes; save np.ascontiguousarray of it");
    }
    const std::vector<std::byte> in = readBytes(*columnMajor, 0, info.bytes);
    std::vector<std::byte> out(in.size());
    const std::size_t size = byteSize(info.dtype);
    std::vector<std::uint64_t> at(info.shape.size(), 0);  // the row-major index, last axis fastest
    for (std::size_t to = 0; to < out.size(); to += size) {
        std::uint64_t from = 0;
        for (std::size_t axis = info.shape.size(); axis-- > 0;) from = from * info.shape[axis] + at[axis];
        std::memcpy(out.data() + to, in.data() + static_cast<std::size_t>(from) * size, size);
        for (std::size_t axis = at.size(); axis-- > 0;) {
            if (++at[axis] < info.shape[axis]) break;
            at[axis] = 0;
        }
    }
    return std::make_unique<OwnedSource>(columnMajor->name(), std::move(out));
}

class ReaderBase : public RowReader {
public:
    std::uint64_t rows() const override { return rows_; }
    std::size_t d() const override { return d_; }
    Dtype dtype() const override { return dtype_; }
    const std::string& where() const override { return where_; }

protected:
    ReaderBase(const TensorRef& tensor, std::uint64_t rows, std::size_t d)
        : source_(tensorBytes(*tensor.file, tensor.index)),
          rows_(rows),
          d_(d),
          dtype_(tensor.info().dtype),
          size_(byteSize(dtype_)),
          bigEndian_(tensor.stored().bigEndian),
          where_(tensor.where()) {}

    void check(std::uint64_t first, std::uint64_t count, std::span<const std::byte> out) const {
        if (first > rows_ || count > rows_ - first || out.size() != count * d_ * size_) {
            throw Error(ErrorCode::internal, where_,
                        "rows [" + std::to_string(first) + ", " + std::to_string(first + count) + ") of " +
                            std::to_string(rows_) + " into " + std::to_string(out.size()) + " bytes");
        }
    }

    std::unique_ptr<ByteSource> source_;
    std::uint64_t rows_;
    std::size_t d_;
    Dtype dtype_;
    std::size_t size_;
    bool bigEndian_;
    std::string where_;
};

// Row-major: a block of rows is one range of the file.
class BlockRows final : public ReaderBase {
public:
    BlockRows(const TensorRef& tensor, std::uint64_t rows, std::size_t d) : ReaderBase(tensor, rows, d) {
        if (tensor.stored().fortranOrder) source_ = toRowMajor(std::move(source_), tensor.info());
    }
    void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
        check(first, count, out);
        source_->read(first * d_ * size_, out);
        if (bigEndian_) reverseElements(out, size_);
    }
};

// Channel by channel, as a Fortran-ordered [n, d] array (what NumPy makes of x[:, perm]) and a row-major [d, n] weight
// both lie:
//   file:  channel 0: row 0, row 1, .. row n-1 | channel 1: row 0, .. | ..
// A block of rows is d short ranges; a few channels at a time are read and written across, so that both sides stay in
// cache.
class LineRows final : public ReaderBase {
public:
    LineRows(const TensorRef& tensor, std::uint64_t rows, std::size_t d) : ReaderBase(tensor, rows, d) {}
    std::uint64_t rowsTogether() const override {
        return std::clamp<std::uint64_t>(mostTogether / (d_ * size_), 1, bytesOfLine / size_);
    }
    void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
        check(first, count, out);
        const std::size_t length = static_cast<std::size_t>(count) * size_, stride = length + apart;
        std::vector<std::byte> lines(std::min(d_, group) * stride);
        for (std::size_t channel = 0; channel < d_; channel += group) {
            const std::size_t width = std::min(group, d_ - channel);
            for (std::size_t k = 0; k < width; ++k) {
                const std::span<std::byte> line(lines.data() + k * stride, length);
                source_->read(((channel + k) * rows_ + first) * size_, line);
                if (bigEndian_) reverseElements(line, size_);
            }
            switch (size_) {
                case 2: across<2>(lines, width, stride, length, out.data() + channel * 2); break;
                case 4: across<4>(lines, width, stride, length, out.data() + channel * 4); break;
                default: across<8>(lines, width, stride, length, out.data() + channel * 8); break;
            }
        }
    }

private:
    static constexpr std::size_t bytesOfLine = 8192;  // of a channel, at a time
    static constexpr std::uint64_t mostTogether = std::uint64_t{64} << 20;
    static constexpr std::size_t group = 32;
    static constexpr std::size_t apart = 64;  // lines a power of two apart would drive each other out

    template <std::size_t Size>
    void across(std::span<const std::byte> lines, std::size_t width, std::size_t stride, std::size_t length,
                std::byte* out) const {
        for (std::size_t at = 0; at < length; at += Size, out += d_ * Size) {
            for (std::size_t k = 0; k < width; ++k) std::memcpy(out + k * Size, lines.data() + k * stride + at, Size);
        }
    }
};

class HalvedRows final : public RowReader {
public:
    HalvedRows(std::shared_ptr<const RowReader> rows, std::uint64_t ofHead) : rows_(std::move(rows)), ofHead_(ofHead) {}
    std::uint64_t rows() const override { return rows_->rows(); }
    std::size_t d() const override { return rows_->d(); }
    Dtype dtype() const override { return rows_->dtype(); }
    const std::string& where() const override { return rows_->where(); }
    std::uint64_t rowsTogether() const override { return ofHead_; }
    void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
        const std::size_t row = d() * byteSize(dtype());
        std::vector<std::byte> head(static_cast<std::size_t>(ofHead_) * row);
        while (count > 0) {
            const std::uint64_t within = first % ofHead_, taken = std::min(count, ofHead_ - within);
            rows_->read(first - within, ofHead_, head);
            for (std::uint64_t i = within; i < within + taken; ++i) {
                const std::uint64_t from = i % (ofHead_ / 2) * 2 + i / (ofHead_ / 2);
                std::memcpy(out.data(), head.data() + static_cast<std::size_t>(from) * row, row);
                out = out.subspan(row);
            }
            first += taken, count -= taken;
        }
    }

private:
    std::shared_ptr<const RowReader> rows_;
    std::uint64_t ofHead_;
};

template <class T>
T loadElement(const std::byte* at, bool bigEndian) {
    std::byte bytes[sizeof(T)];
    std::memcpy(bytes, at, sizeof(T));
    if (bigEndian) std::reverse(bytes, bytes + sizeof(T));
    return loadLittle<T>(bytes);
}

std::vector<std::byte> readWhole(const TensorRef& tensor) {
    if (tensor.info().bytes > mostInMemory)
        throw Error(ErrorCode::tooLarge, tensor.where(),
                    std::to_string(tensor.info().bytes) + " bytes are more than expected here");
    std::unique_ptr<ByteSource> source = tensorBytes(*tensor.file, tensor.index);
    if (tensor.stored().fortranOrder) source = toRowMajor(std::move(source), tensor.info());
    return readBytes(*source, 0, tensor.info().bytes);
}

void needRowDtype(const TensorRef& tensor) {
    const Dtype dtype = tensor.info().dtype;
    if (isRowDtype(dtype) && tensor.stored().quantized.empty()) return;
    const std::string found = tensor.stored().quantized.empty() ? std::string(name(dtype)) : tensor.stored().quantized;
    throw Error(ErrorCode::wrongDtype, tensor.where(),
                "expected rows of F16, BF16, F32 or F64, found " + found +
                    (isOpaque(found) ? ", whose numbers regauge does not compute; " + std::string(makeFloats)
                     : dtype == Dtype::U16
                         ? "; if these are the bits of bfloat16, save them as .safetensors in bfloat16, or as float32"
                         : "; convert them to float32 first"));
}

}  // namespace

std::string TensorRef::where() const { return placeOf(file->source->name(), info().name); }

bool isRowDtype(Dtype dtype) {
    return dtype == Dtype::F16 || dtype == Dtype::BF16 || dtype == Dtype::F32 || dtype == Dtype::F64;
}

std::shared_ptr<const RowReader> rowsOf(const TensorRef& tensor) {
    needRowDtype(tensor);
    const TensorInfo& info = tensor.info();
    if (info.shape.empty())
        throw Error(ErrorCode::shapeMismatch, tensor.where(), "expected rows [.., d], found a single number");
    const std::uint64_t d = info.shape.back();
    const std::uint64_t count = elementCount(info.shape).value();
    if (count == 0)
        throw Error(ErrorCode::shapeMismatch, tensor.where(), "the shape " + toString(info.shape) + " has no rows");
    if (d > mostWidth)
        throw Error(ErrorCode::shapeMismatch, tensor.where(),
                    "rows of " + std::to_string(d) + " numbers are no residual stream; the last axis of " +
                        toString(info.shape) + " should be d");
    const std::uint64_t rows = count / d;
    if (tensor.stored().fortranOrder && info.shape.size() == 2)
        return std::make_shared<LineRows>(tensor, rows, static_cast<std::size_t>(d));
    return std::make_shared<BlockRows>(tensor, rows, static_cast<std::size_t>(d));
}

std::shared_ptr<const RowReader> columnsOf(const TensorRef& tensor) {
    needRowDtype(tensor);
    const Shape& shape = tensor.info().shape;
    if (shape.size() != 2 || shape[0] == 0 || shape[1] == 0 || shape[0] > mostWidth)
        throw Error(ErrorCode::shapeMismatch, tensor.where(), "expected a matrix [d, n], found " + toString(shape));
    const std::size_t d = static_cast<std::size_t>(shape[0]);
    if (tensor.stored().fortranOrder)
        throw Error(ErrorCode::unsupported, tensor.where(), "a weight in Fortran order is in no checkpoint format");
    return std::make_shared<LineRows>(tensor, shape[1], d);
}

std::shared_ptr<const RowReader> inHalves(std::shared_ptr<const RowReader> rows, std::uint64_t heads) {
    if (heads == 0 || rows->rows() % (2 * heads) != 0)
        throw Error(ErrorCode::shapeMismatch, rows->where(),
                    std::to_string(rows->rows()) + " rows do not divide into " + std::to_string(heads) +
                        " heads of two halves each");
    const std::uint64_t ofHead = rows->rows() / heads;
    return std::make_shared<HalvedRows>(std::move(rows), ofHead);
}

std::uint64_t sequenceOf(const Shape& shape) { return shape.size() >= 3 ? shape[shape.size() - 2] : 0; }

std::vector<double> readGains(const TensorRef& tensor, double offset) {
    needRowDtype(tensor);
    const std::vector<std::byte> bytes = readWhole(tensor);
    const std::size_t size = byteSize(tensor.info().dtype);
    std::vector<double> values(bytes.size() / size);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::byte* at = bytes.data() + i * size;
        if (tensor.info().dtype == Dtype::F64) {
            values[i] = std::bit_cast<double>(loadElement<std::uint64_t>(at, tensor.stored().bigEndian));
        } else {
            std::byte element[4];
            std::memcpy(element, at, size);
            if (tensor.stored().bigEndian) std::reverse(element, element + size);
            float value = 0;
            convertToFloat({element, size}, tensor.info().dtype, {&value, 1});
            values[i] = static_cast<double>(value);
        }
        if (!std::isfinite(values[i]))
            throw Error(ErrorCode::notFinite, tensor.where(),
                        "channel " + std::to_string(i) + " of these gains is NaN or infinite");
        values[i] += offset;
    }
    return values;
}

std::vector<std::int64_t> readIntegers(const TensorRef& tensor) {
    const std::vector<std::byte> bytes = readWhole(tensor);
    const std::size_t size = byteSize(tensor.info().dtype);
    const bool big = tensor.stored().bigEndian;
    std::vector<std::int64_t> values(bytes.size() / size);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::byte* at = bytes.data() + i * size;
        switch (tensor.info().dtype) {
            case Dtype::BOOL: values[i] = loadElement<std::uint8_t>(at, big) != 0 ? 1 : 0; break;
            case Dtype::U8: values[i] = loadElement<std::uint8_t>(at, big); break;
            case Dtype::I8: values[i] = loadElement<std::int8_t>(at, big); break;
            case Dtype::U16: values[i] = loadElement<std::uint16_t>(at, big); break;
            case Dtype::I16: values[i] = loadElement<std::int16_t>(at, big); break;
            case Dtype::U32: values[i] = loadElement<std::uint32_t>(at, big); break;
            case Dtype::I32: values[i] = loadElement<std::int32_t>(at, big); break;
            case Dtype::U64:
            case Dtype::I64: values[i] = static_cast<std::int64_t>(loadElement<std::uint64_t>(at, big)); break;
            default:
                throw Error(ErrorCode::wrongDtype, tensor.where(),
                            "expected integers, found " + std::string(name(tensor.info().dtype)));
        }
    }
    return values;
}

}  // namespace regauge
