// The tensor files of one checkpoint: a single file, or shards that an index lists.
#pragma once

#include <string>
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

// The file that stands for a checkpoint folder: model.safetensors.index.json, model.safetensors, the same of
// pytorch_model.bin, any other single index, or the only .safetensors file. "" where there is none.
std::string checkpointFileIn(const Files& files, const std::string& folder);

// path: a checkpoint folder, an index, or a single tensor file. Every shard is opened (headers only) and checked
// against the index's weight_map.
// Throws Error: missingFile (also of a shard), malformed (a tensor that is not in its shard, or in two), and those of
// openTensorFile.
CheckpointFiles openCheckpointFiles(const Files& files, const std::string& path);

}  // namespace regauge
