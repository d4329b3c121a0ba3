#include "merge/inputs.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string_view>

#include "base/short_list.hpp"
#include "recipes/stream_roles.hpp"
#include "regauge/error.hpp"
#include "transport/move_checks.hpp"

namespace regauge {
namespace {

// Where a configuration has no scaling, it is "default".
constexpr std::string_view ropeType = "rope_scaling.rope_type|rope_scaling.type|rope_parameters.rope_type";

bool isOptimizer(const Member& member) { return member.name == "optimizer.pt" || member.name == "optimizer.bin"; }

// Embedding and unembedding rows are numbered by token: a vocabulary that was extended begins with the shorter one.
bool shareVocabulary(const TensorInfo& a, const TensorInfo& b) {
    const std::optional<StreamRole> role = streamRole(ownName(a.name));
    return a.shape.size() == 2 && b.shape.size() == 2 && a.shape[1] == b.shape[1] &&
           (role == StreamRole::embedding || role == StreamRole::unembedding);
}

// What decides, beside the weights, which function a model computes: each setting by the names that it goes by in
// config.json ("text_config." may stand before them) and among a GGUF file's key-values (behind "llama.").
constexpr std::string_view settings[] = {
    "num_attention_heads|n_head|num_heads|n_heads|attention.head_count",
    "num_key_value_heads|num_kv_heads|attention.head_count_kv",
    "head_dim|attention.key_length",
    "hidden_act",
    "hidden_activation",
    "activation_function",
    "rms_norm_eps|attention.layer_norm_rms_epsilon",
    "layer_norm_eps|layer_norm_epsilon|norm_eps|norm_epsilon|attention.layer_norm_epsilon",
    "rope_theta|rope_parameters.rope_theta|rotary_emb_base|rope.freq_base",
    "rope_local_base_freq",
    "partial_rotary_factor|rope_parameters.partial_rotary_factor|rotary_pct|rotary_dim|rope.dimension_count",
    ropeType,
    "rope_scaling|rope_parameters|rope.scaling",
    "layer_types",
    "query_pre_attn_scalar",
    "attention_multiplier|attention.scale",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "embedding_multiplier|scale_emb|embedding_scale",
    "residual_multiplier|scale_depth|residual_scale",
    "logits_scaling|logit_scale",
    "num_experts_per_tok|moe_top_k|expert_used_count",
    "norm_topk_prob|expert_weights_norm",
    "routed_scaling_factor|expert_weights_scale",
    "tie_word_embeddings"};

// A setting as a configuration says it: its values by what follows its key, so that objects and lists have several.
struct Said {
    std::string key;
    std::map<std::string, std::string> values;
};

std::optional<Said> saidOf(const Config& config, std::string_view setting) {
    std::optional<Said> said;
    const std::string family = config.text("general.architecture").value_or("");
    anyAlternative(setting, [&](std::string_view name) {
        for (const std::string& before : {std::string("text_config."), std::string(), family + "."}) {
            const std::string key = before + std::string(name);
            std::map<std::string, std::string> values = config.below(key + ".");
            if (const auto own = config.text(key)) values[""] = *own;
            if (values.empty()) continue;
            said = Said{key, std::move(values)};
            return true;
        }
        return false;
    });
    if (!said && setting == ropeType && config.has("model_type")) said = Said{"rope_type", {{"", "default"}}};
    return said;
}

// Whether they are the same text or number: 1e-5 is 1e-05.
bool sameValue(const std::string& a, const std::string& b) {
    const auto number = [](const std::string& text) {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        return !text.empty() && *end == '\0' ? std::optional(value) : std::nullopt;
    };
    return a == b || (number(a) && number(a) == number(b));
}

// Throws Error(shapeMismatch) where both say a setting, and say it otherwise.
void requireSameSettings(const MergeInput& a, const MergeInput& other) {
    for (const std::string_view setting : settings) {
        const std::optional<Said> mine = saidOf(a.config, setting), theirs = saidOf(other.config, setting);
        if (!mine || !theirs) continue;
        for (const auto& [more, value] : theirs->values) {
            const auto found = mine->values.find(more);
            if (found == mine->values.end() || found->second == "null" || value == "null" ||
                sameValue(found->second, value))
                continue;
            const std::string behind = more.empty() ? "" : "." + more;
            throw Error(ErrorCode::shapeMismatch, other.path,
                        "has " + theirs->key + behind + " = " + value + ", and " + a.path + " has " + mine->key +
                            behind + " = " + found->second +
                            ": the same weights compute other functions in the two, which have no average");
        }
    }
}

}  // namespace

bool MergeInput::unknown(const Place& place) const {
    const auto& names = planned.plan.unknown;
    return std::find(names.begin(), names.end(), info(place).name) != names.end();
}

std::shared_ptr<const ByteSource> MergeInput::bytes(const Place& place, MoveBuffers& buffers) const {
    const TensorFile& file = planned.files.members[place.member].file;
    if (gauge) return movedTensorBytes(file, place.tensor, planned.plan.moves[place.move].moves, *gauge, buffers);
    return movedTensorBytes(file, place.tensor, {}, Gauge::identity(0), buffers);
}

MergeInput openMergeInput(const Files& files, const std::string& path, const std::optional<Alignment>& gauge,
                          std::size_t d, bool force) {
    const ObjectPath object(files, path);
    MergeInput input{path, planObject(object, {}, d), std::nullopt, {}, {}};
    if (input.planned.blocks)
        throw Error(ErrorCode::unsupported, path,
                    "holds quantised weights in blocks, and merge takes floats; transport --dequantize bf16 makes a "
                    "float model of it");
    if (!input.planned.recipe || !input.planned.recipe->model)
        throw Error(ErrorCode::unsupported, path,
                    "is no checkpoint that regauge knows (" + input.planned.plan.description +
                        "); merge takes Hugging Face checkpoints: a folder, a file or shards");
    const Recipe& recipe = *input.planned.recipe;
    input.config = recipe.header.empty() ? object.config(recipe.config)
                                         : Config::of(input.planned.files.members.front().file.metadata);
    std::size_t move = 0;
    auto& members = input.planned.files.members;
    for (std::size_t m = 0; m < members.size(); ++m)
        for (std::size_t t = 0; t < members[m].file.tensors.size(); ++t, ++move)
            if (!isOptimizer(members[m])) input.places.push_back({m, t, move});
    members.erase(std::remove_if(members.begin(), members.end(), isOptimizer),
                  members.end());  // the last, so the others keep their places
    if (gauge) {
        TransportOptions options;
        options.force = force;
        checkGauge(input.planned, *gauge, path, options);
        checkTensors(input.planned.plan, gauge->gauge, path);
        input.gauge = gauge->gauge;
    }
    return input;
}

std::vector<MergeInput::Place> pairTensors(const MergeInput& a, const MergeInput& other) {
    std::map<std::string, MergeInput::Place, std::less<>> byName;
    for (const MergeInput::Place& place : other.places) byName.emplace(other.info(place).name, place);
    std::vector<MergeInput::Place> pairs;
    std::vector<std::string> missing, extra, different;
    for (const MergeInput::Place& place : a.places) {
        const TensorInfo& mine = a.info(place);
        const auto found = byName.find(mine.name);
        if (found == byName.end()) {
            missing.push_back(mine.name);
            continue;
        }
        const TensorInfo& theirs = other.info(found->second);
        if ((mine.shape != theirs.shape && !shareVocabulary(mine, theirs)) || mine.dtype != theirs.dtype)
            different.push_back(mine.name + " (" + std::string(name(mine.dtype)) + " " + toString(mine.shape) +
                                " against " + std::string(name(theirs.dtype)) + " " + toString(theirs.shape) + ")");
        pairs.push_back(found->second);
        byName.erase(found);
    }
    for (const auto& [tensor, place] : byName) extra.push_back(tensor);
    std::string sentence;
    const auto say = [&](const std::string& what, const std::vector<std::string>& names) {
        if (!names.empty()) sentence += (sentence.empty() ? "" : "; ") + what + shortList(names);
    };
    say("lacks ", missing);
    say("has in addition ", extra);
    say("differs in ", different);
    if (!sentence.empty())
        throw Error(ErrorCode::shapeMismatch, other.path,
                    sentence + "; merging needs the same tensors, shapes and dtypes as " + a.path +
                        " has (convert one of them first)");
    if (a.planned.plan.kind != other.planned.plan.kind)
        throw Error(ErrorCode::shapeMismatch, other.path,
                    "is of the family " + other.planned.plan.kind + ", and " + a.path + " of " + a.planned.plan.kind);
    requireSameSettings(a, other);
    return pairs;
}

}  // namespace regauge
