// A Hugging Face checkpoint as evidence: what its weights say about the residual stream's channels. Names: FORMATS.md
// sections 6.1 and 6.2.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "evidence/kinds.hpp"
#include "io/bytes.hpp"
#include "io/json_text.hpp"
#include "recipes/recipe_table.hpp"
#include "regauge/io/checkpoint_files.hpp"

namespace regauge {
namespace {

constexpr std::string_view embeddings[] = {"embed_tokens.weight",
                                           "tok_embeddings.weight",
                                           "wte.weight",
                                           "embed_in.weight",
                                           "word_embeddings.weight",
                                           "decoder.embed_tokens.weight",
                                           "backbone.embeddings.weight",
                                           "text_model.embed_tokens.weight",
                                           "shared.weight",
                                           "biogpt.embed_tokens.weight"};
constexpr std::string_view unembeddings[] = {"lm_head.weight", "output.weight", "embed_out.weight"};
constexpr std::string_view finalNorms[] = {"norm.weight", "ln_f.weight", "final_layernorm.weight",
                                           "final_layer_norm.weight"};
// By name and never by length: OLMo2's q_norm is as long as the residual stream is wide, and lives in head space.
constexpr std::string_view layerNorms[] = {"input_layernorm",
                                           "post_attention_layernorm",
                                           "pre_feedforward_layernorm",
                                           "post_feedforward_layernorm",
                                           "post_self_attn_layernorm",
                                           "post_mlp_layernorm",
                                           "attention_layernorm",
                                           "feedforward_layernorm",
                                           "attention_norm",
                                           "ffn_norm",
                                           "ln_1",
                                           "ln_2"};
// Modules inside a layer: [out, d] reads the residual stream, [d, in] writes it.
constexpr std::string_view readers[] = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.qkv_proj", "mlp.gate_proj",
    "mlp.up_proj",      "mlp.gate_up_proj", "attention.wqkv",   "feed_forward.w1",    "feed_forward.w3"};
constexpr std::string_view writers[] = {"self_attn.o_proj", "mlp.down_proj", "attention.wo", "feed_forward.w2"};

template <std::size_t N>
bool isOneOf(std::string_view text, const std::string_view (&list)[N]) {
    return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

// "layers.12.mlp.up_proj.weight" -> 12 and "mlp.up_proj".
struct InLayer {
    std::string_view layer;
    std::string_view module;
};
std::optional<InLayer> inLayer(std::string_view name) {
    for (const std::string_view list : {"layers.", "h."}) {
        if (!name.starts_with(list)) continue;
        const std::string_view rest = name.substr(list.size());
        const std::size_t dot = rest.find('.');
        if (dot == std::string_view::npos || dot == 0 || dot > 6 || rest.find_first_not_of("0123456789") != dot ||
            !rest.ends_with(".weight"))
            return std::nullopt;
        return InLayer{rest.substr(0, dot),
                       rest.substr(dot + 1, rest.size() - dot - 1 - std::string_view(".weight").size())};
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
    const std::unique_ptr<ByteSource> source = files.open(path);
    if (source->size() > (std::uint64_t{16} << 20))
        throw Error(ErrorCode::tooLarge, path, "a config of more than 16 MiB is not a model's");
    const nlohmann::json json = parseJson(asText(readBytes(*source, 0, source->size())));
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
    Collector(const ModelHints& config, double gainOffset)
        : config_(config), gainOffset_(gainOffset), d_(config.hiddenSize.value_or(0)) {}

    // Vision towers and adapters have layers and norms of their own, in another space.
    static bool isForeign(std::string_view name) {
        return name.find("vision") != std::string_view::npos || name.find("visual") != std::string_view::npos ||
               name.find("audio") != std::string_view::npos || name.find("lora_") != std::string_view::npos;
    }

    void findWidth(const TensorRef& tensor) {
        if (d_ == 0 && !isForeign(tensor.info().name) && isOneOf(ownName(tensor.info().name), embeddings) &&
            tensor.info().shape.size() == 2)
            d_ = tensor.info().shape[1];
    }

    void add(const TensorRef& tensor) {
        if (isForeign(tensor.info().name)) return;
        const std::string name = ownName(tensor.info().name);
        const std::optional<InLayer> at = inLayer(name);
        if (isOneOf(name, embeddings)) {
            addRows("embedding", tensor, false);
        } else if (isOneOf(name, unembeddings)) {
            if (!config_.tied)
                addRows("unembedding", tensor, false);  // tied models sometimes store the embedding twice
        } else if (isOneOf(name, finalNorms)) {
            addGains("final", tensor);
        } else if (at && isOneOf(at->module, layerNorms)) {
            addGains(std::string(at->module) + '.' + std::string(at->layer), tensor);
        } else if (at && (isOneOf(at->module, readers) || isOneOf(at->module, writers))) {
            if (!isRowDtype(tensor.info().dtype))
                return;  // quantized weights are no evidence; embedding and gains are seldom quantized
            const std::string module(at->module.substr(at->module.find('.') + 1));
            addRows("weights." + std::string(at->layer) + '.' + module, tensor, true, isOneOf(at->module, writers));
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
    std::uint64_t d_;
    std::vector<Site> sites_;
    std::vector<Gains> gains_;
};

}  // namespace

bool looksLikeCheckpoint(const TensorFile& file) {
    return std::any_of(file.tensors.begin(), file.tensors.end(), [](const StoredTensor& tensor) {
        const std::string name = ownName(tensor.info.name);
        const std::optional<InLayer> at = inLayer(name);
        return isOneOf(name, embeddings) || (at && isOneOf(at->module, layerNorms));
    });
}

Evidence checkpointEvidence(const Files& files, const std::string& path) {
    CheckpointFiles checkpoint = openCheckpointFiles(files, path);
    const ModelHints config = readConfig(files, checkpoint.folder);
    std::vector<std::shared_ptr<const TensorFile>> shards;
    for (TensorFile& shard : checkpoint.shards) shards.push_back(std::make_shared<const TensorFile>(std::move(shard)));

    Collector collector(config, addsOne(config, shards) ? 1.0 : 0.0);
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
