// The files of an object: which of a folder's files hold its tensors, which go along, which stay behind.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "recipes/config.hpp"
#include "recipes/recipe_table.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {

// A path as given: a file, or a folder with its file names. Companions of a single file are looked for beside it.
class ObjectPath {
public:
    // Throws Error(missingFile).
    ObjectPath(const Files& files, std::string path);

    // Whether two paths are written alike, trailing slashes aside.
    static bool sameName(std::string_view a, std::string_view b);

    bool isFolder() const { return isFolder_; }
    const std::string& path() const { return path_; }
    const std::vector<std::string>& names() const { return names_; }  // of a folder: its files; of a file: its own name
    bool has(const std::string& name) const;                          // in the folder, or beside the file
    std::unique_ptr<ByteSource> open(const std::string& name) const;
    // The companion called `name`; an empty Config where there is none. Read once.
    const Config& config(const std::string& name) const;

    std::string pathOf(const std::string& name) const;
    const Files& files() const { return *files_; }

private:
    const Files* files_;
    std::string path_, folder_;
    bool isFolder_ = false;
    std::vector<std::string> names_;
    mutable std::map<std::string, Config> configs_;
};

// One file of tensors that belongs to the object.
struct Member {
    std::string name;  // in the folder; "" where the object is a single file
    TensorFile file;
    std::vector<std::string>
        names;  // by which the rules know its tensors, one for each: their own, unless the recipe says otherwise
    std::vector<std::string> parameters;  // the model's parameter that a numbered one is; empty, or one for each tensor
};

// What becomes of a folder's files when `recipe` holds: `members` are moved, `copies` copied, `left` not written.
struct Members {
    std::vector<Member> members;
    std::vector<std::string> copies, left;
};

// Empty members where the folder does not have the recipe's files. dequantize: as what floats quantised weights are
// seen. Throws Error as openTensorFile and dequantized do.
Members membersOf(const ObjectPath& object, const Recipe& recipe, std::optional<Dtype> dequantize = std::nullopt);

}  // namespace regauge
