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
#include "regauge/error.hpp"

namespace regauge {
namespace {

// The index's weight_map, turned around: shard -> its tensors.
std::map<std::string, std::vector<std::string>> shardsOf(const ByteSource& index) {
    const nlohmann::json json = parseJson(readJsonText(index, "an index of shards"), index.name());
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
    std::string stem;  // "model"
    std::uint64_t index = 0, count = 0;
};
std::optional<Numbered> numberedOf(const std::string& name) {
    constexpr std::string_view of = "-of-";
    const std::size_t middle = name.rfind(of), dot = name.find('.', middle == std::string::npos ? 0 : middle);
    if (middle == std::string::npos || dot == std::string::npos) return std::nullopt;
    const std::size_t begin = name.rfind('-', middle - 1);
    if (middle == 0 || begin == std::string::npos) return std::nullopt;
    Numbered result{name.substr(0, begin), 0, 0};
    const auto read = [&](std::size_t from, std::size_t to, std::uint64_t& into) {
        const auto [stop, error] = std::from_chars(name.data() + from, name.data() + to, into);
        return error == std::errc() && stop == name.data() + to;
    };
    const bool numbers = read(begin + 1, middle, result.index) && read(middle + of.size(), dot, result.count);
    return numbers && result.index >= 1 && result.index <= result.count ? std::optional(result) : std::nullopt;
}

// All names of the set that a numbered one is of. Throws Error(missingFile) where one is not there.
std::vector<std::string> setOf(const Files& files, const std::string& folder, const std::string& name) {
    const std::optional<Numbered> one = numberedOf(name);
    if (!one)
        throw Error(ErrorCode::malformed, joinPath(folder, name),
                    "is numbered as no file of a set is: they count from 1 to their number");
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

// The names of files with that ending that may hold a checkpoint's weights.
std::vector<std::string> weightFiles(const std::vector<std::string>& names, const std::string& ending) {
    std::vector<std::string> found;
    std::copy_if(names.begin(), names.end(), std::back_inserter(found), [&](const std::string& name) {
        return name.ends_with(ending) && name != "evidence.safetensors" && !name.starts_with("mmproj");
    });
    return found;
}

// Opens the files of one checkpoint. Throws Error(malformed) where two of them hold the same tensor.
std::vector<TensorFile> openTogether(const Files& files, const std::string& folder,
                                     const std::vector<std::string>& names) {
    std::vector<TensorFile> opened;
    std::unordered_map<std::string, std::string> owner;  // tensor -> file
    for (const std::string& name : names) {
        const std::string path = joinPath(folder, name);
        opened.push_back(openTensorFile(files.open(path)));
        for (const StoredTensor& tensor : opened.back().tensors) {
            const auto [there, isNew] = owner.emplace(tensor.info.name, name);
            if (!isNew)
                throw Error(ErrorCode::malformed, placeOf(path, tensor.info.name),
                            "the tensor is also in " + there->second + "; delete shards of an older save");
        }
    }
    return opened;
}

}  // namespace

bool isOneOfSeveral(const std::string& name) {
    const std::optional<Numbered> one = numberedOf(name);
    return one && one->count > 1;
}

std::vector<TensorFile> openNumbered(const Files& files, const std::string& folder,
                                     const std::vector<std::string>& names) {
    const std::vector<std::string> set = setOf(files, folder, names.front());
    for (const std::string& name : names)
        if (std::find(set.begin(), set.end(), name) == set.end())
            throw Error(ErrorCode::malformed, joinPath(folder, name),
                        "is numbered as part of another set than " + names.front() +
                            "; leave the files of one model in the folder");
    return openTogether(files, folder, names);
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
        const std::vector<std::string> found = weightFiles(names, ending);
        const bool numbered = std::all_of(found.begin(), found.end(), numberedOf);
        if (found.size() == 1 || (numbered && !found.empty())) return found.front();
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
        const std::string ending = file.ends_with(".gguf") ? ".gguf" : ".safetensors";
        const bool folder = files.isFolder(path), several = numberedOf(file) && (folder || ending == ".gguf");
        checkpoint.names = !several ? std::vector<std::string>{file}
                           : folder ? weightFiles(files.list(path), ending)
                                    : setOf(files, checkpoint.folder, file);
        checkpoint.shards = (several ? openNumbered : openTogether)(files, checkpoint.folder, checkpoint.names);
        return checkpoint;
    }

    checkpoint.index = file;
    const std::string indexPath = joinPath(checkpoint.folder, file);
    const auto listed = shardsOf(*files.open(indexPath));
    for (const auto& [name, tensors] : listed) {
        if (!files.exists(joinPath(checkpoint.folder, name)))
            throw Error(
                ErrorCode::missingFile, joinPath(checkpoint.folder, name),
                "this shard is missing; " + file + " lists it (" + std::to_string(tensors.size()) + " tensors)");
        checkpoint.names.push_back(name);
    }
    checkpoint.shards = openTogether(files, checkpoint.folder, checkpoint.names);
    auto shard = checkpoint.shards.begin();
    for (const auto& [name, tensors] : listed) {
        std::unordered_set<std::string_view> inside;
        for (const StoredTensor& tensor : shard->tensors) inside.insert(tensor.info.name);
        for (const std::string& tensor : tensors)
            if (!inside.contains(tensor))
                throw Error(
                    ErrorCode::malformed, placeOf(joinPath(checkpoint.folder, name), tensor),
                    "the tensor is not in this shard, although " + file + " says so; download the checkpoint again");
        ++shard;
    }
    return checkpoint;
}

}  // namespace regauge
