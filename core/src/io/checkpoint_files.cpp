#include "regauge/io/checkpoint_files.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "io/bytes.hpp"
#include "io/json_text.hpp"

namespace regauge {
namespace {

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
        if (!isPlainName(name)) {
            throw Error(ErrorCode::malformed, index.name(),
                        "the weight_map gives \"" + tensor + "\" the file " + shownJson(file) +
                            "; expected the name of a file beside the index");
        }
        shards[name].push_back(tensor);
    }
    return shards;
}

// "model-00002-of-00003.gguf": the second of three.
struct Numbered {
    std::string stem;    // "model"
    std::string ending;  // ".gguf"
    std::uint64_t index = 0, count = 0;
};
std::optional<Numbered> numberedOf(const std::string& name) {
    constexpr std::string_view of = "-of-";
    const std::size_t middle = name.rfind(of), dot = name.find('.', middle == std::string::npos ? 0 : middle);
    if (middle == std::string::npos || dot == std::string::npos) return std::nullopt;
    const std::size_t begin = name.rfind('-', middle - 1);
    if (middle == 0 || begin == std::string::npos) return std::nullopt;
    Numbered result{name.substr(0, begin), name.substr(dot), 0, 0};
    const auto read = [&](std::size_t from, std::size_t to, std::uint64_t& into) {
        const auto [stop, error] = std::from_chars(name.data() + from, name.data() + to, into);
        return error == std::errc() && stop == name.data() + to;
    };
    const bool numbers = read(begin + 1, middle, result.index) && read(middle + of.size(), dot, result.count);
    return numbers && result.index >= 1 && result.index <= result.count ? std::optional(result) : std::nullopt;
}

// The names of a folder that belong to one set of numbered files, sorted.
std::vector<std::string> setOf(const std::vector<std::string>& names, const Numbered& one) {
    std::vector<std::string> found;
    for (const std::string& name : names) {
        const std::optional<Numbered> other = numberedOf(name);
        if (other && other->stem == one.stem && other->ending == one.ending && other->count == one.count)
            found.push_back(name);
    }
    return found;
}

}  // namespace

bool isOneOfSeveral(const std::string& name) {
    const std::optional<Numbered> one = numberedOf(name);
    return one && one->count > 1;
}

std::vector<std::string> numberedFiles(const Files& files, const std::string& folder, const std::string& name) {
    const std::optional<Numbered> one = numberedOf(name);
    if (!one) return {name};
    std::vector<std::string> found;
    const std::size_t begin = one->stem.size() + 1, width = name.find('-', begin) - begin;
    for (std::uint64_t index = 1; index <= one->count; ++index) {
        std::string number = std::to_string(index);
        number.insert(0, width - std::min(width, number.size()), '0');
        found.push_back(std::string(name).replace(begin, width, number));
        if (!files.exists(joinPath(folder, found.back())))
            throw Error(ErrorCode::missingFile, joinPath(folder, found.back()),
                        "is one of the " + std::to_string(one->count) + " files that " + name +
                            " is a part of; fetch it into the same folder");
    }
    return found;
}

std::string folderOf(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    return slash == std::string::npos ? "" : slash == 0 ? "/" : path.substr(0, slash);
}

std::string fileNameOf(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string withoutSlashes(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    return std::string(path);
}

std::string joinPath(const std::string& folder, const std::string& name) {
    return folder.empty() ? name : folder.back() == '/' ? folder + name : folder + '/' + name;
}

bool isPlainName(std::string_view name) {
    return !name.empty() && name != "." && name != ".." &&
           name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

std::string snapshotOf(const Files& files, const std::string& path) {
    const std::string refs = joinPath(path, "refs");
    if (!files.isFolder(path) || !files.isFolder(refs) || !files.isFolder(joinPath(path, "snapshots"))) return path;
    const std::vector<std::string> names = files.list(refs);
    std::string name = "main";
    if (std::find(names.begin(), names.end(), name) == names.end()) {
        if (names.size() != 1)
            throw Error(ErrorCode::ambiguous, path,
                        "is a model's root in the hub's cache without refs/main; give one of the folders in its "
                        "snapshots");
        name = names.front();
    }
    constexpr std::uint64_t mostBytes = 256;  // a commit's hash has 40
    const std::unique_ptr<ByteSource> source = files.open(joinPath(refs, name));
    const std::vector<std::byte> bytes = readBytes(*source, 0, std::min(source->size(), mostBytes));
    std::string commit(asText(bytes));
    commit.erase(
        std::remove_if(commit.begin(), commit.end(), [](char c) { return c == '\n' || c == '\r' || c == ' '; }),
        commit.end());
    const std::string snapshot = joinPath(joinPath(path, "snapshots"), commit);
    if (!isPlainName(commit) || !files.isFolder(snapshot))
        throw Error(ErrorCode::missingFile, path,
                    "is a model's root in the hub's cache, and the snapshot that refs/" + name +
                        " names is not there; download the model again");
    return snapshot;
}

std::string checkpointFileIn(const Files& files, const std::string& folder) {
    const std::vector<std::string> names = files.list(folder);
    for (const char* wanted : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                               "pytorch_model.bin.index.json", "consolidated.safetensors"}) {
        if (std::find(names.begin(), names.end(), wanted) != names.end()) return wanted;
    }
    for (const char* ending : {".safetensors.index.json", ".bin.index.json", ".safetensors", ".gguf"}) {
        std::vector<std::string> found;
        std::copy_if(names.begin(), names.end(), std::back_inserter(found), [&](const std::string& name) {
            return name.ends_with(ending) && name != "evidence.safetensors" && !name.starts_with("mmproj");
        });
        if (found.size() == 1) return found.front();
        const std::optional<Numbered> first = found.empty() ? std::nullopt : numberedOf(found.front());
        if (first && setOf(found, *first).size() == found.size()) return found.front();
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
        const bool whole = files.isFolder(path) || file.ends_with(".gguf");
        checkpoint.names = whole ? numberedFiles(files, checkpoint.folder, file) : std::vector<std::string>{file};
        for (const std::string& name : checkpoint.names)
            checkpoint.shards.push_back(openTensorFile(files.open(joinPath(checkpoint.folder, name))));
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
