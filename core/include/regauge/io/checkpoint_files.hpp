// The tensor files of one checkpoint: a single file, or shards that an index lists.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {

struct CheckpointFiles {
    std::string folder;              // where the files lie; "" where the path names no folder
    std::string index;               // "model.safetensors.index.json", or "" where a single file holds everything
    std::vector<std::string> names;  // of the shards inside the folder, sorted
    std::vector<TensorFile> shards;  // opened, in the same order
};

// "a/b.c" -> "a" and "b.c"; a path without '/' has the folder "". joinPath is the inverse.
std::string folderOf(const std::string& path);
std::string fileNameOf(const std::string& path);
std::string joinPath(const std::string& folder, const std::string& name);
// "a/b//" -> "a/b"; "/" stays.
std::string withoutSlashes(std::string_view path);

// Whether a name that a file gives is that of a file beside it: anything else could name one that the user never meant.
bool isPlainName(std::string_view name);

// The folder that a path stands for: of a model's root in the cache of the Hugging Face hub (models--org--name, with
// refs and snapshots) the snapshot that refs/main names, or the only one that is named; of any other path itself.
// Throws Error: missingFile (a snapshot that is not there), ambiguous (several names, none of them main).
std::string snapshotOf(const Files& files, const std::string& path);

// The file that stands for a checkpoint folder: model.safetensors.index.json, model.safetensors, the same of
// pytorch_model.bin, any other single index, or the only .safetensors or .gguf file; where these are numbered, the
// first of them. "" where there is none.
std::string checkpointFileIn(const Files& files, const std::string& folder);

// Opens numbered files of a folder, which no index lists, as one checkpoint. Throws Error: missingFile (one of their
// set that is not there), malformed (one of another set, a tensor in two of them), and those of openTensorFile.
std::vector<TensorFile> openNumbered(const Files& files, const std::string& folder,
                                     const std::vector<std::string>& names);

// Whether a name is numbered as one of several: "model-00002-of-00003.gguf".
bool isOneOfSeveral(const std::string& name);

// path: a checkpoint folder, an index, or a single tensor file (of a split GGUF any of its files). Every shard is
// opened (headers only) and checked against the index's weight_map. Throws Error: missingFile (also of a shard),
// malformed (a tensor that is not in its shard, or in two), and those of openTensorFile.
CheckpointFiles openCheckpointFiles(const Files& files, const std::string& path);

}  // namespace regauge
