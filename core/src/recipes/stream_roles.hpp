// What the recipes say of names, for all that read names: the roles of a checkpoint's weights, other streams' modules,
// and hooks that are not in the residual stream.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace regauge {

// What a model's parameter is to the residual stream.
enum class StreamRole {
    embedding,    // [vocabulary, d], writes
    unembedding,  // [vocabulary, d], reads
    gains,        // [d], a norm's
    reads,        // [n, d]: its rows are in the stream
    writes        // [d, n]: its columns are (GPT-2 stores what reads like this, too)
};

// The role of a parameter by its own name (ownName), as the tables of the model families have it; of weights inside
// layers, those that every model of some family must have. By name and never by length: OLMo2's q_norm is as long as
// the stream is wide, and lives in head space.
std::optional<StreamRole> streamRole(std::string_view ownName);

// Whether a tensor's name, as stored, is of a module with a stream of its own: a vision or audio tower.
bool ofOtherStream(std::string_view name);

// "head space": what a hook is instead of residual coordinates. Nothing where it is residual, or nobody knows.
std::optional<std::string> otherSpace(std::string_view hook);

}  // namespace regauge
