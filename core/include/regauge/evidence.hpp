// Evidence: what tells the channels of a residual stream apart. Paired rows (activations, embedding rows) by site, and
// RMSNorm gains.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/io/file_hash.hpp"
#include "regauge/tensor.hpp"

namespace regauge {

// Rows of length d in a file, read in blocks: a safetensors tensor, a .npy in either order and endianness, columns of a
// weight.
class RowReader {
public:
    virtual ~RowReader() = default;
    virtual std::uint64_t rows() const = 0;
    virtual std::size_t d() const = 0;
    virtual Dtype dtype() const = 0;  // F16, BF16, F32 or F64
    // Rows [first, first + count) as row-major little-endian elements of dtype(): count * d() * byteSize(dtype())
    // bytes.
    virtual void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const = 0;
    // Fewer rows cost as much as so many, beginning at a multiple of it.
    virtual std::uint64_t rowsTogether() const { return 1; }
    // "evidence.safetensors: activations/resid.4", for messages.
    virtual const std::string& where() const = 0;
};

// One named block of paired rows, e.g. "resid.4" or "embedding".
struct Site {
    std::string name;
    std::shared_ptr<const RowReader> rows;
    std::uint64_t sequence =
        0;                    // rows of one sequence, from a shape [.., sequence, d]; 0 where the shape does not tell
    bool weights = false;     // rows or columns of a weight inside the layers: evidence only where heads and neurons of
                              // both models still correspond
    bool vocabulary = false;  // one row a token, numbered as the tokenizer numbers them: a longer vocabulary begins
                              // with the shorter one
};

// The gain vector of one RMSNorm, as the model multiplies with it (Gemma: 1 + w). Even: it permutes and takes no sign.
struct Gains {
    std::string name;            // "attn.3", "final"
    std::vector<double> values;  // [d]
};

// One side's evidence.
struct Evidence {
    std::string name;  // the path it came from
    FileHash sha256;   // of the file; empty for folders and very large files
    std::size_t d = 0;
    std::vector<Site> sites;
    std::vector<Gains> gains;
    std::optional<std::vector<std::int64_t>> tokenIds;  // one a row
    std::optional<std::vector<std::uint8_t>> mask;      // attention_mask: 0 = padding; one a row
};

// Opens any evidence file or folder, recognised by content: a .safetensors bundle with
// activations/<site> [..., d], gains/<site> [d] and optional token_ids and attention_mask; plain .npy, .npz, .pt or
// .safetensors rows (a single tensor is the site "rows", several are sites under their names); a folder of such files
// (each a site by its stem), or with evidence.safetensors; an Arrow table or a folder of them as datasets saves it
// (each column of lists of floats a site); a Hugging Face checkpoint (folder, file or shards): sites "embedding",
// "unembedding" and "weights.<layer>.<module>" (rows of reading weights, columns of writing ones), gains
// "input_layernorm.<layer>" and the like, and "final". Headers are read now, rows later.
// Throws Error: missingFile, truncated, malformed, wrongDtype, shapeMismatch, notFinite (gains), ambiguous, tooLarge,
// unsupported.
Evidence openEvidence(const Files& files, const std::string& path);
// The same with these sites only (all, where none is named): what is about others, their widths and numbers of rows, is
// no obstacle. Gains of another length than the sites' are left out.
Evidence openEvidence(const Files& files, const std::string& path, const std::vector<std::string>& sites);

// Adds the gains that another file or folder holds, such as the checkpoint that the activations come from; of a name
// that both have, the other's. Throws Error: usage (it holds none), dimensionMismatch, and those of openEvidence.
void addGains(Evidence& evidence, const Files& files, const std::string& path);

}  // namespace regauge
