// The group of hidden gauges: checked construction, inverse, composition, comparison, fingerprint.
#include <algorithm>
#include <bit>
#include <complex>
#include <numeric>
#include <span>
#include <utility>

#include "base/all_finite.hpp"
#include "base/sha256.hpp"
#include "hidden/small_matrix.hpp"
#include "io/bytes.hpp"
#include "regauge/error.hpp"
#include "regauge/hidden.hpp"

namespace regauge {
namespace {

using Permutation = std::vector<std::uint32_t>;
using Complex = std::complex<double>;

Permutation counting(std::size_t n) {
    Permutation perm(n);
    std::iota(perm.begin(), perm.end(), 0U);
    return perm;
}

bool isPermutation(const Permutation& perm, std::size_t n) {
    std::vector<bool> seen(n, false);
    for (const std::uint32_t entry : perm) {
        if (entry >= n || seen[entry]) return false;
        seen[entry] = true;
    }
    return perm.size() == n;
}

Permutation inverted(const Permutation& perm) {
    Permutation result(perm.size());
    for (std::size_t i = 0; i < perm.size(); ++i) result[perm[i]] = static_cast<std::uint32_t>(i);
    return result;
}

// out[i] = values[from[i]]; nothing of nothing.
template <class Value>
std::vector<Value> gathered(const std::vector<Value>& values, const Permutation& from) {
    std::vector<Value> out;
    if (!values.empty())
        for (const std::uint32_t i : from) out.push_back(values[i]);
    return out;
}

HiddenScores gathered(const HiddenScores& scores, const Permutation& from) {
    return {gathered(scores.score, from), gathered(scores.margin, from), gathered(scores.confidence, from)};
}

// The weaker of two, in the second's places; the one there is, where there is one.
HiddenScores weaker(const HiddenScores& first, const HiddenScores& next, const Permutation& from) {
    HiddenScores out = gathered(first, from);
    const auto lower = [](std::vector<double>& a, const std::vector<double>& b) {
        if (a.empty()) a = b;
        for (std::size_t i = 0; i < b.size(); ++i) a[i] = std::min(a[i], b[i]);
    };
    lower(out.score, next.score), lower(out.margin, next.margin), lower(out.confidence, next.confidence);
    return out;
}

std::span<const float> block(const std::vector<float>& matrices, std::size_t index, std::size_t n) {
    return std::span(matrices).subspan(index * n * n, n * n);
}

// What is wrong with a layer; empty where nothing is.
std::string fault(const HiddenLayer& layer, const HiddenShape& shape) {
    const std::uint64_t kvHeads = shape.kvHeads;  // so that no product of lengths overflows 32 bits
    const auto lengths = [&](const std::vector<float>& list, std::uint64_t length) {
        return (list.empty() || list.size() == length) && allFinite(list);
    };
    const auto invertible = [&](const std::vector<float>& list, std::size_t n) {
        for (std::size_t g = 0; !list.empty() && g < shape.kvHeads; ++g)
            if (!small::inverse(small::widened(block(list, g, n)), n)) return false;
        return true;
    };
    if (!isPermutation(layer.neurons, shape.neurons)) return "\"neurons\" is no permutation of the layer's neurons";
    if (layer.neuronSign.size() != shape.neurons ||
        !std::ranges::all_of(layer.neuronSign, [](std::int8_t sign) { return sign == 1 || sign == -1; }))
        return "\"neuron_sign\" must hold +1 or -1 for every neuron";
    if (!lengths(layer.neuronScale, shape.neurons) ||
        !std::ranges::all_of(layer.neuronScale, [](float scale) { return scale > 0; }))
        return "\"neuron_scale\" must hold a positive number for every neuron";
    if (!isPermutation(layer.kvHeads, shape.kvHeads)) return "\"kv_heads\" is no permutation of the key-value heads";
    if (!isPermutation(layer.heads, shape.heads)) return "\"heads\" is no permutation of the query heads";
    for (std::size_t h = 0; h < shape.heads; ++h)
        if (layer.heads[h] / shape.perGroup() != layer.kvHeads[h / shape.perGroup()])
            return "\"heads\"[" + std::to_string(h) + "] is not in the group that \"kv_heads\" says";
    if (!lengths(layer.turn, kvHeads * shape.pairs * 2))
        return "\"turn\" must hold two finite numbers for every RoPE plane of every key-value head";
    for (std::size_t k = 0; k + 1 < layer.turn.size(); k += 2)
        if (layer.turn[k] == 0 && layer.turn[k + 1] == 0) return "\"turn\" holds a zero, which cannot be undone";
    if (!lengths(layer.freeKeys, kvHeads * shape.free() * shape.free()) || !invertible(layer.freeKeys, shape.free()))
        return "\"free_keys\" must hold an invertible matrix for every key-value head";
    if (!lengths(layer.value, kvHeads * shape.headDim * shape.headDim) || !invertible(layer.value, shape.headDim))
        return "\"value\" must hold an invertible matrix for every key-value head";
    for (const auto& [scores, units] :
         {std::pair(&layer.neuronScores, shape.neurons), std::pair(&layer.headScores, shape.heads)})
        for (const std::vector<double>* list : {&scores->score, &scores->margin, &scores->confidence})
            if (!list->empty() && list->size() != units)
                return "its scores must hold one number for every neuron and head";
    return "";
}

// Matrices one after another, of key-value heads: fn(g, out) writes the n x n matrix of head g.
template <class Fn>
std::vector<float> matrices(std::size_t count, const Fn& fn) {
    std::vector<float> all;
    for (std::size_t g = 0; g < count; ++g) {
        const std::vector<float> one = small::narrowed(fn(g));
        all.insert(all.end(), one.begin(), one.end());
    }
    return all;
}

std::vector<float> invertedMatrices(const std::vector<float>& list, std::size_t n, const Permutation& from) {
    if (list.empty()) return {};
    return matrices(from.size(),
                    [&](std::size_t g) { return *small::inverse(small::widened(block(list, from[g], n)), n); });
}

std::vector<float> composedMatrices(const std::vector<float>& first, const std::vector<float>& next, std::size_t n,
                                    const Permutation& from) {
    if (first.empty() && next.empty()) return {};
    return matrices(from.size(), [&](std::size_t g) {
        const small::Matrix a = next.empty() ? small::identity(n) : small::widened(block(next, g, n)),
                            b = first.empty() ? small::identity(n) : small::widened(block(first, from[g], n));
        return small::product(a, b, n, n, n);
    });
}

Complex turnAt(const std::vector<float>& turn, std::size_t index) {
    return turn.empty() ? Complex(1) : Complex(turn[2 * index], turn[2 * index + 1]);
}

// By the sums that node/src/hidden.ts has: a complex quotient rounds as each compiler's library does.
Complex reciprocal(const Complex& z) {
    const double square = z.real() * z.real() + z.imag() * z.imag();
    return {z.real() / square, -z.imag() / square};
}

// fn(g, k) for every plane.
template <class Fn>
std::vector<float> turns(const HiddenShape& shape, const Fn& fn) {
    std::vector<float> all;
    for (std::size_t g = 0; g < shape.kvHeads; ++g)
        for (std::size_t k = 0; k < shape.pairs; ++k) {
            const Complex z = fn(g, k);
            all.push_back(static_cast<float>(z.real())), all.push_back(static_cast<float>(z.imag()));
        }
    return all;
}

template <class Value>
void addTo(Sha256& hash, const std::vector<Value>& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(Value));
    for (std::size_t i = 0; i < values.size(); ++i) {
        std::byte* to = &bytes[i * sizeof(Value)];
        if constexpr (std::is_same_v<Value, float>)
            storeLittle(std::bit_cast<std::uint32_t>(values[i]), to);
        else
            storeLittle(values[i], to);
    }
    hash.update(bytes);
}

void requireSameShape(const HiddenGauge& a, const HiddenGauge& b) {
    if (!(a.shape() == b.shape()))
        throw Error(ErrorCode::dimensionMismatch, "",
                    "the hidden gauges are of models of different shapes: " + std::to_string(a.shape().layers) +
                        " layers of " + std::to_string(a.shape().neurons) + " neurons against " +
                        std::to_string(b.shape().layers) + " of " + std::to_string(b.shape().neurons));
}

}  // namespace

HiddenGauge::HiddenGauge(const HiddenShape& shape, std::vector<HiddenLayer> layers, const std::string& where)
    : shape_(shape), layers_(std::move(layers)) {
    if (shape.kvHeads == 0 || shape.heads % shape.kvHeads != 0 || 2 * shape.pairs > shape.headDim)
        throw Error(ErrorCode::invalidGauge, where, "the hidden part's head counts do not fit together");
    if (layers_.size() != shape.layers)
        throw Error(ErrorCode::invalidGauge, where,
                    "the hidden part has " + std::to_string(layers_.size()) + " layers, and says it has " +
                        std::to_string(shape.layers));
    for (std::size_t l = 0; l < layers_.size(); ++l)
        if (const std::string what = fault(layers_[l], shape); !what.empty())
            throw Error(ErrorCode::invalidGauge, where, "hidden layer " + std::to_string(l) + ": " + what);
}

HiddenGauge HiddenGauge::identity(const HiddenShape& shape) {
    HiddenLayer layer;
    layer.neurons = counting(shape.neurons);
    layer.neuronSign.assign(shape.neurons, 1);
    layer.kvHeads = counting(shape.kvHeads);
    layer.heads = counting(shape.heads);
    return HiddenGauge(shape, std::vector<HiddenLayer>(shape.layers, layer));
}

HiddenGauge HiddenGauge::inverse() const {
    std::vector<HiddenLayer> result;
    for (const HiddenLayer& layer : layers_) {
        HiddenLayer back;
        back.neurons = inverted(layer.neurons);
        back.neuronSign = gathered(layer.neuronSign, back.neurons);
        back.neuronScale = gathered(layer.neuronScale, back.neurons);
        for (float& scale : back.neuronScale) scale = 1 / scale;
        back.kvHeads = inverted(layer.kvHeads);
        back.heads = inverted(layer.heads);
        if (!layer.turn.empty())
            back.turn = turns(shape_, [&](std::size_t g, std::size_t k) {
                return reciprocal(turnAt(layer.turn, back.kvHeads[g] * shape_.pairs + k));
            });
        back.freeKeys = invertedMatrices(layer.freeKeys, shape_.free(), back.kvHeads);
        back.value = invertedMatrices(layer.value, shape_.headDim, back.kvHeads);
        back.neuronScores = gathered(layer.neuronScores, back.neurons);
        back.headScores = gathered(layer.headScores, back.heads);
        result.push_back(std::move(back));
    }
    return HiddenGauge(shape_, std::move(result));
}

HiddenGauge HiddenGauge::then(const HiddenGauge& next) const {
    requireSameShape(*this, next);
    std::vector<HiddenLayer> result;
    for (std::size_t l = 0; l < layers_.size(); ++l) {
        const HiddenLayer &a = layers_[l], &b = next.layers_[l];
        HiddenLayer both;
        both.neurons = gathered(a.neurons, b.neurons);
        both.neuronSign = gathered(a.neuronSign, b.neurons);
        for (std::size_t i = 0; i < shape_.neurons; ++i)
            both.neuronSign[i] = static_cast<std::int8_t>(both.neuronSign[i] * b.neuronSign[i]);
        both.neuronScale = a.neuronScale.empty() ? b.neuronScale : gathered(a.neuronScale, b.neurons);
        if (!a.neuronScale.empty() && !b.neuronScale.empty())
            for (std::size_t i = 0; i < shape_.neurons; ++i) both.neuronScale[i] *= b.neuronScale[i];
        both.kvHeads = gathered(a.kvHeads, b.kvHeads);
        both.heads = gathered(a.heads, b.heads);
        if (!a.turn.empty() || !b.turn.empty())
            both.turn = turns(shape_, [&](std::size_t g, std::size_t k) {
                return turnAt(b.turn, g * shape_.pairs + k) * turnAt(a.turn, b.kvHeads[g] * shape_.pairs + k);
            });
        both.freeKeys = composedMatrices(a.freeKeys, b.freeKeys, shape_.free(), b.kvHeads);
        both.value = composedMatrices(a.value, b.value, shape_.headDim, b.kvHeads);
        both.neuronScores = weaker(a.neuronScores, b.neuronScores, b.neurons);
        both.headScores = weaker(a.headScores, b.headScores, b.heads);
        result.push_back(std::move(both));
    }
    return HiddenGauge(shape_, std::move(result));
}

bool HiddenGauge::isIdentity() const {
    const HiddenGauge other = identity(shape_);
    return std::ranges::equal(layers_, other.layers_, [](const HiddenLayer& a, const HiddenLayer& b) {
        return a.neurons == b.neurons && a.neuronSign == b.neuronSign && a.kvHeads == b.kvHeads && a.heads == b.heads &&
               a.neuronScale.empty() && a.turn.empty() && a.freeKeys.empty() && a.value.empty();
    });
}

std::string HiddenGauge::fingerprint() const {
    Sha256 hash;
    for (const HiddenLayer& layer : layers_) {
        addTo(hash, layer.neurons), addTo(hash, layer.neuronSign), addTo(hash, layer.neuronScale);
        addTo(hash, layer.kvHeads), addTo(hash, layer.heads);
        addTo(hash, layer.turn), addTo(hash, layer.freeKeys), addTo(hash, layer.value);
    }
    return hash.hex();
}

HiddenAgreement compare(const HiddenGauge& a, const HiddenGauge& b) {
    requireSameShape(a, b);
    std::size_t neurons = 0, heads = 0, kvHeads = 0;
    const HiddenShape& shape = a.shape();
    for (std::size_t l = 0; l < shape.layers; ++l) {
        const HiddenLayer &x = a.layers()[l], &y = b.layers()[l];
        for (std::size_t i = 0; i < shape.neurons; ++i)
            neurons += x.neurons[i] == y.neurons[i] && x.neuronSign[i] == y.neuronSign[i] ? 1 : 0;
        for (std::size_t h = 0; h < shape.heads; ++h) heads += x.heads[h] == y.heads[h] ? 1 : 0;
        for (std::size_t g = 0; g < shape.kvHeads; ++g) kvHeads += x.kvHeads[g] == y.kvHeads[g] ? 1 : 0;
    }
    const auto share = [&](std::size_t count, std::size_t each) {
        return each * shape.layers == 0 ? 1 : static_cast<double>(count) / static_cast<double>(each * shape.layers);
    };
    return {share(neurons, shape.neurons), share(heads, shape.heads), share(kvHeads, shape.kvHeads)};
}

}  // namespace regauge
