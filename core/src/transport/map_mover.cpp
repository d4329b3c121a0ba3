#include "transport/map_mover.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/float_blocks.hpp"
#include "io/bytes.hpp"
#include "maps/polar.hpp"
#include "numeric/linalg.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

using Role = MappedTensor::Role;
using Values = AxisValues;

std::vector<double> doubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

std::size_t product(const Shape& shape, std::size_t first, std::size_t last) {
    std::size_t count = 1;
    for (std::size_t axis = first; axis < last; ++axis) count *= static_cast<std::size_t>(shape[axis]);
    return count;
}

// out[o, i, k] = sum over j of a[i, j] in[o, j, k]; a [width, in.d].
Values along(const Values& in, std::span<const double> a, std::size_t width, unsigned threads) {
    Values out{std::vector<double>(in.outer * width * in.inner, 0.0), in.outer, width, in.inner};
    if (in.inner == 1) {
        const std::vector<double> turned = transposed(a, width, in.d);
        multiply(in.values.data(), turned.data(), out.values.data(), in.outer, width, in.d, threads);
        return out;
    }
    for (std::size_t o = 0; o < in.outer; ++o)
        multiply(a.data(), &in.values[o * in.d * in.inner], &out.values[o * width * in.inner], width, in.inner, in.d,
                 threads);
    return out;
}

// Root of the summed variances: how far the stream goes from its mean.
double spread(const std::vector<float>& deviations) {
    double sum = 0;
    for (const float value : deviations) sum += static_cast<double>(value) * static_cast<double>(value);
    return std::sqrt(sum);
}

AxisValues load(const StoredTensor& stored, std::size_t axis, const ByteSource& in) {
    const Shape& shape = stored.info.shape;
    Values result;
    result.outer = product(shape, 0, axis);
    result.d = shape.empty() ? 1 : static_cast<std::size_t>(shape[axis]);
    result.inner = product(shape, std::min(axis + 1, shape.size()), shape.size());
    result.values.resize(result.outer * result.d * result.inner);
    loadDoubles(readBytes(in, 0, in.size()), stored.info.dtype, result.values);
    return result;
}

std::vector<std::byte> storedAs(const std::vector<double>& values, Dtype dtype) {
    std::vector<std::byte> bytes(values.size() * byteSize(dtype));
    storeDoubles(values, dtype, bytes);
    return bytes;
}

double normAt(const Values& values, std::size_t o, std::size_t i) {
    double sum = 0;
    for (std::size_t j = 0; j < values.d; ++j) sum += values.at(o, j, i) * values.at(o, j, i);
    return std::sqrt(sum);
}

// out[o, i] = sum over j of values[o, j, i] offset[j].
std::vector<double> dots(const Values& values, const std::vector<double>& offset) {
    std::vector<double> out(values.outer * values.inner, 0.0);
    for (std::size_t o = 0; o < values.outer; ++o)
        for (std::size_t j = 0; j < values.d; ++j)
            for (std::size_t i = 0; i < values.inner; ++i) out[o * values.inner + i] += values.at(o, j, i) * offset[j];
    return out;
}

}  // namespace

MapMover::Matrices::Matrices(const Map& from)
    : m(doubles(from.forward)), n(doubles(from.backward)), nT(transposed(n, from.sourceWidth, from.targetWidth)) {}

MapMover::MapMover(MappedObject object, const MapTransportOptions& options, std::string where)
    : object_(std::move(object)), options_(options), where_(std::move(where)) {
    requirePlainRows();
    findPoint();
}

void MapMover::requirePlainRows() const {
    forEach([&](const Member& member, std::size_t first, std::size_t index) {
        const StoredTensor& tensor = member.file.tensors[index];
        if (object_.tensors[first + index].role == Role::copy) return;
        if (tensor.fortranOrder || tensor.bigEndian)
            throw Error(ErrorCode::unsupported, placeOf(where_, tensor.info.name),
                        "is stored column by column or big-endian, and a map needs rows of little-endian "
                        "numbers: save numpy.ascontiguousarray(x.astype('<f4')) first");
    });
}

void MapMover::forEach(const Visitor& visit) const {
    std::size_t first = 0;
    for (const Member& member : object_.planned.files.members) {
        for (std::size_t k = 0; k < member.file.tensors.size(); ++k) visit(member, first, k);
        first += member.file.tensors.size();
    }
}

Written MapMover::move(const Member& member, std::size_t first, std::size_t index, const ByteSource& in) {
    const StoredTensor& stored = member.file.tensors[index];
    const MappedTensor& tensor = object_.tensors[first + index];
    Written out{tensor.name, stored.info.dtype, stored.info.shape, {}};
    if (tensor.role == Role::copy) {
        out.fortranOrder = stored.fortranOrder, out.bigEndian = stored.bigEndian;
        out.bytes = readBytes(in, 0, in.size());
    } else if (tensor.role == Role::bias) {
        out.bytes = storedAs(movedBias(tensor, stored, in), stored.info.dtype);
    } else {
        const Values moved = moveValues(tensor, load(stored, tensor.axis, in));
        out.shape[tensor.axis] = moved.d;
        out.bytes = storedAs(moved.values, stored.info.dtype);
    }
    return out;
}

std::vector<double> MapMover::movedBias(const MappedTensor& tensor, const StoredTensor& stored, const ByteSource& in) {
    Values bias = load(stored, 0, in);
    const std::vector<double> shift = shiftOf(tensor);
    if (shift.size() != bias.values.size())
        throw Error(ErrorCode::shapeMismatch, placeOf(where_, stored.info.name),
                    "expected " + std::to_string(shift.size()) + " numbers, as " + tensor.reader + " has rows, found " +
                        std::to_string(bias.values.size()));
    std::ranges::transform(bias.values, shift, bias.values.begin(), std::plus{});
    return bias.values;
}

Values MapMover::moveValues(const MappedTensor& tensor, const Values& in) {
    const Map& map = *tensor.map;
    const Matrices& matrices = of(map);
    if (tensor.role == Role::reader) return along(in, matrices.nT, map.targetWidth, options_.threads);
    Values out = along(in, matrices.m, map.targetWidth, options_.threads);
    if (tensor.role == Role::point) {
        for (std::size_t o = 0; o < out.outer; ++o)
            for (std::size_t j = 0; j < out.d; ++j)
                for (std::size_t i = 0; i < out.inner; ++i) out.at(o, j, i) += static_cast<double>(map.forwardBias[j]);
        return out;
    }
    measure(map, in, out);
    return out;
}

// Strengths of directions, which it keeps where that is asked for.
void MapMover::measure(const Map& map, const Values& in, Values& out) {
    const double from = spread(map.sourceDeviation), to = spread(map.targetDeviation);
    if (!(from > 0) || !(to > 0)) {
        if (options_.keepStrength)
            throw Error(ErrorCode::usage, "--keep-strength",
                        "the map file does not say how far the streams spread (source_deviation, "
                        "target_deviation); fit it again with 'regauge map'");
        return;
    }
    for (std::size_t o = 0; o < out.outer; ++o)
        for (std::size_t i = 0; i < out.inner; ++i) {
            const double before = normAt(in, o, i) / from;
            double after = normAt(out, o, i) / to;
            if (options_.keepStrength && after > 0) {
                for (std::size_t j = 0; j < out.d; ++j) out.at(o, j, i) *= before / after;
                after = before;
            }
            strength_.before += before, strength_.after += after, ++strength_.count;
        }
}

void MapMover::findPoint() {
    if (!object_.subtractsPoint) return;
    forEach([&](const Member& member, std::size_t first, std::size_t index) {
        const MappedTensor& tensor = object_.tensors[first + index];
        if (tensor.role != Role::point || !point_.values.empty()) return;
        point_ = load(member.file.tensors[index], tensor.axis, *tensorBytes(member.file, index));
        pointMap_ = tensor.map;
    });
}

// What the way back adds to x before a reader sees it: its offset, and what the round trip does to a point that is
// subtracted.
std::vector<double> MapMover::offsetOf(const Map& map) {
    std::vector<double> offset = doubles(map.backwardBias);
    if (point_.values.size() != map.sourceWidth || pointMap_ != &map) return offset;
    Values there = along(point_, of(map).m, map.targetWidth, options_.threads);
    for (std::size_t j = 0; j < there.d; ++j) there.values[j] += static_cast<double>(map.forwardBias[j]);
    const Values back = along({there.values, 1, there.d, 1}, of(map).n, map.sourceWidth, options_.threads);
    for (std::size_t j = 0; j < offset.size(); ++j) offset[j] += back.values[j] - point_.values[j];
    return offset;
}

std::vector<double> MapMover::shiftOf(const MappedTensor& bias) {
    std::vector<double> shift, scale;
    forEach([&](const Member& member, std::size_t first, std::size_t index) {
        const TensorMove& move = object_.planned.plan.moves[first + index];
        const bool isReader = move.tensor.name == bias.reader, isScale = move.tensor.name == bias.scale;
        if (!isReader && !isScale) return;
        const MappedTensor& tensor = object_.tensors[first + index];
        const Values values = load(member.file.tensors[index], tensor.axis, *tensorBytes(member.file, index));
        if (isScale) return void(scale = values.values);
        shift = dots(values, offsetOf(*bias.map));
    });
    if (scale.size() == shift.size())
        for (std::size_t k = 0; k < shift.size(); ++k) shift[k] *= std::exp(scale[k]);
    return shift;
}

}  // namespace regauge
