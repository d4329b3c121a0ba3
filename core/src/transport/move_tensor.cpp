#include "transport/move_tensor.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::size_t blockBytes = 4u << 20;    // read and written at a time
constexpr std::size_t heldBytes = 128u << 20;   // the largest slab that is held whole rather than read row by row

using Bytes = std::vector<std::byte>;

// The tensor as it is stored: row-major whatever the container says, with the moves in the order of its axes.
struct Layout {
    Shape shape;
    std::vector<AxisMove> moves;
    Dtype dtype = Dtype::F32;
    bool bigEndian = false;

    //   first moved axis a:   [ outer | d | inner ]     a slab is one [d, inner], a row one [inner]
    std::size_t first() const { return moves.front().axis; }
    std::uint64_t product(std::size_t from, std::size_t to) const {
        std::uint64_t count = 1;
        for (std::size_t k = from; k < to; ++k) count *= shape[k];
        return count;
    }
    std::uint64_t outer() const { return product(0, first()); }
    std::uint64_t rowBytes() const { return product(first() + 1, shape.size()) * byteSize(dtype); }
    std::uint64_t slabBytes() const { return rowBytes() * shape[first()]; }
};

Layout layoutOf(const StoredTensor& stored, std::vector<AxisMove> moves) {
    Layout layout{stored.info.shape, std::move(moves), stored.info.dtype, stored.bigEndian && byteSize(stored.info.dtype) > 1};
    if (stored.fortranOrder) {
        // Column-major is row-major with the axes in reverse.
        std::reverse(layout.shape.begin(), layout.shape.end());
        for (AxisMove& move : layout.moves) move.axis = layout.shape.size() - 1 - move.axis;
    }
    std::sort(layout.moves.begin(), layout.moves.end(), [](const AxisMove& a, const AxisMove& b) { return a.axis < b.axis; });
    return layout;
}

void swapBytes(Bytes& block, std::size_t element) {
    for (std::size_t at = 0; at < block.size(); at += element) std::reverse(block.begin() + static_cast<std::ptrdiff_t>(at), block.begin() + static_cast<std::ptrdiff_t>(at + element));
}

// Applies the moves to `block`, which holds a tensor of `shape`; `spare` is overwritten.
void moveBlock(const Gauge& gauge, const Layout& layout, std::span<const AxisMove> moves, const Shape& shape, Bytes& block, Bytes& spare) {
    spare.resize(block.size());
    for (const AxisMove& move : moves) {
        moveAxis(gauge, move.action, block, spare, layout.dtype, shape, move.axis);
        block.swap(spare);
    }
}

void readBlock(const ByteSource& in, std::uint64_t offset, Bytes& block, const Layout& layout) {
    in.read(offset, block);
    if (layout.bigEndian) swapBytes(block, byteSize(layout.dtype));
}

void writeBlock(ByteSink& out, Bytes& block, const Layout& layout) {
    if (layout.bigEndian) swapBytes(block, byteSize(layout.dtype));
    out.write(block);
}

void copyAll(const ByteSource& in, ByteSink& out, const std::function<void(std::uint64_t)>& done) {
    Bytes block(static_cast<std::size_t>(std::min<std::uint64_t>(in.size(), blockBytes)));
    for (std::uint64_t at = 0; at < in.size(); at += block.size()) {
        block.resize(static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), in.size() - at)));
        in.read(at, block);
        out.write(block);
        done(block.size());
    }
}

// Slabs that fit a block: many at a time, all moves in memory. A last axis is this case, with a row of d for a slab.
void moveSmallSlabs(const Gauge& gauge, const Layout& layout, const ByteSource& in, ByteSink& out, const std::function<void(std::uint64_t)>& done) {
    const std::uint64_t slab = layout.slabBytes(), most = std::max<std::uint64_t>(1, blockBytes / slab);
    Shape shape(layout.shape.begin() + static_cast<std::ptrdiff_t>(layout.first()), layout.shape.end());
    shape.insert(shape.begin(), 0);  // the slabs of this block
    std::vector<AxisMove> moves = layout.moves;
    for (AxisMove& move : moves) move.axis = move.axis - layout.first() + 1;
    Bytes block, spare;
    std::uint64_t at = 0;
    for (std::uint64_t left = layout.outer(); left > 0; left -= shape[0]) {
        shape[0] = std::min(left, most);
        block.resize(static_cast<std::size_t>(shape[0] * slab));
        readBlock(in, at, block, layout);
        moveBlock(gauge, layout, moves, shape, block, spare);
        writeBlock(out, block, layout);
        at += block.size();
        done(block.size());
    }
}

// Flips the sign bit of every element; the bytes are little-endian.
void negate(std::span<std::byte> row, std::size_t element) {
    for (std::size_t at = element - 1; at < row.size(); at += element) row[at] ^= std::byte{0x80};
}

// One slab larger than a block: target rows in order, each from source row perm[i], the inner axes moved block by block.
// The slab is read whole, in order, where it may be held; otherwise each row is read where it lies.
void moveLargeSlab(const Gauge& gauge, const Layout& layout, const ByteSource& in, std::uint64_t slabAt, ByteSink& out, const std::function<void(std::uint64_t)>& done) {
    const std::size_t row = static_cast<std::size_t>(layout.rowBytes()), element = byteSize(layout.dtype);
    const bool held = layout.slabBytes() <= heldBytes;
    Bytes slab(held ? static_cast<std::size_t>(layout.slabBytes()) : 0);
    for (std::size_t at = 0; at < slab.size(); at += blockBytes)
        in.read(slabAt + at, std::span(slab).subspan(at, std::min<std::size_t>(blockBytes, slab.size() - at)));

    const AxisMove& first = layout.moves.front();
    Shape shape(layout.shape.begin() + static_cast<std::ptrdiff_t>(layout.first()), layout.shape.end());
    std::vector<AxisMove> inner(layout.moves.begin() + 1, layout.moves.end());
    for (AxisMove& move : inner) move.axis -= layout.first();
    const std::size_t d = gauge.d(), most = std::max<std::size_t>(1, blockBytes / row);  // row > 0: the tensor is not empty
    Bytes block, spare;
    for (std::size_t i = 0; i < d; i += most) {
        const std::size_t rows = std::min(most, d - i);
        shape[0] = rows;
        block.resize(rows * row);
        for (std::size_t k = 0; k < rows; ++k) {
            const std::span<std::byte> to = std::span(block).subspan(k * row, row);
            const std::uint64_t from = std::uint64_t{gauge.perm()[i + k]} * row;
            if (held)
                std::memcpy(to.data(), slab.data() + static_cast<std::size_t>(from), row);
            else
                in.read(slabAt + from, to);
        }
        if (layout.bigEndian) swapBytes(block, element);
        for (std::size_t k = 0; k < rows; ++k)
            if (first.action == Action::odd && gauge.sign()[i + k] < 0) negate(std::span(block).subspan(k * row, row), element);
        moveBlock(gauge, layout, inner, shape, block, spare);
        writeBlock(out, block, layout);
        done(block.size());
    }
}

}  // namespace

void moveTensor(const Gauge& gauge, const StoredTensor& stored, const std::vector<AxisMove>& moves, const ByteSource& in, ByteSink& out,
                const std::function<void(std::uint64_t)>& done) {
    if (moves.empty() || stored.info.bytes == 0) return copyAll(in, out, done);
    const Layout layout = layoutOf(stored, moves);
    for (const AxisMove& move : layout.moves)
        if (layout.shape[move.axis] != gauge.d())
            throw Error(ErrorCode::dimensionMismatch, in.name(), "has length " + std::to_string(layout.shape[move.axis]) + " where the gauge has d = " + std::to_string(gauge.d()));
    if (layout.slabBytes() <= blockBytes) return moveSmallSlabs(gauge, layout, in, out, done);
    for (std::uint64_t slab = 0; slab < layout.outer(); ++slab) moveLargeSlab(gauge, layout, in, slab * layout.slabBytes(), out, done);
}

}  // namespace regauge
