// Recipes as the core reads them: core/recipes/**/*.json. The fields and the rule language are described in
// core/recipes/README.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "recipes/config.hpp"
#include "recipes/symmetry.hpp"
#include "regauge/gauge.hpp"

namespace regauge {

// A condition on the companion configuration.
struct ConfigRule {
    std::string key;              // alternatives with '|'
    std::vector<std::string> is;  // holds where the value is one of these; "{any}" and the other placeholders allowed
    std::vector<std::string> isNot;  // or where it is there and none of these
    bool present = false;            // or where the key is there
    std::string why;
    bool holds(const Config& config) const;
};

// One rule says of the tensors whose names fit how each axis moves. A shape is a list of words, one for each axis:
//     "odd"  "even"     the residual axis: length d, moved with or without signs
//     "odd:blocks"  "even:blocks"   the same for an axis of c x d: c streams, one after the other
//     "d"               length d, and not moved
//     "F"               upper case: a length that is the same wherever the symbol stands in the object
//     "rows" "*"        lower case, or '*': any length
//     "..."             (first) any number of leading axes
//     "1"               that length
//     "in"  "out"       in recipes about a model's parameters: as the axis of {module}'s weight that the layer sums
//     over, or the other one, moves; "out:even"        the same without signs "row" "column"    as the weight's first
//     or last axis moves, whichever the layer sums over (embeddings)
struct TensorRule {
    std::string name;                // pattern (name_pattern.hpp), after the recipe's prefixes were cut
    std::vector<std::string> shape;  // words as above; for `like` rules empty
    std::string like;  // "same" or "even": as the parameter {module} or {module}.weight moves, or that without signs
                       // "stacked": as it moves, behind one more axis; "rows", "columns": without signs
                       // and without the last axis, or the last but one (Adafactor's factors); in all of
                       // them an axis of length 1 may stand for a moved one
    bool required = false;  // an object without it is not of this kind
    std::string why;
    bool inFirst = false;  // of experts in one tensor: transformers marks them is_transposed, [E, in, out]
    // Where an object with it has no sign as a symmetry, not even that of all channels together; without a key always.
    std::optional<ConfigRule> unsignedWhen{};
};

struct Recipe {
    std::string path;   // of the file, for messages
    std::string kind;   // what --kind takes
    std::string title;  // "SAELens SAE"

    // Recognition. All that are given must hold.
    std::string config;            // companion file's name; "" where there is none
    std::vector<ConfigRule> when;  // on that companion
    std::vector<ConfigRule>
        header;  // on the tensor file's own metadata (GGUF key-values), which is then the configuration, too
    std::vector<std::string> allTensors, anyTensor;  // patterns that must fit some tensor: each, at least one
    std::vector<std::pair<std::string, std::string>>
        refuseTensors;                 // name pattern -> what it is, for tensors that cannot be moved
    std::vector<std::string> formats;  // container names
    bool single = false;               // exactly one tensor
    bool asked = false;                // only by --kind: its names do not tell enough
    std::vector<std::string>
        files;  // in a folder: the tensor files, the first pattern that is there; an .index.json means its shards
    std::vector<std::string> alsoFiles;  // and these where they are there
    std::vector<std::string> copyFiles;  // files of tensors without coordinates, copied as they are

    // What it says.
    std::string refuse;  // the sentence, for kinds that are recognised in order to be refused
    std::vector<ConfigRule> refuseWhen, permutationOnly;
    std::vector<std::string>
        refusePaths;  // parts of a path that say that it is not residual, where the file itself does not
    std::string alwaysPermutationOnly;  // the reason, for kinds where signs never are a symmetry
    std::vector<std::pair<std::string, std::vector<std::string>>> known;  // key -> the values that this recipe knows
    std::vector<std::string> hooks;  // config keys that name the hook, each of which must be residual
    std::vector<std::pair<std::string, std::string>> sizes;  // symbol -> config keys
    std::vector<std::string> describe;
    bool metadata = true;               // the format's readers tolerate a metadata block that was not there before
    std::vector<std::string> recordIn;  // objects of the companion that may take the record of gauges; the first that
                                        // is there ("" is the outermost)
    bool aboutParameters = false;       // its rules refer to a model's parameters through {module}
    bool namesParameters =
        false;  // its table is what such rules look parameters up in: every model family's, and that of GGUF models
    bool optimizer = false;      // its parameters may be numbers (optimizer_names.hpp)
    bool namedByFolder = false;  // rules know a tensor as "<folder>/<file>/<tensor>"
    bool transposed = false;     // its weights are stored [in, out] (GPT-2)
    bool ordered = true;         // a table of one family, whose rows stand in the order in which modules register their
                                 // parameters; else one of many families, told by model_type or --kind alone
    bool model = false;          // a family of checkpoints: its names lose the model prefixes
    std::vector<TensorRule> tensors;
    struct ListKeys {
        std::vector<std::string> index, odd, even, about;
    } list;  // the keys and columns of a list of channels (channel_list.hpp), instead of tensors
    bool isList() const { return !list.index.empty(); }

    // Rules that every object of the kind must use, by name alone: how a family is told where there is no
    // configuration.
    bool requiredNamesFit(const std::vector<std::string_view>& names) const;
    // What messages call its configuration.
    std::string configName() const { return header.empty() ? config : "its header"; }
    // 2: recognised by its configuration, 1: by tensor names, 0: a fallback.
    int certainty() const;
};

// The shared lists of core/recipes/shared.json, and symmetry.json.
struct SharedRules {
    std::vector<std::string> residualHooks;
    std::vector<std::pair<std::string, std::string>> otherHooks;  // pattern -> what it is
    std::vector<std::pair<std::string, std::string>> quantised;   // tensor name pattern -> what it is
    std::vector<std::string> tensorFileEndings;                   // files that hold tensors, by name
    std::vector<std::string> wrappers;      // parts of a name that wrappers put in anywhere: "_orig_mod"
    std::vector<std::string> adapterParts;  // parts behind which an adapter may have its name: "lora_A"
    std::vector<std::string> otherStreams,
        projectors;  // modules of vision and audio towers; those among them that may end in the residual stream
    std::vector<TensorRule> heads;           // what any model may end in: score, value and classification heads
    std::vector<std::string> modelPrefixes;  // "model.", "base_model.model.": wrappers around a model's own names
    std::vector<std::string> modelFiles, modelCopyFiles;  // files and copyFiles of every model family
    Symmetries symmetries;
};

// "model.language_model.layers.0.x" -> "layers.0.x": the wrappers around a model's own names, cut as often as they
// occur.
std::string_view withoutModelPrefixes(std::string_view name);

// The name without what wrappers put in, wherever it stands, and without the names that PEFT gives adapters:
//     layers.0._orig_mod.mlp.up_proj.weight -> layers.0.mlp.up_proj.weight
//     q_proj.lora_A.default.weight -> q_proj.lora_A.weight        score.modules_to_save.default.weight -> score.weight
std::string unwrapped(std::string_view name);

// A tensor's name as its model family's table has it: unwrapped, without the model's prefixes, and without PEFT's
// "base_layer".
std::string ownName(std::string_view name);

// Parsed once. Throws Error(internal) where a compiled-in recipe is wrong; a test reads them all.
const std::vector<Recipe>& recipes();
const SharedRules& sharedRules();

}  // namespace regauge
