#include "hidden/kinship.hpp"

#include <algorithm>
#include <cmath>

namespace regauge {
namespace {

// log10 of the sum over j >= k, j <= last, of mean^j / j! times factor(j), relative to its first term so that nothing
// underflows.
template <class Factor>
double log10Tail(std::size_t k, std::size_t last, double mean, const Factor& factor) {
    constexpr double negligible = 1e-18;  // of the sum
    double first = 0;
    for (std::size_t j = 1; j <= k; ++j) first += std::log10(mean / static_cast<double>(j));
    double sum = 0, term = 1;
    for (std::size_t j = k; j <= last; ++j) {
        sum += term * factor(j);
        term *= mean / static_cast<double>(j + 1);
        if (static_cast<double>(j) > mean && term < negligible * sum) break;
    }
    return std::min(0.0, first + std::log10(sum));
}

}  // namespace

double log10ChanceOfIdentity(std::size_t k, std::size_t n, unsigned signs) {
    const double mean = 1.0 / signs;
    // That none of the other n - j places is kept.
    const auto noneOf = [&](std::size_t j) {
        double sum = 0, term = 1;
        for (std::size_t i = 0; i <= n - j && std::fabs(term) > 0; ++i) {
            sum += term;
            term *= -mean / static_cast<double>(i + 1);
        }
        return sum;
    };
    return log10Tail(k, n, mean, noneOf);
}

HiddenReport::Identity channelIdentity(const Alignment& alignment) {
    const Gauge& gauge = alignment.gauge;
    const unsigned signs = alignment.group == Group::signedPermutation ? 2 : 1;
    HiddenReport::Identity identity;
    identity.of = gauge.d();
    for (std::size_t i = 0; i < gauge.d(); ++i)
        identity.agreeing += gauge.perm()[i] == i && gauge.sign()[i] == 1 ? 1 : 0;
    identity.log10Chance = log10ChanceOfIdentity(identity.agreeing, identity.of, signs);
    return identity;
}

HiddenReport::Identity neuronIdentity(const HiddenGauge& hidden) {
    HiddenReport::Identity identity;
    for (const HiddenLayer& layer : hidden.layers())
        for (std::size_t i = 0; i < layer.neurons.size(); ++i)
            identity.agreeing += layer.neurons[i] == i && layer.neuronSign[i] == 1 ? 1 : 0;
    const std::size_t layers = hidden.shape().layers;
    identity.of = layers * hidden.shape().neurons;
    if (layers == 1) {
        identity.log10Chance = log10ChanceOfIdentity(identity.agreeing, identity.of, 2);
        return identity;
    }
    const double mean = static_cast<double>(layers) / 2;
    const double none = std::exp(-mean);
    identity.log10Chance = log10Tail(identity.agreeing, identity.of + layers, mean, [&](std::size_t) { return none; });
    return identity;
}

}  // namespace regauge
