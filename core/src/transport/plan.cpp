// Recognition: which recipe an object is of, by what is in it.
#include <algorithm>
#include <tuple>

#include "base/short_list.hpp"
#include "io/foreign.hpp"
#include "recipes/name_pattern.hpp"
#include "recipes/quantisation.hpp"
#include "recipes/stream_roles.hpp"
#include "recipes/symmetry.hpp"
#include "regauge/error.hpp"
#include "transport/apply_recipe.hpp"
#include "transport/arrow_table.hpp"
#include "transport/channel_list.hpp"
#include "transport/named_symmetry.hpp"
#include "transport/optimizer_names.hpp"
#include "transport/planned_object.hpp"

namespace regauge {
namespace {

bool anyFits(const std::string& pattern, const std::vector<Member>& members) {
    const auto fits = [&](const std::string& name) { return matchName(pattern, name).has_value(); };
    return std::any_of(members.begin(), members.end(), [&](const Member& member) {
        return std::any_of(member.names.begin(), member.names.end(), fits);
    });
}

std::size_t tensorCount(const std::vector<Member>& members) {
    std::size_t count = 0;
    for (const Member& member : members) count += member.file.tensors.size();
    return count;
}

bool allHold(const std::vector<ConfigRule>& rules, const Config& config) {
    return std::all_of(rules.begin(), rules.end(), [&](const ConfigRule& rule) { return rule.holds(config); });
}

bool configFits(const Recipe& recipe, const ObjectPath& object) {
    return allHold(recipe.when, object.config(recipe.config));
}

// What the recipe's conditions and sizes are about: its companion file, or the header of the object's own first file.
Config configOf(const Recipe& recipe, const ObjectPath& object, const Members& files) {
    return recipe.header.empty() ? object.config(recipe.config) : Config::of(files.members.front().file.metadata);
}

// How sure it is that the object is of this recipe, before any shape is looked at: Recipe::certainty(), or nothing.
std::optional<int> certaintyOf(const Recipe& recipe, const ObjectPath& object) {
    if (configFits(recipe, object)) return recipe.certainty();
    // A checkpoint without its config.json is told by its names.
    if (recipe.model && recipe.ordered && recipe.refuse.empty() && !object.has(recipe.config)) return 1;
    return std::nullopt;
}

bool tensorsFit(const Recipe& recipe, const std::vector<Member>& members) {
    const auto fits = [&](const std::string& pattern) { return anyFits(pattern, members); };
    if (members.empty()) return false;
    if (recipe.single && tensorCount(members) != 1) return false;
    if (!recipe.header.empty() && !allHold(recipe.header, Config::of(members.front().file.metadata))) return false;
    if (!recipe.formats.empty() && std::find(recipe.formats.begin(), recipe.formats.end(),
                                             name(members.front().file.format)) == recipe.formats.end())
        return false;
    if (recipe.model) {
        std::vector<std::string_view> names;
        for (const Member& member : members) names.insert(names.end(), member.names.begin(), member.names.end());
        // A table that is there to be refused has no names of its own: any transformer's will do.
        return recipe.refuse.empty() ? recipe.requiredNamesFit(names)
                                     : std::any_of(names.begin(), names.end(), [](std::string_view name) {
                                           return matchName("{any}.{l}.{any}.weight", name).has_value();
                                       });
    }
    if (!recipe.anyTensor.empty() && std::none_of(recipe.anyTensor.begin(), recipe.anyTensor.end(), fits)) return false;
    return std::all_of(recipe.allTensors.begin(), recipe.allTensors.end(), fits);
}

// "hook blocks.1.hook_resid_post" and its like, joined; parts whose keys are not there are left out.
std::string describe(const Recipe& recipe, const Config& config, const Applied& applied) {
    std::string text = recipe.title;
    for (std::string part : recipe.describe) {
        const std::size_t open = part.find('{'), close = part.find('}', open);
        const std::string key = part.substr(open + 1, close - open - 1);
        const std::uint64_t size = applied.sizes.of(key);
        const auto value = size ? std::optional(std::to_string(size)) : config.text(key);
        if (value) text += ", " + part.replace(open, close - open + 1, *value);
    }
    return text;
}

// What lies beside the tensors in their own files and holds no numbers that move.
std::string copiedAlong(const Members& files) {
    std::string text;
    for (const Member& member : files.members)
        for (const auto& [name, value] : member.file.metadata)
            if (isForeign(value)) text += (text.empty() ? "; copied as it is: " : ", ") + name + " (" + value + ")";
    return text;
}

std::string leftOut(const Members& files) {
    std::string text;
    for (const std::string& file : files.left)
        text += (text.empty() ? "; left out, being no part of it: " : ", ") + file;
    return text;
}

// space: the hook whose coordinates the object moves by, where that is not the residual stream.
void checkHook(const std::string& hook, const std::string& space, const std::string& where, bool insist) {
    if (!space.empty() && hook == space) return;
    if (!space.empty())
        throw Error(ErrorCode::unsupported, where,
                    "lives at '" + hook + "', too, and it would move as what lives at '" + space + "' alone");
    if (const auto what = otherSpace(hook))
        throw Error(ErrorCode::unsupported, where,
                    "lives at '" + hook + "', which is " + *what +
                        ", not residual coordinates: the gauge does not act there, whatever the width. It stays as it "
                        "is for the same model in other coordinates, and needs another alignment for another model");
    const std::string own = ownName(hook);
    const auto fits = [&](const std::string& pattern) { return matchName(pattern, hook) || matchName(pattern, own); };
    const std::vector<std::string>& residual = sharedRules().residualHooks;
    if (!insist && std::none_of(residual.begin(), residual.end(), fits))
        throw Error(ErrorCode::unsupported, where,
                    "lives at '" + hook +
                        "', and regauge does not know whether that is in residual coordinates; --unknown copy goes on "
                        "as if it were");
}

// The method that quantization_config names, where the weights are packed in a way that regauge does not read. Nothing
// where there is no such configuration, or FP8: that is moved, or dequantised where its scales are of blocks.
std::optional<std::string> packed(const Config& config) {
    if (!config.text("quantization_config")) return std::nullopt;
    const std::string method =
        config.text("quantization_config.quant_method").value_or("a method that it does not name");
    // FP8 in blocks is told by its scales.
    if (method == "fbgemm_fp8" || method == "fp8" || config.text("quantization_config.quant_algo") == "FP8")
        return std::nullopt;
    bool whole = false, blocks = false;
    for (const auto& [name, value] : config.below("quantization_config.config_groups.")) {
        if (name.ends_with(".weights.strategy"))
            (value == "channel" || value == "tensor" || value == "block" ? whole : blocks) = true;
        if (name.ends_with(".weights.type") && value != "float") blocks = true;
    }
    return whole && !blocks ? std::nullopt : std::optional(method);
}

void refuseQuantised(const Config& config, const std::string& where) {
    if (const auto method = packed(config))
        throw Error(ErrorCode::unsupported, where,
                    "config.json has quantization_config: the weights are quantised (" + *method +
                        "), packed in a way that regauge does not read; " + wayOutOfPacked(*method));
}

// What the recipe's configuration forbids. Throws Error(unsupported).
void checkConfig(const Recipe& recipe, const Config& config, const std::string& where, const TransportOptions& options,
                 const std::string& space) {
    for (const std::string& part : recipe.refusePaths)
        if (where.find(part) != std::string::npos)
            throw Error(ErrorCode::unsupported, where,
                        "lies in '" + part +
                            "': attention SAEs of this publisher read attn.hook_z, head space, not residual "
                            "coordinates, whatever the width");
    if (!recipe.refuse.empty()) throw Error(ErrorCode::unsupported, where, recipe.refuse);
    if (recipe.model) refuseQuantised(config, where);
    for (const ConfigRule& rule : recipe.refuseWhen)
        if (rule.holds(config))
            throw Error(ErrorCode::unsupported, where,
                        recipe.configName() + " has " + rule.key +
                            (rule.present ? "" : " = " + *config.text(rule.key)) + ": " + rule.why);
    for (const auto& [key, values] : recipe.known) {
        const auto value = config.text(key);
        if (value && std::find(values.begin(), values.end(), *value) == values.end())
            throw Error(ErrorCode::unsupported, where,
                        recipe.configName() + " has " + key + " = " + *value + ", which regauge does not know yet");
    }
    for (const std::string& key : recipe.hooks)
        if (const auto hook = config.text(key)) checkHook(*hook, space, where, options.copyUnknown);
}

struct Candidate {
    const Recipe* recipe = nullptr;
    Members files;
};

std::optional<Error> forbiddenBy(const Candidate& candidate, const ObjectPath& object, const TransportOptions& options,
                                 const std::string& space) {
    try {
        checkConfig(*candidate.recipe, configOf(*candidate.recipe, object, candidate.files), object.path(), options,
                    space);
    } catch (const Error& error) {
        return error;
    }
    return std::nullopt;
}

// The recipes that the object may be of, only the most certain ones.
std::vector<Candidate> candidatesFor(const ObjectPath& object, const TransportOptions& options) {
    std::vector<Candidate> found;
    int certainty = 0;
    bool known = false;
    Members single;  // a single file is opened once, whatever the recipe
    if (!object.isFolder()) single = membersOf(object, Recipe{}, options.dequantize);
    for (const Recipe& recipe : recipes()) {
        if (options.kind && recipe.kind != *options.kind) continue;
        known = true;
        if (recipe.isList()) continue;
        const std::optional<int> sure = options.kind ? 2 : recipe.asked ? std::nullopt : certaintyOf(recipe, object);
        if (!sure || *sure < certainty) continue;
        Members ofFolder;
        if (object.isFolder()) ofFolder = membersOf(object, recipe, options.dequantize);
        const Members& files = object.isFolder() ? ofFolder : single;
        if (options.kind ? files.members.empty() : !tensorsFit(recipe, files.members)) continue;
        if (*sure > certainty) {
            found.clear();
            certainty = *sure;
        }
        found.push_back({&recipe, object.isFolder() ? std::move(ofFolder) : single});
    }
    if (options.kind && !known) {
        std::string all;
        for (const KindInfo& kind : kinds()) all += (all.empty() ? "" : ", ") + kind.kind;
        throw Error(ErrorCode::usage, "--kind " + *options.kind, "is not a kind of object; the kinds are " + all);
    }
    return found;
}

bool sameMoves(const Plan& a, const Plan& b) {
    const auto same = [](const TensorMove& x, const TensorMove& y) {
        return std::equal(x.moves.begin(), x.moves.end(), y.moves.begin(), y.moves.end(),
                          [](const AxisMove& p, const AxisMove& q) {
                              return std::tie(p.action, p.axis, p.blocks) == std::tie(q.action, q.axis, q.blocks);
                          });
    };
    return a.unknown == b.unknown && std::equal(a.moves.begin(), a.moves.end(), b.moves.begin(), b.moves.end(), same);
}

// bitsandbytes keeps first moments or squares under one name, "state1", and only with a "state2" beside it is it clear
// which.
void requireTwoStates(const Member& member) {
    const auto has = [&](const char* pattern) {
        return std::any_of(member.names.begin(), member.names.end(),
                           [&](const std::string& name) { return matchName(pattern, name).has_value(); });
    };
    if (has("state.{any}.state1") && !has("state.{any}.state2"))
        throw Error(
            ErrorCode::unsupported, member.file.source->name(),
            "is the state of a bitsandbytes optimizer with one state a parameter: the momentum of Lion, SGD and "
            "LARS changes sign with its channel, the squares of RMSprop and Adagrad do not, and the file does "
            "not say which it is; rename 'state1' to exp_avg (Lion, SGD, LARS) or square_avg (RMSprop, "
            "Adagrad), and move that");
}

// The model that an object without a table of its own belongs to, where its configuration, its file's metadata or what
// lies beside an optimizer's state says so.
std::optional<NamedModel> modelOf(const Recipe& recipe, const Config& config, const ObjectPath& object,
                                  const Members& files) {
    const Config header = Config::of(files.members.front().file.metadata);
    std::vector<const Config*> configs{&config, &header};
    if (recipe.optimizer)
        for (const char* beside : {"config.json", "adapter_config.json"}) configs.push_back(&object.config(beside));
    return namedModel(configs);
}

PlannedObject planned(Candidate candidate, const ObjectPath& object, std::size_t d) {
    const Recipe& recipe = *candidate.recipe;
    const Config config = configOf(recipe, object, candidate.files);
    if (recipe.optimizer)
        for (Member& member : candidate.files.members) {
            for (const std::string& name :
                 member.names)  // before they are named: a state that cannot move fits no parameter's shape
                for (const auto& [pattern, what] : recipe.refuseTensors)
                    if (matchName(pattern, name))
                        throw Error(ErrorCode::unsupported, member.file.source->name() + ": " + name, "is " + what);
            requireTwoStates(member);
            nameParameters(member, object);
        }
    const bool namesItself = recipe.model || recipe.namesParameters;
    const auto model = namesItself ? std::nullopt : modelOf(recipe, config, object, candidate.files);
    Applied applied = applyRecipe(recipe, candidate.files.members, config, d, model ? model->family : nullptr,
                                  object.config("adapter_config.json"));
    PlannedObject result;
    result.plan.kind = recipe.kind;
    result.plan.description = describe(recipe, config, applied);
    result.plan.d = static_cast<std::size_t>(applied.sizes.of("d"));
    result.plan.moves = std::move(applied.moves);
    result.plan.unknown = std::move(applied.unknown);
    result.blocks = std::move(applied.blocks);
    result.plan.permutationOnlyReason =
        recipe.alwaysPermutationOnly.empty() ? applied.permutationOnly : recipe.alwaysPermutationOnly;
    for (const ConfigRule& rule : recipe.permutationOnly)
        if (rule.holds(config)) result.plan.permutationOnlyReason = rule.why;
    if (!namesItself) addSymmetry(result.plan, model, object.path());
    result.unsignedWhy = applied.unsignedWhy;
    if (!applied.unsignedWhy.empty())
        result.plan.permutationOnlyReason +=
            (result.plan.permutationOnlyReason.empty() ? "" : ", and ") + applied.unsignedWhy;
    result.plan.permutationOnly = !result.plan.permutationOnlyReason.empty();
    result.recipe = &recipe;
    result.files = std::move(candidate.files);
    return result;
}

// A training checkpoint's optimizer state goes along with its model; one that is not understood stays behind, and the
// description says so.
void addOptimizer(PlannedObject& model, const ObjectPath& object, const TransportOptions& options) {
    for (const char* name : {"optimizer.pt", "optimizer.bin"}) {
        const auto at = std::find(model.files.left.begin(), model.files.left.end(), name);
        if (at == model.files.left.end()) continue;
        try {
            TransportOptions asOptimizer = options;
            asOptimizer.kind = "optimizer";
            PlannedObject state =
                planObject(ObjectPath(object.files(), object.pathOf(name)), asOptimizer, model.plan.d);
            state.files.members.front().name = name;
            model.files.members.push_back(std::move(state.files.members.front()));
            model.plan.moves.insert(model.plan.moves.end(), state.plan.moves.begin(), state.plan.moves.end());
            model.plan.unknown.insert(model.plan.unknown.end(), state.plan.unknown.begin(), state.plan.unknown.end());
            model.files.left.erase(at);
            model.plan.description += "; with its optimizer state";
        } catch (const Error& error) {
            model.plan.description += "; " + std::string(error.what());
        }
    }
}

// A checkpoint of a family that has a table, and names that the table does not have: says which are missing.
[[noreturn]] void refuseNames(const Recipe& recipe, const ObjectPath& object, const Members& files) {
    if (files.members.empty())
        throw Error(ErrorCode::missingFile, object.path(),
                    "has a config.json (" + recipe.title +
                        ") and no weights: expected model.safetensors, its shards, or pytorch_model.bin" +
                        (files.left.empty() ? "" : "; found " + files.left.front()));
    std::vector<std::string> names;
    for (const Member& member : files.members)
        for (const std::string& name : member.names) names.push_back(ownName(name));
    for (const std::string& name : names)
        if (const auto packed = packedWeight(name))
            throw Error(ErrorCode::unsupported, object.path() + ": " + name, *packed);
    std::string missing;
    for (const TensorRule& rule : recipe.tensors) {
        const auto fits = [&](const std::string& name) { return matchName(rule.name, name).has_value(); };
        if (rule.required && missing.size() < 200 && std::none_of(names.begin(), names.end(), fits))
            missing += (missing.empty() ? "" : ", ") + rule.name;
    }
    throw Error(ErrorCode::unsupported, object.path(),
                "goes by its config.json as " + recipe.title +
                    ", but its tensors are not named as that family's are: it has no " + missing + "; it has " +
                    shortList(names, 3) +
                    ". Save the model with transformers (save_pretrained), and move that; or move this file with "
                    "--kind of the family whose names it has");
}

// The families whose tables name every tensor that is there: "llama, qwen2".
std::string familiesNaming(const Members& files) {
    std::string kinds;
    for (const Recipe& recipe : recipes()) {
        if (!recipe.model || !recipe.refuse.empty() || !recipe.ordered) continue;
        std::vector<std::string_view> names;
        bool all = !files.members.empty();
        for (const Member& member : files.members)
            for (const StoredTensor& tensor : member.file.tensors) {
                names.push_back(tensor.info.name);
                all = all && std::any_of(recipe.tensors.begin(), recipe.tensors.end(), [&](const TensorRule& rule) {
                          return rule.shape.size() == tensor.info.shape.size() &&
                                 matchName(rule.name, ownName(tensor.info.name)).has_value();
                      });
            }
        if (all && recipe.requiredNamesFit(names)) kinds += (kinds.empty() ? "" : ", ") + recipe.kind;
    }
    return kinds;
}

// A checkpoint of a family without a table: says which, and what in it no family has.
void refuseFamily(const ObjectPath& object) {
    const auto family = object.config("config.json").text("model_type");
    if (!family) return;
    Recipe checkpoint;
    checkpoint.files = sharedRules().modelFiles;
    std::vector<std::string> strange;
    const Members files = membersOf(object, checkpoint);
    refuseQuantised(object.config("config.json"), object.path());
    for (const Member& member : files.members)
        for (const StoredTensor& tensor : member.file.tensors)
            if (!parameterRule(tensor.info.name, tensor.info.shape.size()).rule) strange.push_back(tensor.info.name);
    for (const Recipe& recipe : recipes()) {
        const bool own = recipe.model && recipe.refuse.empty() && !recipe.when.empty() &&
                         allHold(recipe.when, object.config("config.json"));
        if (own) refuseNames(recipe, object, files);
    }
    std::string text = "config.json says model_type = " + *family +
                       ", a family that regauge has no table for, so it does not know how its channels move";
    if (!strange.empty()) text += "; no family has " + shortList(strange);
    if (const std::string alike = familiesNaming(files); !alike.empty())
        text += "; all its tensors are named as in " + alike +
                ": where it computes as one of these does, --kind with that name moves it";
    throw Error(ErrorCode::unsupported, object.path(), text);
}

// PyTorch's distributed checkpoints: a folder of .distcp files with .metadata.
void refuseDistributed(const ObjectPath& object) {
    for (const std::string& name : object.names())
        if (name.ends_with(".distcp"))
            throw Error(ErrorCode::unsupported, object.path(),
                        "is a distributed checkpoint of PyTorch (.distcp); convert it with python -m "
                        "torch.distributed.checkpoint.format_utils dcp_to_torch "
                        "FOLDER model.pt, and move that");
}

// Nothing recognises it: shown by inspect, refused by transport.
PlannedObject unrecognised(const ObjectPath& object) {
    refuseDistributed(object);
    if (std::optional<TensorFile> table = tableOfFolder(object)) return plannedTable(std::move(*table));
    for (const std::string& name : object.isFolder() ? object.names() : std::vector<std::string>())
        if (name.ends_with(".parquet")) openTensorFile(object.open(name));  // its own refusal says how to go on
    refuseFamily(object);
    if (object.isFolder())
        throw Error(ErrorCode::unsupported, object.path(),
                    "holds nothing that regauge recognises (a checkpoint, an SAE with its cfg.json, an adapter); name "
                    "one file, or give --kind");
    PlannedObject result;
    result.files = membersOf(object, Recipe{});
    result.plan.kind = "unknown";
    result.plan.description =
        "not recognised: give --kind, or --kind vector where every tensor's last axis is the residual one";
    for (const Member& member : result.files.members)
        for (const StoredTensor& tensor : member.file.tensors) {
            result.plan.moves.push_back({tensor.info, {}, "no recipe names it"});
            result.plan.unknown.push_back(tensor.info.name);
        }
    return result;
}

}  // namespace

std::vector<KindInfo> kinds() {
    std::vector<KindInfo> found;
    for (const Recipe& recipe : recipes())
        if (recipe.refuse.empty() &&
            std::none_of(found.begin(), found.end(), [&](const KindInfo& one) { return one.kind == recipe.kind; }))
            found.push_back({recipe.kind, recipe.title});
    return found;
}

PlannedObject planObject(const ObjectPath& object, const TransportOptions& options, std::size_t d,
                         const std::string& space) {
    if (std::optional<TensorFile> table = tableOfFile(object)) return plannedTable(std::move(*table));
    std::vector<Candidate> candidates = candidatesFor(object, options);
    std::vector<PlannedObject> plans;
    std::optional<Error> misfit;
    for (Candidate& candidate : candidates) {
        // Another reading may fit; where none does, the first refusal says why.
        try {
            const std::optional<Error> forbidden = forbiddenBy(candidate, object, options, space);
            if (forbidden && candidates.size() == 1) throw *forbidden;
            plans.push_back(planned(std::move(candidate), object, d));
            plans.back().forbidden = forbidden;
        } catch (const Error& error) {
            if (!misfit) misfit = error;
        }
    }
    if (plans.empty() && misfit) throw *misfit;
    // A reading that names every tensor is better than one that does not.
    const auto incomplete = [](const PlannedObject& plan) { return !plan.plan.unknown.empty(); };
    if (!std::all_of(plans.begin(), plans.end(), incomplete)) std::erase_if(plans, incomplete);
    if (plans.empty()) return unrecognised(object);
    for (const PlannedObject& other : plans)
        if (!sameMoves(other.plan, plans.front().plan))
            throw Error(ErrorCode::ambiguous, object.path(),
                        "could be " + plans.front().recipe->title + " (--kind " + plans.front().plan.kind + ") or " +
                            other.recipe->title + " (--kind " + other.plan.kind + "), whose axes differ; say which");
    // A checkpoint without its config.json can be of several families that move alike.
    for (std::size_t i = 1; i < plans.size(); ++i) {
        Plan& plan = plans.front().plan;
        plan.description += (i == 1 ? "; or, moving alike, " : ", ") + plans[i].recipe->title;
        if (plan.permutationOnly || !plans[i].plan.permutationOnly) continue;
        plan.permutationOnly = true;
        plan.permutationOnlyReason = plans[i].plan.permutationOnlyReason;
    }
    if (plans.front().forbidden) throw *plans.front().forbidden;
    if ((plans.front().recipe->model || plans.front().recipe->config == "adapter_config.json") && object.isFolder())
        addOptimizer(plans.front(), object, options);
    plans.front().plan.description += copiedAlong(plans.front().files) + leftOut(plans.front().files);
    return std::move(plans.front());
}

Plan planTransport(const Files& files, const std::string& object, const TransportOptions& options, std::size_t d) {
    const ObjectPath path(files, object);
    if (const auto list = openChannelList(path, options, d)) {
        requirePlace(*list, "", object);
        return list->plan;
    }
    PlannedObject planned = planObject(path, options, d);
    if (d != 0 && planned.blocks) throw *planned.blocks;
    return std::move(planned.plan);
}

}  // namespace regauge
