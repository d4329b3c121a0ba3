#include "transport/map_roles.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/float_blocks.hpp"
#include "io/bytes.hpp"
#include "regauge/error.hpp"
#include "transport/channel_list.hpp"

namespace regauge {
namespace {

using Role = MappedTensor::Role;

// What the recipes' own words for a residual axis mean under a map, by how they begin; the first that fits counts.
// What is not here cannot move.
struct Words {
    std::string_view begin;
    Role role;
};
constexpr std::array<Words, 19> roles{{
    {"reads the residual stream and writes it", Role::copy},  // refused below
    {"reads the residual stream, in each", Role::copy},
    {"reads the residual stream, for each", Role::copy},
    {"writes the residual stream at", Role::copy},
    {"writes the residual stream, ", Role::copy},
    {"a point of the residual stream, ", Role::copy},
    {"residual activations, normalised", Role::copy},
    {"residual coordinates of a prompt", Role::point},
    {"reads the residual stream", Role::reader},
    {"writes the residual stream", Role::direction},
    {"added to the residual stream", Role::direction},
    {"a direction in", Role::direction},
    {"directions in", Role::direction},
    {"a layer's directions", Role::direction},
    {"a layer's residual coordinates", Role::direction},
    {"a difference of residual", Role::direction},
    {"its last axis is", Role::direction},
    {"a point of the residual stream", Role::point},
    {"a mean of residual", Role::point},
}};
constexpr std::string_view activationWords = "residual activations";

Role roleOf(const std::string& why) {
    for (const Words& words : roles)
        if (why.starts_with(words.begin)) return words.role;
    return why.starts_with(activationWords) ? Role::point : Role::copy;
}

// A reader, a bias beside it, and what multiplies its offset on the way there.
struct Partner {
    std::string_view reader, bias, scale;
};
constexpr std::array<Partner, 14> partners{{
    {"W_enc", "b_enc", ""},
    {"W_enc", "b_gate", ""},
    {"W_enc", "b_mag", "r_mag"},
    {"w_enc", "b_enc", ""},
    {"encoder.weight", "encoder.bias", ""},
    {"encoder.weight", "b_enc", ""},
    {"encoder.weight", "gate_bias", ""},
    {"encoder.weight", "mag_bias", "r_mag"},
    {"encoder_glu.weight", "encoder_glu.bias", ""},
    {"coef_", "intercept_", ""},
    {"weight", "bias", ""},
    {"linear.weight", "linear.bias", ""},
    {"probe.weight", "probe.bias", ""},
    {"W_enc", "encoder.bias", ""},
}};

[[noreturn]] void refuse(const std::string& object, const std::string& sentence) {
    throw Error(ErrorCode::unsupported, object, sentence);
}

constexpr std::string_view byGauge =
    "; find one with 'regauge align SOURCE TARGET -o gauge.json', and move it with --gauge";

// Objects that only a gauge can move.
void refuseKind(const PlannedObject& planned, const std::string& object) {
    const Recipe& recipe = *planned.recipe;
    if (recipe.model || recipe.namesParameters)
        refuse(object,
               "is a checkpoint (" + recipe.title +
                   "): its norms and gains act channel by channel, so it needs a signed permutation (a rotation "
                   "only where the gains are folded into the weights, which this does not do)" +
                   std::string(byGauge));
    if (recipe.optimizer)
        refuse(object,
               "is optimizer state, whose second moments belong to single channels, so it needs a signed "
               "permutation" +
                   std::string(byGauge));
    if (recipe.aboutParameters)
        refuse(object, "is an adapter (" + recipe.title +
                           "), a change of one model's own weights: heads, neurons and gains must correspond, so it "
                           "needs a signed permutation" +
                           std::string(byGauge));
}

// The last number in a name or site, e.g. 12 in "direction.12" and "blocks.12.hook_resid_post".
std::optional<std::uint64_t> layerOf(std::string_view name, std::size_t* begin = nullptr, std::size_t* end = nullptr) {
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    std::size_t last = name.size();
    while (last > 0 && !digit(name[last - 1])) --last;
    std::size_t first = last;
    while (first > 0 && digit(name[first - 1])) --first;
    if (first == last || last - first > 9) return std::nullopt;
    if (begin != nullptr) *begin = first, *end = last;
    std::uint64_t value = 0;
    for (std::size_t k = first; k < last; ++k) value = value * 10 + static_cast<std::uint64_t>(name[k] - '0');
    return value;
}

std::string sitesOf(const MapSet& maps) {
    std::string list;
    for (const Map& map : maps.maps) list += (list.empty() ? "" : ", ") + map.sourceSite + "=" + map.targetSite;
    return list;
}

// The map that options.site names; nullptr where it names none.
const Map* chosenMap(const MapSet& maps, const std::optional<std::string>& site) {
    if (!site) return nullptr;
    for (const Map& map : maps.maps)
        if (*site == map.sourceSite || *site == map.sourceSite + "=" + map.targetSite) return &map;
    throw Error(ErrorCode::usage, "--site " + *site, "there is no such map in the file; it has " + sitesOf(maps));
}

// The layer that vectors of a site are called by. A control vector's direction.l is added `after` layer l, and resid.l
// is the stream before it.
std::optional<std::uint64_t> layerOfSite(const std::string& site, bool after) {
    const auto number = layerOf(site);
    if (!number || !after || !site.starts_with("resid.")) return number;
    return *number > 0 ? std::optional(*number - 1) : std::nullopt;
}

// The site that a TransformerLens hook reads: blocks.3.hook_resid_post is resid.4. Nothing for other hooks.
std::optional<std::string> siteOfHook(const std::string& hook) {
    const auto layer = layerOf(hook);
    if (!layer || !hook.starts_with("blocks.")) return std::nullopt;
    if (hook.ends_with(".hook_resid_pre")) return "resid." + std::to_string(*layer);
    if (hook.ends_with(".hook_resid_post")) return "resid." + std::to_string(*layer + 1);
    return std::nullopt;
}

// Whether tensors of this kind are called by their layer.
bool namedByLayer(const Plan& plan) { return plan.kind == "control-vector" || plan.kind == "vectors"; }

class Assignment {
public:
    Assignment(const MapSet& maps, const MapTransportOptions& options, const std::string& object)
        : maps_(maps), only_(chosenMap(maps, options.site)), asked_(only_ != nullptr), object_(object) {
        if (only_ == nullptr && maps.maps.size() == 1) only_ = &maps.maps.front();
    }

    // The map of an object that belongs to one site.
    const Map& single() const {
        if (only_ != nullptr) return *only_;
        throw Error(ErrorCode::ambiguous, object_,
                    "the map file has several maps (" + sitesOf(maps_) + "); say which with --site S=T");
    }

    // Of an object whose configuration names its hook: the map of that site, unless another was asked for.
    const Map& ofHook(const std::string& hook) const {
        const auto site = siteOfHook(hook);
        if (!site || asked_) return single();
        bool known = false;  // whether sites are called so here
        for (const Map& map : maps_.maps) {
            if (map.sourceSite == *site) return map;
            known |= map.sourceSite.starts_with("resid.");
        }
        if (!known) return single();
        throw Error(ErrorCode::usage, object_,
                    "reads " + hook + ", which is " + *site + ", and the map file has " + sitesOf(maps_) +
                        "; fit one for it (regauge map SOURCE TARGET --site " + *site +
                        "=T), or say with --site which of these to take all the same");
    }

    // Of a layer's tensor, and what it is called in the target. Where neither the tensor nor a single map has a layer,
    // the map is for all.
    const Map& ofLayer(const std::string& tensor, bool after, std::string& name) const {
        std::size_t begin = 0, end = 0;
        const auto layer = layerOf(tensor, &begin, &end);
        name = tensor;
        if (!layer) return single();
        bool numbered = false;
        for (const Map& map : maps_.maps) {
            if (only_ != nullptr && &map != only_) continue;
            const auto from = layerOfSite(map.sourceSite, after), to = layerOfSite(map.targetSite, after);
            numbered |= layerOf(map.sourceSite).has_value();
            if (from != layer) continue;
            if (to) name = tensor.substr(0, begin) + std::to_string(*to) + tensor.substr(end);
            return map;
        }
        if (!numbered) return single();
        throw Error(ErrorCode::usage, placeOf(object_, tensor),
                    "belongs to layer " + std::to_string(*layer) + ", and the map file has none for it (it has " +
                        sitesOf(maps_) + "); fit one for each layer: regauge map SOURCE TARGET --site S=T --site ...");
    }

    // Of activations at a site, which may have no map.
    const Map* ofSite(const std::string& site) const {
        for (const Map& map : maps_.maps)
            if (map.sourceSite == site && (only_ == nullptr || only_ == &map)) return &map;
        return nullptr;
    }

private:
    const MapSet& maps_;
    const Map* only_;
    bool asked_;  // by --site
    const std::string& object_;
};

bool isTranscoder(const PlannedObject& planned, const Config& config) {
    const std::string& kind = planned.plan.kind;
    const auto out = config.text("metadata.hook_name_out|hook_name_out|hook_point_out|hf_hook_point_out");
    const auto in = config.text("metadata.hook_name|hook_name|hook_point|hook_point_in|hf_hook_point_in");
    return kind.find("transcoder") != std::string::npos || kind == "circuit-tracer" ||
           config.text("architecture").value_or("").find("transcoder") != std::string::npos ||
           config.text("transcode").value_or("false") == "true" || (in && out && *in != *out);
}

bool hasTensor(const PlannedObject& planned, std::string_view name) {
    return std::ranges::any_of(planned.plan.moves, [&](const TensorMove& move) { return move.tensor.name == name; });
}

// Whether an SAE's encoder reads x - b_dec, as its library does it.
bool subtracts(const PlannedObject& planned, const Config& config) {
    const std::string& kind = planned.plan.kind;
    const auto says = [&](const char* keys, const char* otherwise) {
        const std::string text = config.text(keys).value_or(otherwise);
        return text == "true" || text == "True";
    };
    if (kind == "saelens") return says("apply_b_dec_to_input", "true");
    if (kind == "sparsify") return true;
    if (kind == "llama-scope") return says("apply_decoder_bias_to_pre_encoder", "false");
    if (kind == "dictionary-learning")
        return hasTensor(planned, "bias") || hasTensor(planned, "decoder_bias") || hasTensor(planned, "b_dec");
    if (kind == "dictionary-learning-matrices") return hasTensor(planned, "group_sizes") || hasTensor(planned, "k");
    return false;
}

// Inputs that are scaled row by row, or by a number of the source's own, before the encoder sees them.
void refuseNormalised(const Config& config, const std::string& object) {
    const std::string how = config.text("normalize_activations|norm_activation").value_or("none");
    if (how == "none" || how == "false" || how == "False") return;
    refuse(object, "normalises its input (" + how +
                       "), with norms of the source's stream; fold that into its weights first (SAELens: "
                       "sae.fold_activation_norm_scaling_factor), and set it to none");
}

void assignBiases(MappedObject& object, const std::string& where) {
    auto& moves = object.planned.plan.moves;
    for (std::size_t r = 0; r < moves.size(); ++r) {
        if (object.tensors[r].role != Role::reader) continue;
        bool found = false;
        for (const Partner& partner : partners) {
            if (moves[r].tensor.name != partner.reader) continue;
            for (std::size_t k = 0; k < moves.size(); ++k) {
                if (moves[k].tensor.name != partner.bias) continue;
                MappedTensor& bias = object.tensors[k];
                bias.role = Role::bias, bias.map = object.tensors[r].map;
                bias.reader = moves[r].tensor.name, bias.scale = partner.scale;
                moves[k].why += "; takes the offset of the way back";
                found = true;
            }
        }
        if (found) continue;
        if (object.planned.plan.kind != "probe")
            refuse(where, moves[r].tensor.name +
                              " has no bias that could take the offset of the way back; add one of "
                              "zeros, and move that");
        object.notes.push_back(moves[r].tensor.name +
                               " has no intercept in the file, so its scores are shifted by a constant (N's offset)");
    }
}

// The object's plan. Throws Error where no recipe knows it, only a gauge can move it, or its width is another.
PlannedObject plannedFor(const ObjectPath& path, const MapSet& maps, const MapTransportOptions& options) {
    const std::string& object = path.path();
    const std::size_t width = maps.maps.front().sourceWidth;
    if (openChannelList(path, options.object, width))
        refuse(object, "lists single channels, which only a signed permutation keeps" + std::string(byGauge));
    PlannedObject planned = planObject(path, options.object, 0);
    if (planned.recipe != nullptr) refuseKind(planned, object);
    if (planned.recipe == nullptr || !planned.plan.unknown.empty())
        throw Error(ErrorCode::unknownTensor, object,
                    "no recipe says what " +
                        (planned.plan.unknown.empty() ? std::string("it") : planned.plan.unknown.front()) +
                        " is to the residual stream; give --kind, or --kind vector where every tensor's last axis is "
                        "the residual one");
    if (planned.plan.d != 0 && planned.plan.d != width)
        throw Error(ErrorCode::dimensionMismatch, object,
                    "has d = " + std::to_string(planned.plan.d) + ", and the map is from d = " + std::to_string(width) +
                        " to d = " + std::to_string(maps.maps.front().targetWidth));
    return planned;
}

// What a residual tensor is to a map. Throws Error where it is nothing, or no floating point.
Role residualRole(const TensorMove& move, const std::string& object) {
    const bool single = move.moves.size() == 1 && move.moves.front().action == Action::odd;
    const Role role = single ? roleOf(move.why) : Role::copy;
    if (role == Role::copy)
        refuse(placeOf(object, move.tensor.name),
               move.why + ", which only a signed permutation moves" + std::string(byGauge));
    if (!isArithmetic(move.tensor.dtype))
        throw Error(ErrorCode::wrongDtype, placeOf(object, move.tensor.name),
                    "holds " + std::string(name(move.tensor.dtype)) +
                        "; a map is arithmetic, so expected F16, BF16, F32 or F64: convert it first");
    return role;
}

// Throws Error where the tensor's map helps nobody (unless `force`), or takes another width.
void requireMoves(const TensorMove& move, const MappedTensor& tensor, bool force, const std::string& object) {
    if (!tensor.map->helps && !force)
        throw Error(ErrorCode::unrelated, object,
                    "the map of " + tensor.map->sourceSite + " to " + tensor.map->targetSite +
                        " says of itself that it explains nothing of the target, so moving by it would scramble "
                        "the object; --force does it all the same");
    if (move.tensor.shape[tensor.axis] != tensor.map->sourceWidth)
        throw Error(ErrorCode::dimensionMismatch, placeOf(object, move.tensor.name),
                    "has " + std::to_string(move.tensor.shape[tensor.axis]) + " channels, and the map is from " +
                        std::to_string(tensor.map->sourceWidth));
}

// Roles, maps and names of an object's tensors, one after another.
class Roles {
public:
    Roles(MappedObject& result, const Assignment& assignment, const Config& config, bool force,
          const std::string& object)
        : result_(result),
          plan_(result.planned.plan),
          assignment_(assignment),
          transcoder_(isTranscoder(result.planned, config)),
          force_(force),
          hook_(config.text("metadata.hook_name|hook_name|hook_point|hook_point_in").value_or("")),
          object_(object) {}

    bool transcoder() const { return transcoder_; }

    void assign(const TensorMove& move) {
        MappedTensor& tensor = result_.tensors.emplace_back();
        tensor.name = move.tensor.name;
        if (activations() && move.tensor.name.starts_with("gains/"))
            return leave(tensor, ", which only a signed permutation moves");
        if (move.moves.empty()) return;
        tensor.role = residualRole(move, object_);
        tensor.axis = move.moves.front().axis;
        if (tensor.role == Role::point && transcoder_) tensor.role = Role::direction;  // of what it writes, not of x
        chooseMap(tensor);
        if (tensor.map == nullptr) return leave(tensor, ", for whose site there is no map");
        requireMoves(move, tensor, force_, object_);
    }

private:
    static constexpr std::string_view rowsAt = "activations/";  // and the site

    bool activations() const { return plan_.kind == "activations"; }

    // nullptr: activations at a site without a map.
    void chooseMap(MappedTensor& tensor) const {
        const std::string original = tensor.name;
        if (activations() && original.starts_with(rowsAt)) {
            tensor.map = assignment_.ofSite(original.substr(rowsAt.size()));
            if (tensor.map != nullptr) tensor.name = std::string(rowsAt) + tensor.map->targetSite;
        } else if (namedByLayer(plan_)) {
            tensor.map = &assignment_.ofLayer(original, plan_.kind == "control-vector", tensor.name);
        } else {
            tensor.map = &assignment_.ofHook(hook_);
        }
    }

    void leave(MappedTensor& tensor, const std::string& why) {
        tensor.role = Role::leave;
        result_.notes.push_back("left out: " + tensor.name + why);
    }

    MappedObject& result_;
    const Plan& plan_;
    const Assignment& assignment_;
    bool transcoder_, force_;
    std::string hook_;
    const std::string& object_;
};

// Throws Error where two tensors of one file would get one name.
void requireOwnNames(const MappedObject& mapped, const std::string& object) {
    if (mapped.planned.files.members.size() != 1) return;
    for (std::size_t a = 0; a < mapped.tensors.size(); ++a)
        for (std::size_t b = 0; b < a; ++b)
            if (mapped.tensors[a].role != Role::leave && mapped.tensors[b].role != Role::leave &&
                mapped.tensors[a].name == mapped.tensors[b].name)
                throw Error(ErrorCode::ambiguous, object,
                            mapped.planned.plan.moves[b].tensor.name + " and " +
                                mapped.planned.plan.moves[a].tensor.name + " would both become " +
                                mapped.tensors[a].name +
                                "; choose a target layer for each with --site S=T when fitting the map");
}

}  // namespace

MappedObject mapObject(const ObjectPath& path, const MapSet& maps, const MapTransportOptions& options) {
    const std::string& object = path.path();
    const Assignment assignment(maps, options, object);
    MappedObject result{plannedFor(path, maps, options), {}, false, {}};
    const PlannedObject& planned = result.planned;
    const Config config = planned.recipe->config.empty() || !path.has(planned.recipe->config)
                              ? Config()
                              : path.config(planned.recipe->config);
    refuseNormalised(config, object);
    Roles found(result, assignment, config, options.object.force, object);
    for (const TensorMove& move : planned.plan.moves) found.assign(move);

    const auto has = [&](auto&& what) { return std::ranges::any_of(result.tensors, what); };
    if (planned.plan.kind == "activations" && !has([](const MappedTensor& one) { return one.map != nullptr; }))
        throw Error(ErrorCode::usage, object,
                    "has no activations at a site of the map file, which has " + sitesOf(maps));
    requireOwnNames(result, object);
    const bool readers = has([](const MappedTensor& one) { return one.role == Role::reader; });
    result.subtractsPoint = readers && !found.transcoder() && subtracts(planned, config);
    if (readers) assignBiases(result, object);
    const bool directions = has([](const MappedTensor& one) { return one.role == Role::direction; });
    if (options.keepStrength && (readers || !directions))
        throw Error(ErrorCode::usage, "--keep-strength",
                    "is for directions (steering and control vectors), and this is " + planned.plan.description);
    return result;
}

}  // namespace regauge
