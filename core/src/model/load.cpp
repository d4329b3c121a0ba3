#include <algorithm>
#include <map>
#include <optional>

#include "io/bytes.hpp"
#include "io/dequantized.hpp"
#include "io/float_tensor.hpp"
#include "io/json_text.hpp"
#include "model/gguf_config.hpp"
#include "model/weights.hpp"
#include "recipes/config.hpp"
#include "recipes/gguf_model.hpp"
#include "recipes/recipe_table.hpp"
#include "regauge/error.hpp"
#include "regauge/io/checkpoint_files.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t largestModel =
    std::uint64_t{3} << 30;  // bytes of float32: the pass is for small models, and wasm has 4 GiB in all

// The files of a model: those of a checkpoint folder, or a GGUF file (or all of a split one).
std::vector<TensorFile> filesOf(const Files& files, const std::string& path) {
    if (files.isFolder(path) ? checkpointFileIn(files, path).empty() : !path.ends_with(".gguf"))
        throw Error(ErrorCode::missingFile, path,
                    "is no model that can be run: expected a checkpoint folder (config.json and .safetensors files) or "
                    "a .gguf file");
    return openCheckpointFiles(files, path).shards;
}

// A model's tensors, by the names of a bare language model ("model." and the like taken off), quantised ones as floats.
class Tensors {
public:
    Tensors(const Files& files, const std::string& path) : path_(path) {
        files_ = dequantized(filesOf(files, path), Dtype::F32);
        if (files_.front().format == FileFormat::gguf) gguf_.emplace(files_.front());
        std::uint64_t elements = 0;
        for (std::size_t file = 0; file < files_.size(); ++file)
            for (std::size_t k = 0; k < files_[file].tensors.size(); ++k) {
                const TensorInfo& info = files_[file].tensors[k].info;
                places_[gguf_ ? gguf_->nameOf(info.name) : ownName(info.name)] = {file, k};
                elements += *elementCount(info.shape);
            }
        if (elements * sizeof(float) > largestModel)
            throw Error(ErrorCode::tooLarge, path,
                        "has " + std::to_string(elements) + " weights; the reference pass is for models of up to " +
                            std::to_string(largestModel / sizeof(float)));
    }

    // Where the model is a GGUF file: its key-values. nullptr otherwise.
    const GgufModel* gguf() const { return gguf_ ? &*gguf_ : nullptr; }

    bool has(const std::string& name) const { return places_.contains(name); }
    const Shape& shapeOf(const std::string& name) const { return at(name).info.shape; }

    // Checks the shape; converts to float32.
    std::vector<float> read(const std::string& name, const Shape& shape) const {
        const StoredTensor& stored = at(name);
        const auto [file, index] = places_.at(name);
        std::vector<float> values = readFloats(files_[file], index, shape);
        const std::uint64_t heads = gguf_ ? gguf_->interleavedHeads(stored.info.name) : 0;
        if (heads == 0) return values;
        return inHalves(values, static_cast<std::size_t>(shape[0]), heads,
                        placeOf(files_[file].source->name(), stored.info.name));
    }

private:
    const StoredTensor& at(const std::string& name) const {
        const auto place = places_.find(name);
        if (place == places_.end()) throw Error(ErrorCode::malformed, path_, "the tensor '" + name + "' is missing");
        return files_[place->second.first].tensors[place->second.second];
    }

    // Rows of heads as a GGUF converter interleaved them, a0 b0 a1 b1 .., put back: a0 a1 .. b0 b1 ..
    static std::vector<float> inHalves(const std::vector<float>& values, std::size_t rows, std::uint64_t heads,
                                       const std::string& where) {
        if (rows % (2 * heads) != 0)
            throw Error(ErrorCode::shapeMismatch, where,
                        "has " + std::to_string(rows) + " rows, which do not divide into " + std::to_string(heads) +
                            " heads of two halves each");
        const std::size_t row = values.size() / rows, ofHead = rows / static_cast<std::size_t>(heads);
        std::vector<float> result(values.size());
        for (std::size_t i = 0; i < rows; ++i) {
            const std::size_t within = i % ofHead,
                              from = i - within + within % (ofHead / 2) * 2 + within / (ofHead / 2);
            std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(from * row), row,
                        result.begin() + static_cast<std::ptrdiff_t>(i * row));
        }
        return result;
    }

    std::string path_;
    std::vector<TensorFile> files_;
    std::optional<GgufModel> gguf_;
    std::map<std::string, std::pair<std::size_t, std::size_t>> places_;
};

// Rows [first, first + out) of a stored [rows, in] weight, transposed to [in, out].
Linear transposed(const std::vector<float>& stored, std::size_t in, std::size_t first, std::size_t out) {
    Linear linear{in, out, std::vector<float>(in * out), {}};
    for (std::size_t o = 0; o < out; ++o)
        for (std::size_t k = 0; k < in; ++k) linear.weight[k * out + o] = stored[(first + o) * in + k];
    return linear;
}

Linear readLinear(const Tensors& tensors, const std::string& name, std::size_t in, std::size_t out) {
    Linear linear = transposed(tensors.read(name + ".weight", {out, in}), in, 0, out);
    if (tensors.has(name + ".bias")) linear.bias = tensors.read(name + ".bias", {out});
    return linear;
}

Layer readLayer(const Tensors& tensors, const ModelConfig& config, std::size_t index) {
    const std::string at = "layers." + std::to_string(index) + ".", attention = at + "self_attn.", mlp = at + "mlp.";
    const std::size_t d = config.d, queries = config.heads * config.headDim, keys = config.kvHeads * config.headDim;
    const auto norm = [&](const char* name, std::size_t length) {
        std::vector<float> gains = tensors.read(at + name + ".weight", {length});
        if (config.gainOffset)
            for (float& gain : gains) gain += 1.0F;
        return gains;
    };
    Layer layer;
    if (config.preNorms) layer.inputNorm = norm("input_layernorm", d);
    if (config.postNorms) {
        layer.postAttentionNorm = norm("post_attention_layernorm", d);
        layer.postMlpNorm = norm("post_feedforward_layernorm", d);
        if (config.preNorms) layer.preMlpNorm = norm("pre_feedforward_layernorm", d);
    } else {
        layer.preMlpNorm = norm("post_attention_layernorm", d);
    }
    if (config.headNorms || config.projectionNorms) {
        layer.queryNorm = norm("self_attn.q_norm", config.headNorms ? config.headDim : queries);
        layer.keyNorm = norm("self_attn.k_norm", config.headNorms ? config.headDim : keys);
    }
    if (config.fused) {
        const std::vector<float> qkv = tensors.read(attention + "qkv_proj.weight", {queries + 2 * keys, d});
        layer.query = transposed(qkv, d, 0, queries);
        layer.key = transposed(qkv, d, queries, keys);
        layer.value = transposed(qkv, d, queries + keys, keys);
        const std::vector<float> gateUp = tensors.read(mlp + "gate_up_proj.weight", {2 * config.neurons, d});
        layer.gate = transposed(gateUp, d, 0, config.neurons);
        layer.up = transposed(gateUp, d, config.neurons, config.neurons);
    } else {
        layer.query = readLinear(tensors, attention + "q_proj", d, queries);
        layer.key = readLinear(tensors, attention + "k_proj", d, keys);
        layer.value = readLinear(tensors, attention + "v_proj", d, keys);
        layer.gate = readLinear(tensors, mlp + "gate_proj", d, config.neurons);
        layer.up = readLinear(tensors, mlp + "up_proj", d, config.neurons);
    }
    layer.output = readLinear(tensors, attention + "o_proj", queries, d);
    layer.down = readLinear(tensors, mlp + "down_proj", config.neurons, d);
    return layer;
}

ModelConfig readConfig(const Files& files, const std::string& path, const Tensors& tensors) {
    if (const GgufModel* gguf = tensors.gguf()) {
        const Shape& embedding = tensors.shapeOf("embed_tokens.weight");
        ModelConfig config =
            ggufModelConfig(*gguf, embedding.empty() ? 0 : embedding.front(), !tensors.has("lm_head.weight"), path);
        for (const char* name : {"rope_factors_long.weight", "rope_factors_short.weight"})
            if (tensors.has(name))
                throw Error(ErrorCode::unsupported, path,
                            "has " + std::string(name) +
                                ": the reference pass does not compute rope scaling of type "
                                "longrope");
        // Llama 3's scaling, by which the converter says the frequencies are divided.
        if (tensors.has("rope_freqs.weight") && !config.rotary.empty()) {
            const std::size_t count = config.rotary.front().inverseFrequency.size();
            const std::vector<float> factors = tensors.read("rope_freqs.weight", {count});
            for (ModelConfig::Rotary& rotary : config.rotary)
                for (std::size_t k = 0; k < count; ++k) rotary.inverseFrequency[k] /= static_cast<double>(factors[k]);
        }
        return config;
    }
    const std::string configPath = joinPath(path, "config.json");
    return parseModelConfig(readJsonText(*files.open(configPath), "a configuration"), configPath);
}

// The unembedding: its own tensor, or the embedding where the two are tied or nobody says that they are not. Nothing
// where it is missing, as of a model that was saved without one.
std::optional<Linear> readHead(const Files& files, const std::string& path, const Tensors& tensors,
                               const ModelConfig& config, const std::vector<float>& embedding) {
    if (!config.tiedEmbeddings && tensors.has("lm_head.weight"))
        return readLinear(tensors, "lm_head", config.d, config.vocabulary);
    if (!config.tiedEmbeddings && !tensors.gguf()) {
        const Config said = Config::read(*files.open(joinPath(path, "config.json")));
        if (said.text("text_config.tie_word_embeddings|tie_word_embeddings") == "false") return std::nullopt;
    }
    return transposed(embedding, config.d, 0, config.vocabulary);
}

}  // namespace

Model Model::load(const Files& files, const std::string& path, const Progress& progress) {
    if (!files.exists(path)) throw Error(ErrorCode::missingFile, path, "no such checkpoint folder or .gguf file");
    const std::string folder = snapshotOf(files, path);
    auto weights = std::make_unique<Weights>();
    const Tensors tensors(files, folder);
    weights->config = readConfig(files, folder, tensors);
    const ModelConfig& config = weights->config;

    weights->embedding = tensors.read("embed_tokens.weight", {config.vocabulary, config.d});
    for (std::size_t layer = 0; layer < config.layers; ++layer) {
        progress.report("loading " + folder, layer, config.layers);
        weights->layers.push_back(readLayer(tensors, config, layer));
    }
    weights->finalNorm = tensors.read("norm.weight", {config.d});
    if (config.gainOffset)
        for (float& gain : weights->finalNorm) gain += 1.0F;
    weights->head = readHead(files, folder, tensors, config, weights->embedding);
    weights->path = path;
    return Model(std::move(weights));
}

Model::Model(std::unique_ptr<Weights> weights) : weights_(std::move(weights)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
const ModelConfig& Model::config() const { return weights_->config; }

}  // namespace regauge
