#include "regauge/gauge.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/sha256.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

void requireSameWidth(std::size_t a, std::size_t b) {
    if (a != b)
        throw Error(ErrorCode::dimensionMismatch, "",
                    "the gauges act on different widths, d = " + std::to_string(a) + " and d = " + std::to_string(b));
}

}  // namespace

std::string_view name(Action action) {
    switch (action) {
        case Action::odd: return "odd";
        case Action::even: return "even";
        case Action::index: return "index";
        case Action::copy: return "copy";
    }
    return "copy";
}

Gauge::Gauge(std::vector<std::uint32_t> perm, std::vector<std::int8_t> sign, const std::string& where)
    : perm_(std::move(perm)), sign_(std::move(sign)) {
    if (perm_.size() != sign_.size())
        throw Error(ErrorCode::invalidGauge, where,
                    "perm has " + std::to_string(perm_.size()) + " entries and sign has " +
                        std::to_string(sign_.size()) + "; both must have d");
    std::vector<bool> seen(perm_.size());
    for (std::size_t i = 0; i < perm_.size(); ++i) {
        if (perm_[i] >= perm_.size())
            throw Error(ErrorCode::invalidGauge, where,
                        "perm[" + std::to_string(i) + "] is " + std::to_string(perm_[i]) +
                            ", beyond d = " + std::to_string(perm_.size()));
        if (seen[perm_[i]])
            throw Error(ErrorCode::invalidGauge, where,
                        "perm names channel " + std::to_string(perm_[i]) + " twice (again at entry " +
                            std::to_string(i) + "); it must be a permutation");
        seen[perm_[i]] = true;
        if (sign_[i] != 1 && sign_[i] != -1 && sign_[i] != 0)
            throw Error(ErrorCode::invalidGauge, where,
                        "sign[" + std::to_string(i) + "] is " + std::to_string(sign_[i]) +
                            "; it must be 1, -1 or 0 (undetermined)");
    }
}

Gauge Gauge::identity(std::size_t d) {
    std::vector<std::uint32_t> perm(d);
    std::iota(perm.begin(), perm.end(), 0U);
    return Gauge(std::move(perm), std::vector<std::int8_t>(d, 1));
}

Gauge Gauge::inverse() const {
    std::vector<std::uint32_t> perm(d());
    std::vector<std::int8_t> sign(d());
    for (std::size_t i = 0; i < d(); ++i) {
        perm[perm_[i]] = static_cast<std::uint32_t>(i);
        sign[perm_[i]] = sign_[i];
    }
    return Gauge(std::move(perm), std::move(sign));
}

Gauge Gauge::then(const Gauge& next) const {
    requireSameWidth(d(), next.d());
    std::vector<std::uint32_t> perm(d());
    std::vector<std::int8_t> sign(d());
    for (std::size_t i = 0; i < d(); ++i) {
        perm[i] = perm_[next.perm_[i]];
        sign[i] = static_cast<std::int8_t>(next.sign_[i] * sign_[next.perm_[i]]);
    }
    return Gauge(std::move(perm), std::move(sign));
}

bool Gauge::isIdentity() const noexcept {
    for (std::size_t i = 0; i < d(); ++i)
        if (perm_[i] != i || sign_[i] != 1) return false;
    return true;
}

std::size_t Gauge::signFlips() const noexcept {
    return static_cast<std::size_t>(std::ranges::count(sign_, std::int8_t{-1}));
}

std::size_t Gauge::undetermined() const noexcept {
    return static_cast<std::size_t>(std::ranges::count(sign_, std::int8_t{0}));
}

std::string Gauge::fingerprint() const {
    std::vector<std::byte> bytes;
    bytes.reserve(5 * d());
    for (const std::uint32_t channel : perm_)
        for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<std::byte>(channel >> shift));
    for (const std::int8_t s : sign_) bytes.push_back(static_cast<std::byte>(s));
    Sha256 hash;
    hash.update(bytes);
    return hash.hex();
}

std::vector<float> apply(const Gauge& gauge, std::span<const float> x) {
    std::vector<float> y(x.size());
    moveAxis(gauge, Action::odd, std::as_bytes(x), std::as_writable_bytes(std::span(y)), Dtype::F32, {x.size()}, 0);
    return y;
}

Agreement compare(const Gauge& a, const Gauge& b) {
    requireSameWidth(a.d(), b.d());
    if (a.d() == 0) return {1, 1, 1};
    std::size_t permutation = 0, sign = 0, both = 0;
    for (std::size_t i = 0; i < a.d(); ++i) {
        const bool samePlace = a.perm()[i] == b.perm()[i], sameSign = a.sign()[i] == b.sign()[i];
        permutation += samePlace;
        sign += sameSign;
        both += samePlace && sameSign;
    }
    const auto share = [&](std::size_t count) { return static_cast<double>(count) / static_cast<double>(a.d()); };
    return {share(permutation), share(sign), share(both)};
}

}  // namespace regauge
