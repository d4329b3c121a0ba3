// A small reference forward pass, to show that a moved checkpoint computes the same function, and to sample activations
// without Python.
// For small models: weights are held in float32 in memory, and attention is the plain O(T^2) one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/progress.hpp"

namespace regauge {

// What the forward pass needs of a Hugging Face config.json (text_config where the model is multimodal).
struct ModelConfig {
    std::string modelType;  // llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3_text, olmo2, phi3
    std::size_t d = 0, layers = 0, heads = 0, kvHeads = 0, headDim = 0;
    std::size_t neurons = 0;  // of each MLP
    std::size_t vocabulary = 0;
    double normEps = 1e-6;
    bool tiedEmbeddings = false;

    // What sets the families apart.
    bool gainOffset = false;       // gain = 1 + w (Gemma)
    double embeddingScale = 1;     // sqrt(d) in Gemma
    bool preNorms = true;          // input_layernorm and the norm before the MLP (OLMo 2: none)
    bool postNorms = false;        // a norm after attention and after the MLP (OLMo 2, Gemma 2 and 3)
    bool headNorms = false;        // q_norm, k_norm of length headDim (Qwen3, Gemma 3)
    bool projectionNorms = false;  // q_norm, k_norm over the whole projection (OLMo 2)
    bool fused = false;            // qkv_proj and gate_up_proj (Phi-3)
    enum class Activation { silu, geluTanh, gelu } activation = Activation::silu;
    double attentionSoftcap = 0, logitSoftcap = 0;  // 0: none
    double queryScale = 0;                          // multiplies q k^T

    // Rotary embedding of one layer: inverse frequencies, half-split rows; and its attention window (0: all before).
    struct Rotary {
        std::vector<double> inverseFrequency;
        double scale = 1;  // on cos and sin
    };
    std::vector<Rotary> rotary;       // [layers]
    std::vector<std::size_t> window;  // [layers]
};

// Throws Error: malformed, unsupported (the family, or an option of it that the pass does not compute).
ModelConfig parseModelConfig(std::string_view json, const std::string& where);

// A checkpoint in memory, ready to run.
class Model {
public:
    // A folder with config.json and model.safetensors (or shards), or a GGUF file; quantised GGUF and FP8 weights are
    // computed. Throws Error: missingFile, malformed (a tensor is missing), shapeMismatch (not what the configuration
    // says), wrongDtype, unsupported (as parseModelConfig), tooLarge (more than 3 GiB as float32), cancelled, and those
    // of openCheckpointFiles.
    static Model load(const Files& files, const std::string& path, const Progress& progress = {});
    ~Model();
    Model(Model&&) noexcept;
    Model& operator=(Model&&) noexcept;

    const ModelConfig& config() const;

    // Called for every place where the residual stream can be read: "resid.0" is the embedding, "resid.l" what layer
    // l-1 put out. [tokens, d], which it may change (steering).
    using ResidualHook = std::function<void(std::size_t place, std::span<float> residual)>;

    // Shows `hook` the residual stream of one sequence. Throws Error(usage) for a token beyond the vocabulary.
    void read(std::span<const std::int64_t> tokens, const ResidualHook& hook) const;
    // Logits [tokens, vocabulary] of one sequence. Throws as `read`, and Error(malformed) where the model was saved
    // without the unembedding that its configuration speaks of.
    std::vector<float> logits(std::span<const std::int64_t> tokens, const ResidualHook& hook = {}) const;

    // Keys and values of the tokens that were read, by layer [tokens, kvHeads, headDim], so that those that follow cost
    // one pass over themselves alone.
    struct Past {
        std::vector<std::vector<float>> keys, values;
        std::size_t tokens = 0;
    };
    // The same for tokens that follow `past`, which grows by them. The hook sees only these tokens.
    std::vector<float> logits(std::span<const std::int64_t> tokens, Past& past, const ResidualHook& hook = {}) const;

    // The RMSNorm gains on the residual stream, as multiplied with (Gemma: 1 + w): "attn.0", "mlp.0", ..., "final".
    // Empty where a family has none.
    void forEachGain(const std::function<void(const std::string& name, const std::vector<float>& gain)>& visit) const;

private:
    struct Weights;
    explicit Model(std::unique_ptr<Weights> weights);
    std::vector<float> residualAfter(std::span<const std::int64_t> tokens, Past& past, const ResidualHook& hook) const;
    std::unique_ptr<Weights> weights_;
};

// How far two models' next-token distributions differ over the same sequences.
struct FunctionDifference {
    double maxLogitDifference = 0;  // max |a - b|
    double maxKl = 0;               // max over positions of KL(a || b), in nats
    double meanKl = 0;
    double topAgreement = 0;  // share of positions with the same most likely token
    std::uint64_t positions = 0;
};
// The largest |a - b| of logits that counts as the same function, unless another is given. A choice: room for float32
// sums in another order, and little against the logits themselves, which are of the order of ten.
inline constexpr double sameFunction = 1e-3;
// Where a logit is NaN or infinite, the largest difference and the KLs are infinite, and the position agrees with none.
// Throws Error: dimensionMismatch (vocabularies differ), cancelled, and those of Model::logits.
FunctionDifference verify(const Model& a, const Model& b, const std::vector<std::vector<std::int64_t>>& sequences,
                          const Progress& progress = {});

// Activation evidence of a model over sequences: activations/resid.<place> [tokens, d] F32 for every place,
// gains/<norm>.<layer> and gains/final [d], and token_ids [tokens]; what `align` reads. Throws Error: tooLarge (more
// than 2^29 numbers), cancelled, and those of Model::read.
void writeActivations(const Model& model, const std::vector<std::vector<std::int64_t>>& sequences, ByteSink& out,
                      const Progress& progress = {});

// Token ids from a file: .npy or .safetensors (token_ids, input_ids or the only tensor) integers [tokens] or
// [sequences, tokens], or a JSON array of either. At least one sequence, each of at least one token. Throws Error:
// malformed (no token, no such tensor, JSON of anything else), wrongDtype, shapeMismatch, tooLarge (more than 2^24),
// and those of openTensorFile.
std::vector<std::vector<std::int64_t>> readTokens(const Files& files, const std::string& path);

}  // namespace regauge
