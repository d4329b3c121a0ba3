#include <algorithm>
#include <map>

#include "model/weights.hpp"
#include "recipes/recipe_table.hpp"
#include "regauge/error.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t largestModel =
    std::uint64_t{3} << 30;  // bytes of float32: the pass is for small models, and wasm has 4 GiB in all

// The tensors of every safetensors file in a folder, by the names of a bare language model ("model." and the like taken
// off).
class Tensors {
public:
    Tensors(const Files& files, const std::string& folder) : folder_(folder) {
        for (const std::string& name : files.list(folder)) {
            if (!name.ends_with(".safetensors")) continue;
            files_.push_back(openTensorFile(std::shared_ptr<const ByteSource>(files.open(folder + "/" + name))));
        }
        if (files_.empty())
            throw Error(ErrorCode::missingFile, folder,
                        "holds no .safetensors file; a checkpoint folder has config.json and model.safetensors");
        std::uint64_t elements = 0;
        for (std::size_t file = 0; file < files_.size(); ++file)
            for (std::size_t k = 0; k < files_[file].tensors.size(); ++k) {
                const TensorInfo& info = files_[file].tensors[k].info;
                places_[ownName(info.name)] = {file, k};
                elements += *elementCount(info.shape);
            }
        if (elements * sizeof(float) > largestModel)
            throw Error(ErrorCode::tooLarge, folder,
                        "has " + std::to_string(elements) + " weights; the reference pass is for models of up to " +
                            std::to_string(largestModel / sizeof(float)));
    }

    bool has(const std::string& name) const { return places_.contains(name); }

    // Checks the shape; converts to float32.
    std::vector<float> read(const std::string& name, const Shape& shape) const {
        const auto place = places_.find(name);
        if (place == places_.end()) throw Error(ErrorCode::malformed, folder_, "the tensor '" + name + "' is missing");
        const TensorFile& file = files_[place->second.first];
        const TensorInfo& info = file.tensors[place->second.second].info;
        const std::string where = file.source->name() + ": " + info.name;
        if (info.shape != shape)
            throw Error(ErrorCode::shapeMismatch, where,
                        "has shape " + toString(info.shape) + "; config.json says " + toString(shape));
        std::vector<std::byte> bytes(static_cast<std::size_t>(info.bytes));
        tensorBytes(file, place->second.second)->read(0, bytes);
        std::vector<float> values(static_cast<std::size_t>(*elementCount(shape)));
        if (!isFloat(info.dtype))
            throw Error(ErrorCode::wrongDtype, where,
                        "is " + std::string(name_(info.dtype)) + ", and a float is needed");
        convertToFloat(bytes, info.dtype, values);
        return values;
    }

private:
    static std::string_view name_(Dtype dtype) { return regauge::name(dtype); }
    std::string folder_;
    std::vector<TensorFile> files_;
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

std::string readText(const Files& files, const std::string& path) {
    const std::unique_ptr<ByteSource> source = files.open(path);
    if (source->size() > (std::uint64_t{16} << 20))
        throw Error(ErrorCode::malformed, path, "too large for a config.json");
    std::string text(static_cast<std::size_t>(source->size()), '\0');
    source->read(0, std::as_writable_bytes(std::span(text)));
    return text;
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
        const std::vector<float> gateUp = tensors.read(mlp + "gate_up_proj.weight", {2 * config.hidden, d});
        layer.gate = transposed(gateUp, d, 0, config.hidden);
        layer.up = transposed(gateUp, d, config.hidden, config.hidden);
    } else {
        layer.query = readLinear(tensors, attention + "q_proj", d, queries);
        layer.key = readLinear(tensors, attention + "k_proj", d, keys);
        layer.value = readLinear(tensors, attention + "v_proj", d, keys);
        layer.gate = readLinear(tensors, mlp + "gate_proj", d, config.hidden);
        layer.up = readLinear(tensors, mlp + "up_proj", d, config.hidden);
    }
    layer.output = readLinear(tensors, attention + "o_proj", queries, d);
    layer.down = readLinear(tensors, mlp + "down_proj", config.hidden, d);
    return layer;
}

}  // namespace

Model Model::load(const Files& files, const std::string& folder, const Progress& progress) {
    if (!files.isFolder(folder))
        throw Error(ErrorCode::missingFile, folder,
                    "must be a checkpoint folder with config.json and .safetensors files");
    auto weights = std::make_unique<Weights>();
    const std::string configPath = folder + "/config.json";
    weights->config = parseModelConfig(readText(files, configPath), configPath);
    const ModelConfig& config = weights->config;
    const Tensors tensors(files, folder);

    weights->embedding = tensors.read("embed_tokens.weight", {config.vocabulary, config.d});
    for (std::size_t layer = 0; layer < config.layers; ++layer) {
        progress.report("loading " + folder, layer, config.layers);
        weights->layers.push_back(readLayer(tensors, config, layer));
    }
    weights->finalNorm = tensors.read("norm.weight", {config.d});
    if (config.gainOffset)
        for (float& gain : weights->finalNorm) gain += 1.0F;
    weights->head = tensors.has("lm_head.weight") && !config.tiedEmbeddings
                        ? readLinear(tensors, "lm_head", config.d, config.vocabulary)
                        : transposed(weights->embedding, config.d, 0, config.vocabulary);
    return Model(std::move(weights));
}

Model::Model(std::unique_ptr<Weights> weights) : weights_(std::move(weights)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
const ModelConfig& Model::config() const { return weights_->config; }

}  // namespace regauge
