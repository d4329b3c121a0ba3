// Claims about channels, and how transport itself moves them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "regauge/gauge.hpp"
#include "regauge/io/byte_source.hpp"

namespace regauge {

// What is said of every channel: how much, and with which sign (0: none is stated).
struct Claim {
    std::vector<double> magnitude;  // [d], >= 0
    std::vector<std::int8_t> sign;  // [d]
    bool operator==(const Claim&) const = default;
};

// The claim in the moved model, by the definition: y[i] = sign[i] * x[perm[i]].
Claim truth(const Claim& claim, const Gauge& gauge);

// An object's claims.
class Claims {
public:
    virtual ~Claims() = default;
    virtual std::size_t d() const = 0;
    virtual std::string description() const = 0;
    virtual std::vector<Claim> stated() const = 0;
    virtual std::vector<Claim> moved(const Gauge& gauge) const = 0;  // by the code that `transport` runs
};

// Throws Error as audit does. kind: overrides recognition by content. d: 0 where it is not known.
std::unique_ptr<Claims> openClaims(const Files& files, const std::string& object,
                                   const std::optional<std::string>& kind, std::size_t d);
// The same of vectors alone: a few numbers are no list of channels.
std::unique_ptr<Claims> openVectors(const Files& files, const std::string& object,
                                    const std::optional<std::string>& kind, std::size_t d);

}  // namespace regauge
