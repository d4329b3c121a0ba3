#include "transport/object_files.hpp"

#include <algorithm>

#include "io/dequantized.hpp"
#include "recipes/name_pattern.hpp"
#include "regauge/error.hpp"
#include "regauge/io/checkpoint_files.hpp"

namespace regauge {
namespace {

bool holdsTensors(const std::string& name) {
    const auto& endings = sharedRules().tensorFileEndings;
    return std::any_of(endings.begin(), endings.end(),
                       [&](const std::string& ending) { return name.ends_with(ending); });
}

std::vector<std::string> fitting(const ObjectPath& object, const std::string& pattern) {
    std::vector<std::string> found;
    for (const std::string& name : object.names())
        if (matchName(pattern, name)) found.push_back(name);
    // A pattern with a folder in it ("checkpoints/final.safetensors") is a plain name: folders are not searched.
    if (found.empty() && pattern.find('/') != std::string::npos && object.has(pattern)) found.push_back(pattern);
    return found;
}

// index: the one that they were opened by, if any.
std::vector<Member> tensorFilesOf(const ObjectPath& object, const Recipe& recipe, std::string& index) {
    for (const std::string& pattern : recipe.files) {
        std::vector<std::string> found = fitting(object, pattern);
        std::vector<TensorFile> opened;
        if (found.empty()) continue;
        // Several GGUF files are several models, unless they are numbered.
        if (found.size() > 1 && found.front().ends_with(".gguf") && !isOneOfSeveral(found.front())) continue;
        if (pattern.find("-of-") != std::string::npos) {
            opened = openNumbered(object.files(), object.path(), found);
        } else if (pattern.ends_with(".index.json")) {
            index = found.front();
            CheckpointFiles checkpoint = openCheckpointFiles(object.files(), object.pathOf(index));
            found = checkpoint.names;
            opened = std::move(checkpoint.shards);
        }
        for (const std::string& also : recipe.alsoFiles)
            for (const std::string& name : fitting(object, also))
                if (std::find(found.begin(), found.end(), name) == found.end()) found.push_back(name);
        std::vector<Member> members;
        for (std::size_t i = 0; i < found.size(); ++i)
            members.push_back(
                {found[i], i < opened.size() ? std::move(opened[i]) : openTensorFile(object.open(found[i])), {}, {}});
        return members;
    }
    return {};
}

}  // namespace

ObjectPath::ObjectPath(const Files& files, std::string path) : files_(&files), path_(std::move(path)) {
    if (!files.exists(path_)) throw Error(ErrorCode::missingFile, path_, "is not there");
    isFolder_ = files.isFolder(path_);
    if (isFolder_) {
        path_ = withoutSlashes(snapshotOf(files, path_));
        folder_ = path_;
        names_ = files.list(path_);
    } else {
        folder_ = folderOf(path_);
        names_ = {fileNameOf(path_)};
    }
}

bool ObjectPath::sameName(std::string_view a, std::string_view b) { return withoutSlashes(a) == withoutSlashes(b); }

std::string ObjectPath::pathOf(const std::string& name) const { return joinPath(folder_, name); }
bool ObjectPath::has(const std::string& name) const {
    return files_->exists(pathOf(name)) && !files_->isFolder(pathOf(name));
}
std::unique_ptr<ByteSource> ObjectPath::open(const std::string& name) const { return files_->open(pathOf(name)); }

const Config& ObjectPath::config(const std::string& name) const {
    const auto known = configs_.find(name);
    if (known != configs_.end()) return known->second;
    return configs_.emplace(name, has(name) ? Config::read(*open(name)) : Config()).first->second;
}

namespace {

void nameTensors(std::vector<Member>& members, const std::string& folder, bool byFolder) {
    for (Member& member : members) {
        member.names.clear();
        for (const StoredTensor& tensor : member.file.tensors)
            member.names.push_back(byFolder ? fileNameOf(folder) + "/" + member.name + "/" + tensor.info.name
                                            : unwrapped(tensor.info.name));
    }
}

// Quantised weights as the floats they stand for. Throws Error(unsupported) for a container that could not hold them.
void seeAsFloats(std::vector<Member>& members, Dtype dtype) {
    std::vector<TensorFile> files;
    for (const Member& member : members) {
        const bool rewritten = member.file.format == FileFormat::safetensors || member.file.format == FileFormat::gguf;
        if (!rewritten && std::any_of(member.file.tensors.begin(), member.file.tensors.end(), isQuantized))
            throw Error(ErrorCode::unsupported, member.file.source->name(),
                        "holds quantised weights in a format that --dequantize does not write; it writes .safetensors "
                        "and .gguf");
        files.push_back(member.file);
    }
    files = dequantized(std::move(files), dtype);
    for (std::size_t i = 0; i < members.size(); ++i)
        if (members[i].file.format == files[i].format) members[i].file = std::move(files[i]);
}

}  // namespace

Members membersOf(const ObjectPath& object, const Recipe& recipe, std::optional<Dtype> dequantize) {
    Members result;
    if (!object.isFolder()) {
        const std::string& name = object.names().front();
        result.members.push_back({"", openTensorFile(object.open(name)), {}, {}});
        if (result.members.front().file.format == FileFormat::gguf && isOneOfSeveral(name))
            throw Error(ErrorCode::unsupported, object.path(),
                        "is one of the files of a split model, which is moved as a whole; give the folder that holds "
                        "them all");
        if (dequantize) seeAsFloats(result.members, *dequantize);
        nameTensors(result.members, "", false);
        return result;
    }
    std::string index;
    result.members = tensorFilesOf(object, recipe, index);
    if (dequantize) seeAsFloats(result.members, *dequantize);
    nameTensors(result.members, object.path(), recipe.namedByFolder);
    for (const std::string& name : object.names()) {
        if (std::any_of(result.members.begin(), result.members.end(),
                        [&](const Member& member) { return member.name == name; }))
            continue;
        // An index is the model's only where the model was opened by it; another one is of an older save.
        const bool stale = name.ends_with(".index.json") && recipe.model && name != index;
        const bool copied = std::any_of(recipe.copyFiles.begin(), recipe.copyFiles.end(),
                                        [&](const auto& p) { return matchName(p, name); });
        (!stale && (copied || !holdsTensors(name)) ? result.copies : result.left).push_back(name);
    }
    return result;
}

}  // namespace regauge
