// Files in memory, for tests: paths with '/', folders are what paths have in common.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "regauge/error.hpp"
#include "regauge/io/byte_source.hpp"

namespace regauge::test {

using Bytes = std::vector<std::byte>;

class MemoryFiles final : public Files {
public:
    std::map<std::string, Bytes> contents;
    std::size_t writableBytes = SIZE_MAX;  // then the disk is full

    bool exists(const std::string& path) const override { return contents.contains(path) || isFolder(path); }
    bool isFolder(const std::string& path) const override {
        const auto at = contents.lower_bound(path + "/");
        return at != contents.end() && at->first.starts_with(path + "/");
    }
    std::vector<std::string> list(const std::string& folder) const override {
        std::vector<std::string> names;
        for (const auto& [path, bytes] : contents)
            if (path.starts_with(folder + "/") && path.find('/', folder.size() + 1) == std::string::npos)
                names.push_back(path.substr(folder.size() + 1));
        return names;
    }
    std::unique_ptr<ByteSource> open(const std::string& path) const override {
        const auto at = contents.find(path);
        if (at == contents.end()) throw Error(ErrorCode::missingFile, path, "is not there");
        return std::make_unique<MemorySource>(path, at->second);
    }
    std::unique_ptr<Output> create(const std::string& path, bool folder, bool overwrite) override {
        if (exists(path) && !overwrite) throw Error(ErrorCode::outputExists, path, "is there already");
        return std::make_unique<MemoryOutput>(*this, path, folder);
    }

    void put(const std::string& path, const std::string& text) {
        contents[path] = Bytes(reinterpret_cast<const std::byte*>(text.data()),
                               reinterpret_cast<const std::byte*>(text.data()) + text.size());
    }
    std::string text(const std::string& path) const {
        const Bytes& bytes = contents.at(path);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    // Everything below a folder, or the file itself, by relative path.
    std::map<std::string, Bytes> below(const std::string& path) const {
        std::map<std::string, Bytes> found;
        for (const auto& [name, bytes] : contents)
            if (name == path || name.starts_with(path + "/")) found[name.substr(path.size())] = bytes;
        return found;
    }

private:
    class MemoryOutput final : public Output, public ByteSink {
    public:
        MemoryOutput(MemoryFiles& files, std::string path, bool folder)
            : files_(files), path_(std::move(path)), folder_(folder) {}
        ByteSink& file(const std::string& name) override {
            if (folder_ == name.empty())
                throw Error(ErrorCode::internal, path_, "a folder's members have names, and a file has none");
            current_ = folder_ ? path_ + "/" + name : path_;
            if (!written_.emplace(current_, Bytes()).second)
                throw Error(ErrorCode::internal, current_, "was opened twice");
            return *this;
        }
        void write(std::span<const std::byte> bytes) override {
            total_ += bytes.size();
            if (total_ > files_.writableBytes) throw Error(ErrorCode::writeFailed, path_, "no space left");
            Bytes& to = written_.at(current_);
            to.insert(to.end(), bytes.begin(), bytes.end());
        }
        void commit() override {
            for (auto& [name, bytes] : written_) files_.contents[name] = std::move(bytes);
        }

    private:
        MemoryFiles& files_;
        std::string path_, current_;
        bool folder_;
        std::size_t total_ = 0;
        std::map<std::string, Bytes> written_;
    };
};

}  // namespace regauge::test
