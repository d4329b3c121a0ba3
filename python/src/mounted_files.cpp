#include "mounted_files.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "regauge/error.hpp"
#include "regauge/io/within.hpp"

namespace regauge::python {
namespace {

// Pieces as one file: nothing is joined, a read copies from the pieces that it touches.
class PiecesSource final : public ByteSource {
public:
    PiecesSource(std::string name, const Pieces& pieces) : name_(std::move(name)), pieces_(pieces) {
        for (const auto& piece : pieces_) size_ += piece.size();
    }
    std::uint64_t size() const override { return size_; }
    const std::string& name() const override { return name_; }
    void read(std::uint64_t offset, std::span<std::byte> into) const override {
        requireWithin(*this, offset, into.size());
        for (const auto& piece : pieces_) {
            if (into.empty()) return;
            if (offset >= piece.size()) {
                offset -= piece.size();
                continue;
            }
            const std::size_t count = std::min(into.size(), piece.size() - static_cast<std::size_t>(offset));
            std::memcpy(into.data(), piece.data() + offset, count);
            into = into.subspan(count);
            offset = 0;
        }
    }

private:
    std::string name_;
    const Pieces& pieces_;
    std::uint64_t size_ = 0;
};

class MemorySink final : public ByteSink {
public:
    explicit MemorySink(std::vector<std::byte>& bytes) : bytes_(bytes) {}
    void write(std::span<const std::byte> bytes) override { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

private:
    std::vector<std::byte>& bytes_;
};

class MemoryOutput final : public Output {
public:
    explicit MemoryOutput(std::map<std::string, std::vector<std::byte>>& into) : into_(into) {}
    ByteSink& file(const std::string& name) override {
        sink_ = std::make_unique<MemorySink>(written_[name]);
        return *sink_;
    }
    void commit() override { into_ = std::move(written_); }

private:
    std::map<std::string, std::vector<std::byte>>& into_;
    std::map<std::string, std::vector<std::byte>> written_;
    std::unique_ptr<MemorySink> sink_;
};

}  // namespace

bool MountedFiles::isMountedFolder(const std::string& path) const {
    const auto at = mounts_.lower_bound(path + "/");
    return at != mounts_.end() && at->first.starts_with(path + "/");
}

bool MountedFiles::exists(const std::string& path) const {
    if (!memoryOutput_.empty() && path == memoryOutput_) return false;
    return mounts_.contains(path) || isMountedFolder(path) || disk_.exists(path);
}

bool MountedFiles::isFolder(const std::string& path) const {
    return !mounts_.contains(path) && (isMountedFolder(path) || disk_.isFolder(path));
}

std::vector<std::string> MountedFiles::list(const std::string& folder) const {
    if (!isMountedFolder(folder)) return disk_.list(folder);
    std::vector<std::string> names;
    for (const auto& [path, pieces] : mounts_)
        if (path.starts_with(folder + "/") && path.find('/', folder.size() + 1) == std::string::npos)
            names.push_back(path.substr(folder.size() + 1));
    return names;
}

std::unique_ptr<ByteSource> MountedFiles::open(const std::string& path) const {
    const auto at = mounts_.find(path);
    if (at == mounts_.end()) return disk_.open(path);
    return std::make_unique<PiecesSource>(path, at->second);
}

std::unique_ptr<Output> MountedFiles::create(const std::string& path, bool folder, bool overwrite) {
    if (!memoryOutput_.empty() && path == memoryOutput_) return std::make_unique<MemoryOutput>(outputs);
    return disk_.create(path, folder, overwrite);
}

}  // namespace regauge::python
