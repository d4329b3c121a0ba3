// A checkpoint as evidence: what its weights say about the residual stream's channels. Which of them say something is
// in the recipes (recipes/stream_roles.hpp), so that what aligns moves, and what moves aligns.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "evidence/kinds.hpp"
#include "io/dequantized.hpp"
#include "io/json_text.hpp"
#include "recipes/gguf_model.hpp"
#include "recipes/recipe_table.hpp"
#include "recipes/stream_roles.hpp"
#include "regauge/error.hpp"
#include "regauge/io/checkpoint_files.hpp"

namespace regauge {
namespace {

// "layers.12.mlp.up_proj.weight" -> 12 and "mlp.up_proj"; whatever a family calls its list of layers.
struct InLayer {
    std::string_view layer;
    std::string_view module;
};
std::optional<InLayer> inLayer(std::string_view name) {
    constexpr std::string_view ending = ".weight";
    if (!name.ends_with(ending)) return std::nullopt;
    name.remove_suffix(ending.size());
    for (std::size_t begin = 0, dot = name.find('.'); dot != std::string_view::npos;
         begin = dot + 1, dot = name.find('.', begin)) {
        const std::string_view part = name.substr(begin, dot - begin);
        if (begin > 0 && !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos)
            return InLayer{part, name.substr(dot + 1)};
    }
    return std::nullopt;
}

struct ModelHints {
    std::string modelType;
    std::optional<std::uint64_t> hiddenSize;
    bool tied = false;
};

ModelHints readConfig(const Files& files, const std::string& folder) {
    ModelHints config;
    const std::string path = joinPath(folder, "config.json");
    if (!files.exists(path)) return config;
    const nlohmann::json json = parseJson(readJsonText(*files.open(path), "a configuration"), path);
    if (!json.is_object())
        throw Error(ErrorCode::malformed, path, "expected a JSON object with the model's configuration");
    const auto take = [&](const nlohmann::json& from) {
        if (const auto type = from.find("model_type"); type != from.end() && type->is_string())
            config.modelType = type->get<std::string>();
        if (const auto size = from.find("hidden_size"); size != from.end() && size->is_number_unsigned())
            config.hiddenSize = size->get<std::uint64_t>();
        if (const auto tied = from.find("tie_word_embeddings"); tied != from.end() && tied->is_boolean())
            config.tied = tied->get<bool>();
    };
    take(json);
    if (const auto text = json.find("text_config"); text != json.end() && text->is_object())
        take(*text);  // multimodal models nest the language model
    return config;
}

// Gemma multiplies with 1 + w. Without a config its four norms a layer, input_layernorm among them, tell it from OLMo2.
bool addsOne(const ModelHints& config, const std::vector<std::shared_ptr<const TensorFile>>& shards) {
    if (!config.modelType.empty())
        return config.modelType.starts_with("gemma") && !config.modelType.starts_with("gemma4");
    bool input = false;
    bool sandwich = false;
    for (const auto& shard : shards) {
        for (const StoredTensor& tensor : shard->tensors) {
            const std::string own = ownName(tensor.info.name);
            const std::optional<InLayer> at = inLayer(own);
            input = input || (at && at->module == "input_layernorm");
            sandwich = sandwich || (at && at->module == "pre_feedforward_layernorm");
        }
    }
    return input && sandwich;
}

class Collector {
public:
    // gguf: the model in whose words the tensors are named, or null.
    Collector(const ModelHints& config, double gainOffset, const GgufModel* gguf)
        : config_(config), gainOffset_(gainOffset), gguf_(gguf), d_(config.hiddenSize.value_or(0)) {}

    void findWidth(const TensorRef& tensor) {
        if (d_ == 0 && roleOf(tensor) == StreamRole::embedding && tensor.info().shape.size() == 2)
            d_ = tensor.info().shape[1];
    }

    void add(const TensorRef& tensor) {
        const std::optional<StreamRole> role = roleOf(tensor);
        if (!role) return;
        const std::string name = nameOf(tensor);
        const std::optional<InLayer> at = inLayer(name);
        switch (*role) {
            case StreamRole::embedding: return addRows("embedding", tensor, false);
            case StreamRole::unembedding:
                if (!config_.tied)
                    addRows("unembedding", tensor, false);  // tied models sometimes store the embedding twice
                return;
            case StreamRole::gains:
                return addGains(at ? std::string(at->module) + '.' + std::string(at->layer) : "final", tensor);
            case StreamRole::reads:
            case StreamRole::writes:
                if (!at || !isRowDtype(tensor.info().dtype))
                    return;  // packed in a way that is not computed; embedding and gains seldom are
                return addRows("weights." + std::string(at->layer) + '.' + siteModule(at->module), tensor, true,
                               *role == StreamRole::writes);
        }
    }

    Evidence take() {
        Evidence evidence;
        evidence.d = static_cast<std::size_t>(d_);
        std::stable_partition(sites_.begin(), sites_.end(), [](const Site& site) { return !site.weights; });
        evidence.sites = std::move(sites_);
        evidence.gains = std::move(gains_);
        return evidence;
    }

private:
    std::string nameOf(const TensorRef& tensor) const {
        return gguf_ != nullptr ? gguf_->nameOf(tensor.info().name) : ownName(tensor.info().name);
    }

    // Vision towers and adapters have layers and norms of their own, in another space.
    std::optional<StreamRole> roleOf(const TensorRef& tensor) const {
        const std::string& stored = tensor.info().name;
        if (ofOtherStream(stored) || stored.find("lora_") != std::string::npos) return std::nullopt;
        return streamRole(nameOf(tensor));
    }

    // "mlp.up_proj" -> "up_proj"; GPT-2 has a c_proj in both, and keeps which.
    static std::string siteModule(std::string_view module) {
        const std::string_view last = module.substr(module.find('.') + 1);
        return std::string(last == "c_proj" ? module : last);
    }

    void addRows(std::string name, const TensorRef& tensor, bool weights, bool columns = false) {
        const Shape& shape = tensor.info().shape;
        const std::uint64_t width = shape.size() != 2 ? 0 : columns ? shape[0] : shape[1];
        if (d_ == 0) d_ = width;
        if (width == 0 || width != d_) {
            throw Error(
                ErrorCode::shapeMismatch, tensor.where(),
                "expected " +
                    std::string(columns ? "[" + std::to_string(d_) + ", n]" : "[n, " + std::to_string(d_) + "]") +
                    " for hidden size " + std::to_string(d_) + ", found " + toString(shape));
        }
        Site site;
        site.name = std::move(name);
        site.rows = columns ? columnsOf(tensor) : rowsOf(tensor);
        if (const std::uint64_t heads = gguf_ != nullptr ? gguf_->interleavedHeads(tensor.info().name) : 0; heads != 0)
            site.rows = inHalves(std::move(site.rows), heads);
        site.weights = weights;
        site.vocabulary = !weights;
        sites_.push_back(std::move(site));
    }

    void addGains(std::string name, const TensorRef& tensor) {
        const Shape& shape = tensor.info().shape;
        if (d_ == 0 && shape.size() == 1) d_ = shape[0];
        if (shape.size() != 1 || shape[0] != d_)
            throw Error(ErrorCode::shapeMismatch, tensor.where(),
                        "expected gains [" + std::to_string(d_) + "], found " + toString(shape));
        gains_.push_back({std::move(name), readGains(tensor, gainOffset_)});
    }

    const ModelHints& config_;
    double gainOffset_;
    const GgufModel* gguf_;
    std::uint64_t d_;
    std::vector<Site> sites_;
    std::vector<Gains> gains_;
};

}  // namespace

bool looksLikeCheckpoint(const TensorFile& file) {
    if (file.format == FileFormat::gguf) return file.find("token_embd.weight") != nullptr;
    return std::any_of(file.tensors.begin(), file.tensors.end(), [](const StoredTensor& tensor) {
        const std::string name = ownName(tensor.info.name);
        const std::optional<StreamRole> role = streamRole(name);
        return role == StreamRole::embedding || (inLayer(name) && role == StreamRole::gains);
    });
}

Evidence checkpointEvidence(const Files& files, const std::string& path) {
    CheckpointFiles checkpoint = openCheckpointFiles(files, path);
    std::vector<std::shared_ptr<const TensorFile>> shards;
    for (TensorFile& shard : dequantized(std::move(checkpoint.shards), Dtype::F32))
        shards.push_back(std::make_shared<const TensorFile>(std::move(shard)));
    std::optional<GgufModel> gguf;
    ModelHints config;
    if (shards.front()->format == FileFormat::gguf) {
        gguf.emplace(*shards.front());
        config.hiddenSize = gguf->number("embedding_length");
    } else {
        config = readConfig(files, checkpoint.folder);
    }

    // GGUF files have Gemma's gains with the one added.
    Collector collector(config, !gguf && addsOne(config, shards) ? 1.0 : 0.0, gguf ? &*gguf : nullptr);
    const auto each = [&](auto&& visit) {
        for (const auto& shard : shards) {
            for (std::size_t i = 0; i < shard->tensors.size(); ++i) visit(TensorRef{shard, i});
        }
    };
    each([&](const TensorRef& tensor) { collector.findWidth(tensor); });
    each([&](const TensorRef& tensor) { collector.add(tensor); });
    Evidence evidence = collector.take();
    if (evidence.sites.empty() && evidence.gains.empty()) {
        throw Error(ErrorCode::unsupported, path,
                    "no embedding, gains or known weights in this checkpoint; expected Hugging Face names such as "
                    "model.embed_tokens.weight");
    }
    return evidence;
}

}  // namespace regauge
