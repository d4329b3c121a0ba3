// Tensors through maps: values are computed in double and rounded once to the tensor's own dtype.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "regauge/map_transport.hpp"
#include "transport/map_roles.hpp"
#include "transport/written_tensors.hpp"

namespace regauge {

// A tensor with one residual axis: [outer, d, inner].
struct AxisValues {
    std::vector<double> values;
    std::size_t outer = 1, d = 1, inner = 1;
    double& at(std::size_t o, std::size_t j, std::size_t i) { return values[(o * d + j) * inner + i]; }
    double at(std::size_t o, std::size_t j, std::size_t i) const { return values[(o * d + j) * inner + i]; }
};

// How strong directions are in the standard deviations of the stream, before and after.
struct Strength {
    double before = 0, after = 0;
    std::size_t count = 0;
};

// Moves the tensors of one object.
class MapMover {
public:
    // Throws Error(unsupported) where a tensor that moves is stored column by column or big-endian.
    MapMover(MappedObject object, const MapTransportOptions& options, std::string where);

    const MappedObject& object() const { return object_; }
    const Strength& strength() const { return strength_; }

    // A tensor of a member after the move; first: how many the members before it have; in: its stored bytes. Throws
    // Error: shapeMismatch, usage (--keep-strength with a map that does not know how far the streams spread).
    Written move(const Member& member, std::size_t first, std::size_t index, const ByteSource& in);

private:
    // A map as matrices of doubles.
    struct Matrices {
        explicit Matrices(const Map& from);
        std::vector<double> m, n, nT;
    };

    using Visitor = std::function<void(const Member& member, std::size_t first, std::size_t index)>;
    void forEach(const Visitor& visit) const;
    void requirePlainRows() const;
    void findPoint();
    const Matrices& of(const Map& map) { return matrices_.try_emplace(&map, map).first->second; }
    std::vector<double> movedBias(const MappedTensor& tensor, const StoredTensor& stored, const ByteSource& in);
    AxisValues moveValues(const MappedTensor& tensor, const AxisValues& in);
    void measure(const Map& map, const AxisValues& in, AxisValues& out);
    std::vector<double> offsetOf(const Map& map);
    std::vector<double> shiftOf(const MappedTensor& bias);

    MappedObject object_;
    const MapTransportOptions& options_;
    std::string where_;
    std::map<const Map*, Matrices> matrices_;
    AxisValues point_{{}, 1, 0, 1};  // the decoder's bias, which some encoders subtract from what they read
    const Map* pointMap_ = nullptr;
    Strength strength_;
};

}  // namespace regauge
