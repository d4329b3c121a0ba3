#include "io/arrow_column.hpp"

#include <algorithm>
#include <array>

namespace regauge {
namespace {

[[noreturn]] void malformed(const ArrowBatch& batch, const std::string& column, const std::string& sentence) {
    throw Error(ErrorCode::malformed, placeOf(batch.source->name(), column), sentence);
}

}  // namespace

ArrowColumn::ArrowColumn(const ArrowField& field) : name_(field.name) {
    const ArrowField* at = &field;
    while (at->isList() && !at->dictionary && !at->shapedTensors) {
        levels_.push_back({at->type, at->listSize, std::nullopt, false});
        at = &at->children.front();
    }
    dtype_ = at->dtype;
    if (at->dictionary)
        unreadable_ = "values of a dictionary";
    else if (at->shapedTensors)
        unreadable_ = tensorsOfFixedShape;
    else if (!at->isNumber())
        unreadable_ = regauge::name(at->type);
    else if (levels_.empty() && isFloat(dtype_))
        unreadable_ = "one number a row";
}

void ArrowColumn::Level::see(std::uint64_t count) {
    ragged = ragged || count != length.value_or(count);
    length = count;
}

void ArrowColumn::add(const ArrowBatch& batch, std::size_t node, std::size_t buffer) {
    if (!unreadable_.empty()) return;
    rows_ += batch.rows;
    if (batch.nodes[node].length != batch.rows)
        malformed(batch, name_,
                  std::to_string(batch.nodes[node].length) + " rows in a batch of " + std::to_string(batch.rows));
    Range range{0, batch.rows};
    for (Level& level : levels_) {
        nulls_ = nulls_ || batch.nodes[node].nulls != 0;
        range = within(level, batch, batch.nodes[node++], buffer, range);
        buffer += level.type == ArrowType::fixedSizeList ? 1 : 2;
    }
    nulls_ = nulls_ || batch.nodes[node].nulls != 0;
    addValues(batch, batch.nodes[node], batch.buffers[buffer + 1], range);
}

// The elements that these lists of a level hold together.
ArrowColumn::Range ArrowColumn::within(Level& level, const ArrowBatch& batch, const ArrowBatch::Node& node,
                                       std::size_t buffer, Range lists) {
    if (lists.end > node.length)
        malformed(batch, name_,
                  "needs " + std::to_string(lists.end) + " lists, and " + std::to_string(node.length) + " are there");
    if (lists.begin == lists.end) return {};
    if (level.type != ArrowType::fixedSizeList) return byOffsets(level, batch, batch.buffers[buffer + 1], lists);
    level.see(level.fixed);
    if (level.fixed != 0 && lists.end > batch.source->size() * 8 / level.fixed)  // a boolean takes a bit
        malformed(batch, name_, "its lists hold more than the file");
    return {lists.begin * level.fixed, lists.end * level.fixed};
}

ArrowColumn::Range ArrowColumn::byOffsets(Level& level, const ArrowBatch& batch, const ArrowBatch::Buffer& offsets,
                                          Range lists) {
    const std::size_t size = level.type == ArrowType::largeList ? 8 : 4;
    if (lists.end >= offsets.bytes / size)
        malformed(batch, name_,
                  std::to_string(offsets.bytes) + " bytes of offsets for " + std::to_string(lists.end) + " lists");
    std::array<std::byte, 8192> block;
    std::optional<std::uint64_t> first;
    std::uint64_t last = 0;
    for (std::uint64_t at = lists.begin; at <= lists.end;) {
        const std::uint64_t count = std::min<std::uint64_t>(lists.end - at + 1, block.size() / size);
        const std::span<std::byte> part(block.data(), static_cast<std::size_t>(count) * size);
        batch.source->read(offsets.offset + at * size, part);
        for (std::size_t i = 0; i < part.size(); i += size) {
            // A negative offset becomes one beyond every end.
            const auto offset =
                size == 8 ? loadLittle<std::uint64_t>(&part[i]) : std::uint64_t{loadLittle<std::uint32_t>(&part[i])};
            if (!first) {
                first = offset;
            } else {
                if (offset < last) malformed(batch, name_, "its lists end before they begin");
                level.see(offset - last);
            }
            last = offset;
        }
        at += count;
    }
    return {*first, last};
}

void ArrowColumn::addValues(const ArrowBatch& batch, const ArrowBatch::Node& node, const ArrowBatch::Buffer& values,
                            Range range) {
    if (range.begin == range.end) return;
    const std::uint64_t fit = dtype_ == Dtype::BOOL ? values.bytes * 8 : values.bytes / byteSize(dtype_);
    if (range.end > node.length || range.end > fit)
        malformed(batch, name_,
                  "needs " + std::to_string(range.end) + " numbers, and " + std::to_string(std::min(node.length, fit)) +
                      " are there");
    const std::uint64_t count = range.end - range.begin;
    elements_ += count;
    if (dtype_ == Dtype::BOOL)
        segments_.push_back({values.offset + range.begin / 8, count, static_cast<std::uint8_t>(range.begin % 8)});
    else
        segments_.push_back({values.offset + range.begin * byteSize(dtype_), count, 0});
}

void ArrowColumn::append(const ArrowColumn& next, std::uint64_t by, const std::string& where) {
    const auto sameType = [](const Level& a, const Level& b) { return a.type == b.type && a.fixed == b.fixed; };
    if (name_ != next.name_ || dtype_ != next.dtype_ || unreadable_ != next.unreadable_ ||
        !std::ranges::equal(levels_, next.levels_, sameType))
        throw Error(ErrorCode::malformed, where,
                    "column '" + next.name_ + "' is another than in the files before it, '" + name_ +
                        "'; give one table's files");
    for (std::size_t i = 0; i < levels_.size(); ++i) {
        const Level& level = next.levels_[i];
        if (level.length) levels_[i].see(*level.length);
        levels_[i].ragged = levels_[i].ragged || level.ragged;
    }
    nulls_ = nulls_ || next.nulls_;
    rows_ += next.rows_;
    elements_ += next.elements_;
    for (ArrowSegment segment : next.segments_) {
        segment.offset += by;
        segments_.push_back(segment);
    }
}

std::string ArrowColumn::leftOut() const {
    if (!unreadable_.empty()) return unreadable_;
    if (nulls_) return "has nulls";
    if (!levels_.empty() && levels_.back().ragged && isFloat(dtype_)) return "lists of different lengths";
    return elements_ == 0 ? "empty" : "";
}

Shape ArrowColumn::shape() const {
    if (levels_.empty()) return {rows_};
    if (levels_.back().ragged) return {elements_};
    const bool ragged = std::ranges::any_of(levels_, &Level::ragged);
    if (ragged) return {elements_ / *levels_.back().length, *levels_.back().length};
    Shape shape{rows_};
    for (const Level& level : levels_) shape.push_back(*level.length);
    return shape;
}

}  // namespace regauge
