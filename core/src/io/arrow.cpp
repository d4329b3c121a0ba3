#include "io/arrow.hpp"

#include "io/arrow_stream.hpp"
#include "io/bytes.hpp"
#include "io/composed_source.hpp"
#include "regauge/io/within.hpp"

namespace regauge {
namespace {

// What reading needs beside the tensors.
struct ArrowDetail {
    std::vector<ArrowColumn> columns;  // one a tensor
    bool stream = true;
};

TensorFile tableFile(ArrowTable table) {
    TensorFile file;
    file.format = FileFormat::arrow;
    auto detail = std::make_shared<ArrowDetail>();
    std::string left, wayOut;
    for (ArrowColumn& column : table.columns) {
        const std::string reason = column.leftOut();
        if (!reason.empty()) {
            left += (left.empty() ? "; found " : ", ") + column.name() + " (" + reason + ")";
            if (reason == tensorsOfFixedShape) wayOut = "; " + arrowWayOut(table.stream);
            file.metadata.emplace_back(column.name(), reason);
            continue;
        }
        StoredTensor tensor;
        tensor.info.name = column.name();
        tensor.info.dtype = column.dtype();
        tensor.info.shape = column.shape();
        tensor.info.offset = column.segments().front().offset;
        const std::optional<std::uint64_t> bytes = byteCount(column.dtype(), tensor.info.shape);
        if (!bytes)
            throw Error(ErrorCode::malformed, placeOf(table.source->name(), column.name()),
                        "the shape " + toString(tensor.info.shape) + " is impossibly large");
        tensor.info.bytes = *bytes;
        file.tensors.push_back(std::move(tensor));
        detail->columns.push_back(std::move(column));
    }
    if (file.tensors.empty())
        throw Error(ErrorCode::unsupported, table.source->name(),
                    "an Arrow table without a column of numbers to read: expected lists of floats, all of one length, "
                    "each a row or a sequence of rows" +
                        left + wayOut);
    detail->stream = table.stream;
    file.source = std::move(table.source);
    file.detail = std::move(detail);
    return file;
}

// A segment of booleans, which are bits in the file, the lowest first, and bytes in a tensor.
class BitsSource final : public ByteSource {
public:
    BitsSource(std::shared_ptr<const ByteSource> whole, const ArrowSegment& segment)
        : whole_(std::move(whole)), segment_(segment) {}
    std::uint64_t size() const override { return segment_.count; }
    const std::string& name() const override { return whole_->name(); }
    void read(std::uint64_t offset, std::span<std::byte> into) const override {
        requireWithin(*this, offset, into.size());
        const std::uint64_t bit = segment_.firstBit + offset;
        const std::vector<std::byte> packed =
            readBytes(*whole_, segment_.offset + bit / 8, (bit % 8 + into.size() + 7) / 8);
        for (std::size_t i = 0; i < into.size(); ++i) {
            const std::size_t at = static_cast<std::size_t>(bit % 8) + i;
            into[i] = packed[at / 8] >> (at % 8) & std::byte{1};
        }
    }

private:
    std::shared_ptr<const ByteSource> whole_;
    ArrowSegment segment_;
};

}  // namespace

TensorFile openArrow(std::shared_ptr<const ByteSource> source) { return tableFile(readArrowTable(std::move(source))); }

TensorFile openArrows(const std::vector<std::shared_ptr<const ByteSource>>& sources, const std::string& name) {
    ArrowTable whole;
    const auto together = std::make_shared<ComposedSource>(name);
    for (const std::shared_ptr<const ByteSource>& source : sources) {
        ArrowTable table = readArrowTable(source);
        if (source == sources.front()) {
            whole.columns = std::move(table.columns);
            whole.stream = table.stream;
        } else {
            if (table.columns.size() != whole.columns.size())
                throw Error(ErrorCode::malformed, source->name(),
                            "has " + std::to_string(table.columns.size()) +
                                " columns, where the files before it have " + std::to_string(whole.columns.size()) +
                                "; give one table's files");
            for (std::size_t i = 0; i < whole.columns.size(); ++i)
                whole.columns[i].append(table.columns[i], together->size(), source->name());
        }
        together->add(source);
    }
    whole.source = together;
    return tableFile(std::move(whole));
}

std::unique_ptr<ByteSource> arrowTensorBytes(const TensorFile& file, std::size_t index) {
    const ArrowColumn& column = static_cast<const ArrowDetail*>(file.detail.get())->columns[index];
    auto elements = std::make_unique<ComposedSource>(placeOf(file.source->name(), column.name()));
    for (const ArrowSegment& segment : column.segments())
        if (column.dtype() == Dtype::BOOL)
            elements->add(std::make_shared<BitsSource>(file.source, segment));
        else
            elements->add(std::make_shared<SliceSource>(file.source, segment.offset,
                                                        segment.count * byteSize(column.dtype()), file.source->name()));
    return elements;
}

Error arrowNotWritten(const TensorFile& file) {
    const bool stream = static_cast<const ArrowDetail*>(file.detail.get())->stream;
    return Error(ErrorCode::unsupported, file.source->name(),
                 "is an Arrow table, which regauge reads as evidence and does not write; " + arrowWayOut(stream));
}

}  // namespace regauge
