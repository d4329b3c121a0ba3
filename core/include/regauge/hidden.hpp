// The hidden gauge: what a transformer leaves free beside its residual stream. Per layer: the order, signs and scales
// of MLP neurons; the order of attention heads within their key-value groups; a turn of queries and keys in every RoPE
// plane; an invertible matrix between values and outputs. (docs/hidden.md: the mathematics.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/match.hpp"
#include "regauge/progress.hpp"
#include "regauge/transport.hpp"

namespace regauge {

// The sizes that a hidden gauge acts on. Query head h reads key-value head h / (heads / kvHeads).
struct HiddenShape {
    std::size_t layers = 0;
    std::size_t neurons = 0;  // of one MLP
    std::size_t heads = 0, kvHeads = 0;
    std::size_t headDim = 0;  // 0: not said, where heads only change places
    std::size_t pairs = 0;    // RoPE planes of a head: channels (k, k + pairs); those behind 2 * pairs are not turned
    std::size_t free() const { return headDim - 2 * pairs; }  // the width of what RoPE does not turn
    std::size_t perGroup() const { return heads / kvHeads; }
    bool operator==(const HiddenShape&) const = default;
};

// How sure each unit of one kind is, by the target's places.
struct HiddenScores {
    std::vector<double> score;       // similarity of the matched pair, -1 .. 1
    std::vector<double> margin;      // how far it stands above the best alternative
    std::vector<double> confidence;  // probability that it is matched right
};

// One layer: target = H(source), the source's unit at the target's place i, as with a Gauge:
//
//     gate[i]  =                  gate[neurons[i]]
//     up[i]    = scale[i] *       up[neurons[i]]           scale[i] = neuronSign[i] * neuronScale[i]
//     down[i]  =                  down[neurons[i]] / scale[i]
//     key[g]   = Z[g] *           key[kvHeads[g]]          Z: a complex number z for each RoPE plane, any invertible
//     query[h] = Z[g]^-T *        query[heads[h]]          matrix on the channels that are not turned; g of h
//     value[g] = M[g] *           value[kvHeads[g]]
//     output[h] =                 output[heads[h]] M[g]^-1
//
// Empty lists stand for what is nothing but identity: neuronScale, turn, freeKeys, value.
struct HiddenLayer {
    std::vector<std::uint32_t> neurons;     // [neurons]
    std::vector<std::int8_t> neuronSign;    // [neurons], +1 or -1
    std::vector<float> neuronScale;         // [neurons], > 0
    std::vector<std::uint32_t> kvHeads;     // [kvHeads]
    std::vector<std::uint32_t> heads;       // [heads]; heads[h] is in the group kvHeads[group of h]
    std::vector<float> turn;                // [kvHeads, pairs, 2]: real and imaginary part of z
    std::vector<float> freeKeys;            // [kvHeads, free, free]
    std::vector<float> value;               // [kvHeads, headDim, headDim]
    HiddenScores neuronScores, headScores;  // empty where nobody judged
};

// A HiddenGauge that exists is valid: lists have their lengths, permutations are permutations, heads stay with their
// groups, scales and turns are not zero, matrices can be inverted.
class HiddenGauge {
public:
    // Throws Error(invalidGauge) naming the layer and what is wrong in it.
    HiddenGauge(const HiddenShape& shape, std::vector<HiddenLayer> layers, const std::string& where = "hidden gauge");
    static HiddenGauge identity(const HiddenShape& shape);

    const HiddenShape& shape() const noexcept { return shape_; }
    const std::vector<HiddenLayer>& layers() const noexcept { return layers_; }

    HiddenGauge inverse() const;
    // next * this: first this, then next. Throws Error(dimensionMismatch) where shapes differ.
    HiddenGauge then(const HiddenGauge& next) const;

    bool isIdentity() const;
    // SHA-256 in hexadecimal of every layer's lists in their order above: u32, i8 and f32, little-endian.
    std::string fingerprint() const;

private:
    HiddenShape shape_;
    std::vector<HiddenLayer> layers_;
};

inline constexpr double sureHidden = 0.5;  // a unit with less confidence is undetermined
// The share of units of one kind, &HiddenLayer::neuronScores or headScores, that are sure, over all of these layers;
// nothing where nobody judged them.
std::optional<double> shareSure(std::span<const HiddenLayer> layers, HiddenScores HiddenLayer::*kind);

// How far two hidden gauges agree, as shares of all layers' units.
struct HiddenAgreement {
    double neurons = 0;  // place and sign
    double heads = 0;    // query heads
    double kvHeads = 0;
};
// Throws Error(dimensionMismatch).
HiddenAgreement compare(const HiddenGauge& a, const HiddenGauge& b);

// What `align --hidden` found out beside the gauges.
struct HiddenReport {
    std::size_t rounds = 0;         // of matching hidden units
    double start = 0, measure = 0;  // mean score of all units before the first round of fresh residual evidence, and of
                                    // what is returned; never lower
    struct Layer {
        double neuronsSure = 0, headsSure = 0;  // shares, as shareSure says
        double explained = 0;                   // share of the target layer's squared weights that the source explains
        double neuronAgreement = 0;             // of the answers of gate rows alone and of up and down alone
        double headAgreement = 0;               // of the answers of query and key alone and of value and output alone
    };
    std::vector<Layer> layers;
    double explained = 0;  // of all layers together

    // How many units stand where the identity has them, with its sign, and how likely an independent model would agree
    // on so many: training commutes with the gauge, so an independent model's gauge is as likely any other.
    struct Identity {
        std::size_t agreeing = 0, of = 0;
        double log10Chance = 0;  // 0 = certain
    };
    Identity channelIdentity;  // of the residual stream; of = 0 where the residual gauge was given
    Identity neuronIdentity;   // of all layers
};

// log10 of the probability that a uniformly random permutation of n places, each with one of `signs` signs (1 or 2),
// keeps at least k places with their signs: the sum over j >= k of 1 / (s^j j!) sum_{i <= n-j} (-1)^i / (s^i i!).
double log10ChanceOfIdentity(std::size_t k, std::size_t n, unsigned signs);

// Both gauges of a pair.
struct HiddenAlignment {
    Alignment residual;
    HiddenGauge hidden;
    HiddenReport report;
};

// The residual gauge and the hidden gauge between two Hugging Face checkpoints (safetensors: a folder, a file or
// shards, with config.json) of one architecture: residual first, then hidden units by what is invariant under their
// freedom, then round again with the rows of sure neurons as evidence, while the measure does not fall. Throws Error:
// unsupported (a family whose hidden freedom is not known here, by name; other formats; layers that turn other shares
// of their heads), missingFile (config.json), malformed (a tensor or setting is missing), shapeMismatch, wrongDtype,
// notFinite (weights), dimensionMismatch (another architecture), tooLarge (more numbers than gauge files hold), and
// those of openEvidence and match.
HiddenAlignment matchHidden(const Files& files, const std::string& source, const std::string& target,
                            const MatchOptions& options = {}, const Progress& progress = {});

// The hidden gauge alone, the residual gauge being known (source to target; an open sign counts as plus). Throws as
// above, but for openEvidence and match.
HiddenGauge matchHidden(const Files& files, const std::string& source, const std::string& target, const Gauge& residual,
                        unsigned threads, HiddenReport* report = nullptr, const Progress& progress = {});

// The hidden part of a gauge file (docs/gauge-format.md), which stands under "hidden"; nothing where there is none.
// Throws Error: malformed, unsupported (a later version), invalidGauge (also where its fingerprint disagrees),
// tooLarge. (gauge_file.hpp reads and writes both parts.)
std::optional<HiddenGauge> parseHidden(std::string_view text, const std::string& where);

// The files as they are after the hidden axes of the model's tensors moved by `hidden`: names, headers and all other
// bytes as they were, tensors computed as they are read, in every .safetensors file of `object` (those that lie in a
// folder, the shards that an index lists, or one file): checkpoints, shards, LoRA adapters. Permutations and signs are
// exact to the bit; scales, turns and matrices are computed in double and rounded once to the tensor's own type.
// `files` and `hidden` must outlive it. Throws Error: missingFile, dimensionMismatch (a config.json of other layers,
// heads or head_dim than the gauge's). Opening a file throws Error: unsupported (a tensor with a hidden axis that is
// not known to move, by name; such tensors in other formats), wrongDtype, shapeMismatch. Throws for an index as
// openCheckpointFiles does.
std::unique_ptr<Files> movedHidden(Files& files, const HiddenGauge& hidden, const std::string& object);

// Transport by both gauges of a pair, as `transport` does by the residual one: checkpoints and LoRA adapters in any
// format whose tensors have their parameters' names, and optimizer state: first moments as gradients do (M^-T of what
// moves their weights by M), squares of gradients where channels change places, signs and scales and do not mix. The
// hidden gauge's fingerprint is recorded beside the residual one's.
// Lists, vectors, probes and SAEs on MLP neurons or on heads move with the neurons or heads of their layer: those that
// name their hook, and those whose `site` ("blocks.3.mlp.hook_post", "blocks.3.attn.hook_z") is given; "": as the
// object says, or in the residual stream. Throws Error as `transport`, dimensionMismatch also where config.json is of
// another shape than the gauge, and unsupported: a tensor with a hidden axis that is not known to move, by name; an
// object on units that the gauge scales or whose channels it mixes, or at a place that is none of these.
Plan transport(Files& files, const std::string& object, const Alignment& residual, const HiddenGauge& hidden,
               const std::string& out, const std::string& site = "", const TransportOptions& options = {},
               const Progress& progress = {});

}  // namespace regauge
