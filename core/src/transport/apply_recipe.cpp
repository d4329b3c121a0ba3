#include "transport/apply_recipe.hpp"

#include <algorithm>
#include <optional>
#include <tuple>

#include "codec/ggml_blocks.hpp"
#include "recipes/name_pattern.hpp"
#include "recipes/quantisation.hpp"
#include "regauge/error.hpp"
#include "transport/target_parameters.hpp"

namespace regauge {
namespace {

std::string place(const Member& member, const std::string& tensor) {
    return tensor.empty() ? member.file.source->name() : member.file.source->name() + ": " + tensor;
}

bool isSymbol(const std::string& word) {
    return word == "odd" || word == "even" || word == "d" || (word[0] >= 'A' && word[0] <= 'Z');
}
std::string symbolOf(const std::string& word) { return word == "odd" || word == "even" ? "d" : word; }

// "odd:blocks" and "even:blocks": an axis of several residual streams, one after the other.
constexpr std::string_view blocksEnding = ":blocks";
bool isBlocks(const std::string& word) { return word.ends_with(blocksEnding); }
bool isOdd(const std::string& word) { return word == "odd" || word == "odd:blocks"; }
std::string withoutSigns(const std::string& word) {
    return word == "odd" ? "even" : word == "odd:blocks" ? "even:blocks" : word;
}

bool isLength(const std::string& word) { return word[0] >= '0' && word[0] <= '9'; }
bool isLookedUp(const std::string& word) {
    return word == "in" || word == "out" || word == "in:even" || word == "out:even" || word == "row" ||
           word == "column";
}

// What becomes of an axis word of an adapter: as the axis of the adapted weight that it stands for. The weights of
// experts in one tensor have axes before the matrix's.
std::string lookedUp(const std::string& word, const Parameter& parameter) {
    const std::vector<std::string>& shape = parameter.rule->shape;
    const bool last = word == "column" || (word != "row" && word.starts_with("in") != parameter.transposed);
    const std::string& axis = shape[shape.size() - (last ? 1 : 2)];
    return !isOdd(axis) ? "*" : word.ends_with(":even") ? withoutSigns(axis) : axis;
}

// Whether a module belongs to a vision or audio tower, whose channels are not the language model's: what is about it is
// copied. A projector's own length d may be the residual stream's; then nothing is known.
bool inOtherStream(std::string_view module, const Shape& shape, std::uint64_t d) {
    const auto among = [&](const std::vector<std::string>& patterns) {
        return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
            return matchName(pattern, "." + std::string(module) + ".").has_value();
        });
    };
    if (!among(sharedRules().otherStreams)) return false;
    return !among(sharedRules().projectors) || (d != 0 && std::find(shape.begin(), shape.end(), d) == shape.end());
}

// The shape's words, one for each axis: "..." is spread, and "in" and "out" are looked up in the parameter's own rule,
// which is left in `about`.
// Nothing where the number of axes does not fit, or a length that the rule gives.
// d: the residual stream's width where it is known, or 0. family: as of parameterRule.
std::optional<std::vector<std::string>> wordsFor(const TensorRule& rule, std::string_view module, const Shape& shape,
                                                 std::uint64_t d, const Recipe* family, const TargetParameters& targets,
                                                 const std::string& where, Parameter& about) {
    const std::size_t axes = shape.size();
    std::vector<std::string> words = rule.shape;
    if (!words.empty() && words[0] == "...") {
        words.erase(words.begin());
        if (words.size() > axes) return std::nullopt;
        words.insert(words.begin(), axes - words.size(), "*");
    }
    if (words.size() != axes) return std::nullopt;
    for (std::size_t axis = 0; axis < axes; ++axis)
        if (isLength(words[axis]) && std::to_string(shape[axis]) != words[axis]) return std::nullopt;
    const bool pair = std::any_of(words.begin(), words.end(), isLookedUp);
    const auto target = pair ? targets.of(module, where) : std::nullopt;
    if (target) about.permutationOnly = target->permutationOnly;
    for (std::string& word : words) {
        if (!isLookedUp(word)) continue;
        if (target && (word == "in" || word == "out")) {
            word = word == "in" ? target->in : target->out;
            continue;
        }
        about = parameterRule(std::string(module) + ".weight", std::max<std::size_t>(axes, 2), family);
        if (!about.rule && inOtherStream(module, shape, d)) {
            word = "*";
            continue;
        }
        if (!about.rule)
            throw Error(ErrorCode::unknownTensor, where,
                        "is about '" + std::string(module) + "', a module that no model family of regauge has");
        word = lookedUp(word, about);
    }
    return words;
}

// The rules of LoRA's own tensors: optimizers keep state for them, and PEFT's raw state has them among the model's.
const std::vector<TensorRule>& adapterRules() {
    const auto lora = std::find_if(recipes().begin(), recipes().end(),
                                   [](const Recipe& recipe) { return recipe.kind == "peft-lora"; });
    return lora->tensors;
}

class Application {
public:
    Application(const Recipe& recipe, const Config& config, std::size_t d, const Recipe* family, const Config& adapter)
        : recipe_(recipe),
          config_(config),
          family_(recipe.model ? &recipe : family),
          targets_(adapter, family_),
          used_(recipe.tensors.size()) {
        if (d) bind("d", d);
        for (const auto& [symbol, keys] : recipe.sizes)
            if (const auto value = config.number(keys)) configured_.emplace_back(symbol, keys, *value);
    }

    void tensor(const Member& member, std::size_t index) {
        const StoredTensor& stored = member.file.tensors[index];
        const TensorInfo& info = stored.info;
        const std::string where = place(member, info.name);
        if (isBlockScale(info)) {
            setBlocks(where, "FP8, a scale for each");
            applied_.moves.push_back({info, {}, "the scales of a block-quantised FP8 weight"});
            return;
        }
        if (const auto packed = packedWeight(info.name)) throw Error(ErrorCode::unsupported, where, *packed);
        for (const auto& [pattern, what] : recipe_.refuseTensors)
            if (matchName(pattern, member.names[index])) throw Error(ErrorCode::unsupported, where, "is " + what);
        Parameter about;
        const std::string name = recipe_.model             ? ownName(member.names[index])
                                 : recipe_.aboutParameters ? std::string(withoutModelPrefixes(member.names[index]))
                                                           : member.names[index];
        const TensorRule* nearest = nullptr;
        std::vector<const TensorRule*> rules;
        for (const TensorRule& rule : recipe_.tensors) rules.push_back(&rule);
        if (recipe_.model)  // any model may have these, too
            for (const std::vector<TensorRule>* more : {&sharedRules().heads, &adapterRules()})
                for (const TensorRule& rule : *more)
                    if (rule.like.empty()) rules.push_back(&rule);
        const auto scale = recipe_.model ? scaleWords(name, info) : std::nullopt;
        if (scale) {
            applied_.moves.push_back(
                {info, movesOf(*scale, info, where), "a scale of quantised weights: with its output, never negated"});
            return;
        }
        for (std::size_t i = 0; i < rules.size(); ++i) {
            const TensorRule& rule = *rules[i];
            const auto module = matchName(rule.name, name);
            if (!module) continue;
            const auto words = rule.like.empty() ? wordsFor(rule, *module, info.shape, applied_.sizes.of("d"), family_,
                                                            targets_, where, about)
                                                 : likeWords(rule, *module, info, where, about);
            if (!words) {
                if (rule.like.empty()) nearest = &rule;
                continue;
            }
            if (i < used_.size()) used_[i] = true;
            if (!about.permutationOnly.empty()) applied_.permutationOnly = about.permutationOnly;
            if (const auto& when = (about.rule ? *about.rule : rule).unsignedWhen)
                if (when->key.empty() || when->holds(config_)) applied_.unsignedWhy = when->why;
            applied_.moves.push_back({info, movesOf(*words, info, where),
                                      rule.why + (member.parameters.empty() ? "" : ": " + member.parameters[index])});
            if (!stored.quantized.empty()) {
                applied_.moves.back().why += "; stored in blocks of " + stored.quantized;
                const std::vector<AxisMove>& axes = applied_.moves.back().moves;
                const bool along = std::any_of(
                    axes.begin(), axes.end(), [&](const AxisMove& move) { return move.axis + 1 == info.shape.size(); });
                if (!axes.empty()) setBlocks(where, stored.quantized, along);
            }
            return;
        }
        if (nearest)
            throw Error(
                ErrorCode::shapeMismatch, where,
                "has shape " + toString(info.shape) + "; " + recipe_.title + " has " + shapeText(*nearest) + " there");
        applied_.moves.push_back({info, {}, "no rule of " + recipe_.title + " names it"});
        applied_.unknown.push_back(info.name.empty() ? member.file.source->name() : info.name);
    }

    Applied finish(const std::string& where) {
        for (std::size_t i = 0; i < used_.size(); ++i)
            if (recipe_.tensors[i].required && !used_[i])
                throw Error(ErrorCode::malformed, where,
                            "has no tensor '" + recipe_.tensors[i].name + "', which every " + recipe_.title + " has");
        for (const auto& [symbol, key, value] : configured_) {
            const std::uint64_t found = applied_.sizes.of(symbol);
            if (found && found != value)
                throw Error(ErrorCode::shapeMismatch, where,
                            recipe_.configName() + " says " + key + " = " + std::to_string(value) +
                                ", and its tensors have " + std::to_string(found));
            if (!found) bind(symbol, value);
        }
        return std::move(applied_);
    }

private:
    void bind(const std::string& symbol, std::uint64_t length) { applied_.sizes.bound.emplace_back(symbol, length); }

    static std::string shapeText(const TensorRule& rule) {
        std::string text = "[";
        for (const std::string& word : rule.shape) text += (text.size() > 1 ? ", " : "") + symbolOf(word);
        return text + "]";
    }

    // The words of a model's parameter of so many axes, or of an adapter's. Nothing where no table knows it.
    std::optional<std::vector<std::string>> parameterWords(std::string_view name, std::size_t axes,
                                                           const std::string& where, Parameter& about) const {
        about = parameterRule(name, axes, family_);
        if (!about.rule) about = parameterRule(std::string(name) + ".weight", axes, family_);
        if (about.rule) return about.rule->shape;
        for (const TensorRule& rule : adapterRules()) {
            const auto module = rule.like.empty() ? matchName(rule.name, name) : std::nullopt;
            if (!module || rule.shape.size() != axes) continue;
            return wordsFor(rule, *module, Shape(axes, 1), applied_.sizes.of("d"), family_, targets_, where, about);
        }
        if (inOtherStream(name, {}, 0)) return std::vector<std::string>(axes, "*");
        return std::nullopt;
    }

    // As the parameter itself (its module's weight), or in one of the ways in which optimizers keep something for it
    // (TensorRule::like).
    std::optional<std::vector<std::string>> likeWords(const TensorRule& rule, std::string_view module,
                                                      const TensorInfo& info, const std::string& where,
                                                      Parameter& about) const {
        const bool rows = rule.like == "rows", columns = rule.like == "columns", stacked = rule.like == "stacked";
        const std::size_t axes = info.shape.size();
        if (stacked && axes < 2) return std::nullopt;
        auto words = parameterWords(module, rows || columns ? axes + 1 : stacked ? axes - 1 : axes, where, about);
        if (!words) return std::nullopt;
        if (rows) words->pop_back();
        if (columns) words->erase(words->end() - 2);
        if (stacked) words->insert(words->begin(), "*");
        for (std::size_t axis = 0; axis < words->size(); ++axis) {
            std::string& word = (*words)[axis];
            if (isLength(word)) continue;
            if (info.shape[axis] == 1) word = "*";  // a mean over the axis
            if (rule.like != "same" && !stacked) word = withoutSigns(word);
        }
        return words;
    }

    // The scales of a weight in FP8, where several numbers of one row or column have one of their own.
    static bool isBlockScale(const TensorInfo& info) {
        const bool named = info.name.ends_with("_scale_inv") || info.name.ends_with(".weight_scale");
        return named && isFloat(info.dtype) && elementCount(info.shape) != 1 && info.shape.size() >= 2 &&
               info.shape.back() != 1;
    }

    // along: whether the blocks lie along the axis that moves; otherwise its rows are whole blocks, whose signs regauge
    // does not change.
    void setBlocks(const std::string& where, const std::string& type, bool along = true) {
        const std::string why = along ? ", which run along the residual axis, and a permutation of the channels does "
                                        "not keep them together"
                                      : ", and regauge moves floats";
        if (!applied_.blocks)
            applied_.blocks.emplace(
                ErrorCode::unsupported, where,
                "is stored in blocks of " + type + why +
                    (isOpaque(type) ? "; " + std::string(makeFloats) + ", and move that"
                                    : "; transport --dequantize bf16 (or f16, f32) writes the values as "
                                      "floats and moves those"));
    }

    // A weight's scales as FP8 checkpoints have them: one for each output, [out, 1] or [out], or one in all. Nothing
    // where the name is none of these.
    std::optional<std::vector<std::string>> scaleWords(const std::string& name, const TensorInfo& info) const {
        for (const std::string_view ending : {"input_scale", "input_scale_ub", "activation_scale", "output_scale"})
            if (name.ends_with("." + std::string(ending)) && elementCount(info.shape) == 1)
                return std::vector<std::string>(info.shape.size(), "*");
        const std::string_view ending = name.ends_with("_inv") ? ".weight_scale_inv" : ".weight_scale";
        if (!name.ends_with(ending)) return std::nullopt;
        std::vector<std::string> words(info.shape.size(), "*");
        if (elementCount(info.shape) == 1) return words;
        const Parameter about = parameterRule(name.substr(0, name.size() - ending.size()) + ".weight", 2, family_);
        if (!about.rule) return std::nullopt;
        if (isOdd(about.rule->shape[0])) words[0] = withoutSigns(about.rule->shape[0]);
        return words;
    }

    std::vector<AxisMove> movesOf(const std::vector<std::string>& words, const TensorInfo& info,
                                  const std::string& where) {
        std::vector<AxisMove> moves;
        for (std::size_t axis = 0; axis < words.size(); ++axis) {
            const std::string& word = words[axis];
            if (isSymbol(word)) checkLength(symbolOf(word), axis, info, where);
            if (word != "odd" && word != "even" && !isBlocks(word)) continue;
            moves.push_back({isOdd(word) ? Action::odd : Action::even, axis,
                             isBlocks(word) ? blocksOf(axis, info, where) : std::size_t{1}});
        }
        return moves;
    }

    // How many streams of width d the axis holds.
    std::size_t blocksOf(std::size_t axis, const TensorInfo& info, const std::string& where) {
        std::uint64_t width = applied_.sizes.of("d");
        for (const auto& [symbol, keys, value] : configured_)
            if (width == 0 && symbol == "d") width = value;
        const std::uint64_t length = info.shape[axis];
        if (width == 0 || length == 0 || length % width != 0)
            throw Error(ErrorCode::dimensionMismatch, where,
                        "axis " + std::to_string(axis) + " of " + toString(info.shape) + " has length " +
                            std::to_string(length) + ", and several residual streams of width d = " +
                            std::to_string(width) + " are expected there, one after the other");
        return static_cast<std::size_t>(length / width);
    }

    void checkLength(const std::string& symbol, std::size_t axis, const TensorInfo& info, const std::string& where) {
        const std::uint64_t length = info.shape[axis], expected = applied_.sizes.of(symbol);
        if (!expected) return bind(symbol, length);
        if (length == expected) return;
        const std::string found =
            "axis " + std::to_string(axis) + " of " + toString(info.shape) + " has length " + std::to_string(length);
        if (symbol == "d")
            throw Error(ErrorCode::dimensionMismatch, where,
                        found + ", and the residual stream's width is d = " + std::to_string(expected));
        throw Error(ErrorCode::shapeMismatch, where,
                    found + ", and " + symbol + " is " + std::to_string(expected) + " elsewhere in the object");
    }

    const Recipe& recipe_;
    const Config& config_;
    const Recipe* family_;
    TargetParameters targets_;
    std::vector<bool> used_;
    std::vector<std::tuple<std::string, std::string, std::uint64_t>> configured_;
    Applied applied_;
};

}  // namespace

std::uint64_t Sizes::of(const std::string& symbol) const {
    const auto found = std::find_if(bound.begin(), bound.end(), [&](const auto& one) { return one.first == symbol; });
    return found == bound.end() ? 0 : found->second;
}

Applied applyRecipe(const Recipe& recipe, const std::vector<Member>& members, const Config& config, std::size_t d,
                    const Recipe* family, const Config& adapter) {
    Application application(recipe, config, d, family, adapter);
    for (const Member& member : members)
        for (std::size_t i = 0; i < member.file.tensors.size(); ++i) application.tensor(member, i);
    return application.finish(members.front().file.source->name());
}

Parameter parameterRule(std::string_view name, std::size_t axes, const Recipe* family) {
    Parameter found;
    const std::string_view own = withoutModelPrefixes(name);
    const auto ruleIn = [&](const Recipe& recipe) -> const TensorRule* {
        const auto rule = std::find_if(recipe.tensors.begin(), recipe.tensors.end(), [&](const TensorRule& one) {
            return one.shape.size() == axes && matchName(one.name, own);
        });
        return rule == recipe.tensors.end() ? nullptr : &*rule;
    };
    if (family)
        if (const TensorRule* rule = ruleIn(*family)) return {rule, family->transposed, family->alwaysPermutationOnly};
    const auto moved = [](const std::string& word) {
        return word.starts_with("odd") || word.starts_with("even") ? word : std::string("*");
    };
    std::vector<const Recipe*> tables;  // those of one family first: they are the better known ones
    for (const bool ordered : {true, false})
        for (const Recipe& recipe : recipes())
            if (recipe.namesParameters && recipe.ordered == ordered) tables.push_back(&recipe);
    for (const Recipe* table : tables) {
        const Recipe& recipe = *table;
        if (found.rule && !recipe.ordered) break;
        const TensorRule* rule = ruleIn(recipe);
        if (!rule) continue;
        if (found.rule && !std::equal(found.rule->shape.begin(), found.rule->shape.end(), rule->shape.begin(),
                                      [&](const auto& a, const auto& b) { return moved(a) == moved(b); }))
            throw Error(ErrorCode::ambiguous, std::string(name), "moves differently in different model families");
        const bool first = !found.rule;
        found.rule = rule;
        found.transposed = recipe.transposed;
        found.permutationOnly = recipe.alwaysPermutationOnly.empty() || !(first || !found.permutationOnly.empty())
                                    ? ""
                                    : recipe.alwaysPermutationOnly;
    }
    if (found.rule) return found;
    for (const TensorRule& rule : sharedRules().heads)
        if (rule.shape.size() == axes && matchName(rule.name, own)) found.rule = &rule;
    return found;
}

}  // namespace regauge
