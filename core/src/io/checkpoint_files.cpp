#include "regauge/io/checkpoint_files.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "io/bytes.hpp"
#include "io/json_text.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t mostIndexBytes = std::uint64_t{64} << 20;

// The index's weight_map, turned around: shard -> its tensors.
std::map<std::string, std::vector<std::string>> shardsOf(const ByteSource& index) {
    if (index.size() > mostIndexBytes)
        throw Error(ErrorCode::tooLarge, index.name(), "an index of more than 64 MiB is not a checkpoint's");
    const std::vector<std::byte> text = readBytes(index, 0, index.size());
    const nlohmann::json json = parseJson(asText(text), index.name());
    if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object() ||
        json["weight_map"].empty()) {
        throw Error(ErrorCode::malformed, index.name(),
                    "expected a JSON object with a \"weight_map\" of tensor names to files");
    }
    std::map<std::string, std::vector<std::string>> shards;
    for (const auto& [tensor, file] : json["weight_map"].items()) {
        const std::string name = file.is_string() ? file.get<std::string>() : std::string();
        // A shard lies beside its index: anything else could name a file that the user never meant.
        if (name.empty() || name == "." || name == ".." || name.find_first_of("/\\") != std::string::npos) {
            throw Error(ErrorCode::malformed, index.name(),
                        "the weight_map gives \"" + tensor + "\" the file " + file.dump() +
                            "; expected the name of a file beside the index");
        }
        shards[name].push_back(tensor);
    }
    return shards;
}

}  // namespace

std::string folderOf(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    return slash == std::string::npos ? "" : slash == 0 ? "/" : path.substr(0, slash);
}

std::string fileNameOf(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string joinPath(const std::string& folder, const std::string& name) {
    return folder.empty() ? name : folder.back() == '/' ? folder + name : folder + '/' + name;
}

std::string checkpointFileIn(const Files& files, const std::string& folder) {
    const std::vector<std::string> names = files.list(folder);
    for (const char* wanted : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                               "pytorch_model.bin.index.json", "consolidated.safetensors"}) {
        if (std::find(names.begin(), names.end(), wanted) != names.end()) return wanted;
    }
    for (const char* ending : {".safetensors.index.json", ".bin.index.json", ".safetensors"}) {
        std::vector<std::string> found;
        std::copy_if(names.begin(), names.end(), std::back_inserter(found),
                     [&](const std::string& name) { return name.ends_with(ending) && name != "evidence.safetensors"; });
        if (found.size() == 1) return found.front();
    }
    return "";
}

CheckpointFiles openCheckpointFiles(const Files& files, const std::string& path) {
    CheckpointFiles checkpoint;
    std::string file = fileNameOf(path);
    checkpoint.folder = folderOf(path);
    if (files.isFolder(path)) {
        checkpoint.folder = path;
        file = checkpointFileIn(files, path);
        if (file.empty())
            throw Error(ErrorCode::missingFile, path,
                        "expected a checkpoint in this folder: model.safetensors, model.safetensors.index.json or "
                        "pytorch_model.bin");
    }
    if (!file.ends_with(".index.json")) {
        checkpoint.names.push_back(file);
        checkpoint.shards.push_back(openTensorFile(files.open(joinPath(checkpoint.folder, file))));
        return checkpoint;
    }

    checkpoint.index = file;
    const std::string indexPath = joinPath(checkpoint.folder, file);
    std::unordered_map<std::string, std::string> owner;  // tensor -> shard
    for (const auto& [name, tensors] : shardsOf(*files.open(indexPath))) {
        const std::string shardPath = joinPath(checkpoint.folder, name);
        if (!files.exists(shardPath))
            throw Error(
                ErrorCode::missingFile, shardPath,
                "this shard is missing; " + file + " lists it (" + std::to_string(tensors.size()) + " tensors)");
        TensorFile shard = openTensorFile(files.open(shardPath));
        std::unordered_set<std::string_view> inside;
        for (const StoredTensor& tensor : shard.tensors) {
            inside.insert(tensor.info.name);
            const auto [there, isNew] = owner.emplace(tensor.info.name, name);
            if (!isNew)
                throw Error(ErrorCode::malformed, placeOf(shardPath, tensor.info.name),
                            "the tensor is also in " + there->second + "; delete shards of an older save");
        }
        for (const std::string& tensor : tensors) {
            if (!inside.contains(tensor))
                throw Error(
                    ErrorCode::malformed, placeOf(shardPath, tensor),
                    "the tensor is not in this shard, although " + file + " says so; download the checkpoint again");
        }
        checkpoint.names.push_back(name);
        checkpoint.shards.push_back(std::move(shard));
    }
    return checkpoint;
}

}  // namespace regauge
