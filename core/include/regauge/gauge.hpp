// A gauge: an element of the signed permutation group B_d, the coordinate change of an RMSNorm residual stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "regauge/tensor.hpp"

namespace regauge {

// How one axis of length d, or a list of channels, moves (paper section 3):
enum class Action {
    odd,    // out[.. i ..] = sign[i] * in[.. perm[i] ..]   weights and activations: what reads or writes the residual
            // stream
    even,   // out[.. i ..] = in[.. perm[i] ..]             RMSNorm gains, second moments
    index,  // j -> perm^-1[j]                              lists of channel numbers
    copy,   // untouched
};
std::string_view name(Action action);

// y = Q x with y[i] = sign[i] * x[perm[i]]: x in source coordinates, y in target coordinates, perm 0-based.
//
//     source   x[0]   x[1]   x[2]        perm = [2, 0, 1]     y[0] = +x[2]
//                                        sign = [+, -, +]     y[1] = -x[0]
//     target   y[0]   y[1]   y[2]                             y[2] = +x[1]
//
// A Gauge that exists is valid: perm is a permutation of 0 .. d-1, every sign is +1, -1 or 0 (undetermined).
class Gauge {
public:
    // Throws Error(invalidGauge) naming the first entry that is wrong. where: the file, for the message.
    Gauge(std::vector<std::uint32_t> perm, std::vector<std::int8_t> sign, const std::string& where = "gauge");
    static Gauge identity(std::size_t d);

    std::size_t d() const noexcept { return perm_.size(); }
    const std::vector<std::uint32_t>& perm() const noexcept { return perm_; }
    const std::vector<std::int8_t>& sign() const noexcept { return sign_; }

    // Q^-1: perm^-1[perm[i]] = i, and the sign goes with its channel.
    Gauge inverse() const;
    // next * this: first this, then next. Throws Error(dimensionMismatch) where d differs.
    Gauge then(const Gauge& next) const;

    bool isIdentity() const noexcept;
    std::size_t signFlips() const noexcept;     // channels with sign -1
    std::size_t undetermined() const noexcept;  // channels with sign 0

    // SHA-256, in hexadecimal, of perm as u32 little-endian followed by sign as i8. The same everywhere.
    std::string fingerprint() const;

    bool operator==(const Gauge&) const = default;

private:
    std::vector<std::uint32_t> perm_;
    std::vector<std::int8_t> sign_;
};

// Moves one axis of a row-major tensor, out of place: bytes are copied and, on an odd axis with sign -1, the sign bit
// is flipped, so every dtype is exact and the inverse gauge gives the input back byte for byte (-0.0 and NaN payloads
// included).
// in, out: prod(shape) elements each, not overlapping. shape[axis] must be gauge.d().
// Throws Error: dimensionMismatch; wrongDtype (odd on a dtype without a sign bit); undeterminedSign (odd with a sign of
// 0).
// O(elements); no allocation beyond O(d).
void moveAxis(const Gauge& gauge, Action action, std::span<const std::byte> in, std::span<std::byte> out, Dtype dtype,
              const Shape& shape, std::size_t axis);

// y[i] = sign[i] * x[perm[i]]; throws as moveAxis does.
std::vector<float> apply(const Gauge& gauge, std::span<const float> x);

// How far two gauges agree, as fractions of d.
struct Agreement {
    double permutation = 0;  // perm[i] equal
    double sign = 0;         // sign[i] equal, whatever perm[i] is
    double both = 0;         // perm[i] and sign[i] equal
};
// Throws Error(dimensionMismatch).
Agreement compare(const Gauge& a, const Gauge& b);

}  // namespace regauge
