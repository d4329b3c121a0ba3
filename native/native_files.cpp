#include "native_files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <new>
#include <set>
#include <system_error>
#include <utility>

#include "hub_cache.hpp"
#include "inputs_read.hpp"
#include "os.hpp"
#include "regauge/error.hpp"
#include "regauge/io/within.hpp"
#include "write_behind.hpp"

namespace fs = std::filesystem;

namespace regauge {
namespace {

// The system ends a name at its first NUL, and would take another file's.
bool isName(const std::string& path) { return path.find('\0') == std::string::npos; }

void requireName(const std::string& path) {
    if (!isName(path)) throw Error(ErrorCode::usage, path, "holds a NUL, which no name of a file does");
}

class FileSource final : public ByteSource {
public:
    FileSource(std::string name, os::File file, std::uint64_t size)
        : name_(std::move(name)), file_(std::move(file)), size_(size) {}

    std::uint64_t size() const override { return size_; }
    const std::string& name() const override { return name_; }
    void read(std::uint64_t offset, std::span<std::byte> into) const override {
        requireWithin(*this, offset, into.size());
        while (!into.empty()) {
            std::size_t got = 0;
            if (const int error = file_.read(offset, into, got))
                throw Error(ErrorCode::missingFile, name_, std::string("cannot be read: ") + std::strerror(error));
            if (got == 0) throw Error(ErrorCode::truncated, name_, "became shorter while it was being read");
            into = into.subspan(got);
            offset += got;
        }
    }

private:
    std::string name_;
    os::File file_;
    std::uint64_t size_;
};

[[noreturn]] void writeFailed(const std::string& path, int error) {
    throw Error(ErrorCode::writeFailed, path,
                error == ENOSPC ? "the disk is full; nothing was written"
                                : std::string("cannot be written: ") + std::strerror(error) + "; nothing was written");
}

class FileSink final : public ByteSink {
public:
    // path: the temporary file; shownPath: what messages call it.
    FileSink(const fs::path& path, std::string shownPath, unsigned mode) : shownPath_(std::move(shownPath)) {
        require(os::File::create(path, mode, file_));
    }
    void write(std::span<const std::byte> bytes) override {
        while (!bytes.empty()) {
            std::size_t put = 0;
            require(file_.write(bytes, put));
            bytes = bytes.subspan(put);
        }
    }
    void finish(bool sync) {
        if (sync) require(file_.flush());
        require(file_.close());  // some file systems tell of a full disk only now
    }

private:
    void require(int error) const {
        if (error != 0) writeFailed(shownPath_, error);
    }

    std::string shownPath_;
    os::File file_;
};

[[noreturn]] void refuseTaken(const std::string& path) {
    throw Error(ErrorCode::outputExists, path, "exists already; --force overwrites it, or choose another name with -o");
}

[[noreturn]] void placeFailed(const std::string& path, int error) {
    if (error == EEXIST || error == ENOTEMPTY || error == ENOTDIR) refuseTaken(path);
    writeFailed(path, error);
}

// Puts `staged` at `path` where nothing is. Throws Error(outputExists) where something is by now.
void placeNew(const fs::path& staged, const fs::path& path, bool folder) {
    const auto require = [&](int error) {
        if (error != 0) placeFailed(os::textOf(path), error);
    };
    const int error = os::renameToFree(staged, path);
    if (error != ENOSYS) return require(error);
    if (folder) return require(os::rename(staged, path));  // replaces an empty folder only: nothing is lost
    const int unlinked = os::link(staged, path);
    if (unlinked == 0) {
        os::removeFile(staged);
        return;
    }
    if (unlinked != EPERM && unlinked != ENOTSUP && unlinked != ENOSYS && unlinked != EMLINK) require(unlinked);
    if (os::isThere(path)) refuseTaken(os::textOf(path));  // a file system without links: what is left is to look first
    require(os::rename(staged, path));
}

// Removes what killed processes left beside an output: ".NAME.regauge-PID", as NativeOutput and Node's host name it.
// What one of them had moved aside (".NAME.regauge-PID-old") when it was killed goes back where nothing is.
void collectStale(const fs::path& path) {
    const std::string stem = "." + os::textOf(path.filename()) + ".regauge-";
    const fs::path folder = path.parent_path().empty() ? fs::path(".") : path.parent_path();
    std::vector<std::string> names;
    std::vector<fs::path> stale;
    std::error_code ignored;
    os::namesIn(folder, names);
    for (const std::string& name : names) {
        if (!name.starts_with(stem)) continue;
        const std::string rest = name.substr(stem.size()), process = rest.substr(0, rest.find('-'));
        if (process.empty() || process.find_first_not_of("0123456789") != std::string::npos || os::isAlive(process))
            continue;
        stale.push_back(folder / os::pathOf(name));
    }
    for (const fs::path& left : stale) {
        if (os::textOf(left).ends_with("-old") && !os::isThere(path))
            os::rename(left, path);  // where that fails, it is the only one that there is
        else
            fs::remove_all(left, ignored);
    }
}

class NativeOutput final : public Output {
public:
    NativeOutput(fs::path path, bool folder, bool overwrite, bool sync, std::shared_ptr<const InputsRead> inputs)
        : path_(std::move(path)), inputs_(std::move(inputs)), folder_(folder), overwrite_(overwrite), sync_(sync) {
        // A name that nothing has, so that what a killed process of the same number left is never touched.
        const std::string stem = "." + os::textOf(path_.filename()) + ".regauge-" + std::to_string(os::processNumber());
        staged_ =
            path_.parent_path() / os::pathOf(stem);  // replace_filename() frees what it should not where memory ends
        for (int k = 1; os::isThere(staged_); ++k)
            staged_ = path_.parent_path() / os::pathOf(stem + "-" + std::to_string(k));
        if (!folder_) return;
        if (const int error = os::makeFolder(staged_, inputs_->folderMode())) writeFailed(shown(), error);
    }
    ~NativeOutput() override {
        if (committed_) return;
        closeSink();
        try {
            std::error_code ignored;
            fs::remove_all(staged_, ignored);
        } catch (const std::bad_alloc&) {  // the next run to the same output removes it
        }
    }

    ByteSink& file(const std::string& name) override {
        finishSink();
        fs::path member = staged_;
        if (!name.empty()) {
            requireName(name);
            member /= os::pathOf(name);
            std::error_code error;
            fs::create_directories(member.parent_path(), error);
            if (error) writeFailed(os::textOf(path_ / os::pathOf(name)), error.default_error_condition().value());
            members_.insert(os::pathOf(name).lexically_normal());
        }
        sink_ = std::make_unique<FileSink>(member, name.empty() ? shown() : os::textOf(path_ / os::pathOf(name)),
                                           inputs_->fileMode(name));
        behind_ = std::make_unique<WriteBehind>(*sink_);
        return *behind_;
    }

    void commit() override {
        finishSink();
        inputs_->requireUnchanged(shown());
        if (folder_)
            inputs_->refuseAround(shown());
        else
            inputs_->refuseInput(shown());
        if (folder_ && sync_) syncStagedFolders();
        os::Status there;
        if (!overwrite_ || os::linkStatusOf(path_, there) != 0)
            placeNew(staged_, path_, folder_);
        else if (folder_)
            replaceFolder();
        else
            replaceFile(there);
        if (sync_) syncPlace();
        committed_ = true;
        try {
            removeFormer();
        } catch (const std::bad_alloc&) {  // the new is there, whole; the next run removes the former
        }
    }

private:
    // Where what was at the path is, once the new is there: it was nothing; under the staged name; moved aside; or
    // lost, where the system can but replace.
    enum class Former { nothing, staged, aside, lost };

    // Waits until the disk has the new name. Where it does not say so, the former comes back, and it throws.
    void syncPlace() {
        try {
            flushFolder(path_.parent_path());
        } catch (...) {
            if (takeBack()) throw;
            committed_ = true;  // nothing is removed any more
            const std::string former =
                former_ == Former::aside ? "; what was there is now at " + os::textOf(aside()) : "";
            throw Error(ErrorCode::writeFailed, shown(),
                        os::isThere(path_) ? "is in its place, but the disk does not confirm it; check it, and write "
                                             "it again if need be" +
                                                 former
                                           : "cannot be written: the disk fails" + former);
        }
    }
    bool takeBack() const {
        switch (former_) {
            case Former::nothing: return os::rename(path_, staged_) == 0;
            case Former::staged: return os::exchange(staged_, path_) == 0;
            case Former::aside: return (!folder_ || os::rename(path_, staged_) == 0) && os::rename(aside(), path_) == 0;
            case Former::lost: break;
        }
        return false;
    }
    void removeFormer() const {
        if (former_ != Former::staged && former_ != Former::aside) return;
        const fs::path former = former_ == Former::staged ? staged_ : aside();
        if (folder_)
            removeMembers(former);
        else
            os::removeFile(former);
    }
    fs::path aside() const { return os::pathOf(os::textOf(staged_) + "-old"); }
    std::string shown() const { return os::textOf(path_); }
    void flushFolder(const fs::path& folder) const {
        if (const int error = os::flushFolder(folder)) writeFailed(shown(), error);
    }

    void replaceFile(const os::Status& there) {
        if (there.kind == os::Kind::folder) placeFailed(shown(), EISDIR);
        if (sync_ && os::exchange(staged_, path_) == 0) {
            former_ = Former::staged;
            return;
        }
        // Without an exchange, a second name keeps the old until the disk has the new.
        former_ = sync_ && os::link(path_, aside()) == 0 ? Former::aside : Former::lost;
        const int error = os::rename(staged_, path_);
        if (error == 0) return;
        if (former_ == Former::aside) os::removeFile(aside());
        placeFailed(shown(), error);
    }

    // Throws Error(outputExists) where the folder at the path holds anything but files of the names that are written
    // now.
    void requireOnlyMembers() const {
        std::error_code error;
        if (os::isLink(path_))
            throw Error(
                ErrorCode::outputExists, shown(),
                "is a link, and only a folder itself is replaced; remove the link, or choose another name with -o");
        const auto refuse = [&](const fs::path& entry) {
            throw Error(ErrorCode::outputExists, shown(),
                        "holds " + os::textOf(entry) +
                            ", which is nothing that would be written there again; move it away, or choose another "
                            "name with -o");
        };
        fs::recursive_directory_iterator entry(path_, error);
        for (const fs::recursive_directory_iterator end; !error && entry != end; entry.increment(error)) {
            const fs::path name = entry->path().lexically_relative(path_);
            os::Status status;
            os::linkStatusOf(entry->path(), status);
            const bool holdsMember = std::ranges::any_of(members_, [&](const fs::path& member) {
                return std::ranges::mismatch(name, member).in1 == name.end();
            });
            if (status.kind == os::Kind::folder ? !holdsMember
                                                : status.kind != os::Kind::file || !members_.contains(name))
                refuse(name);
            if (const auto identity = identityAt(entry->path()); identity && inputs_->pathOf(*identity)) refuse(name);
        }
        if (error)
            throw Error(ErrorCode::outputExists, shown(),
                        "cannot be looked through before it is replaced: " + error.message());
    }

    // Removes members and the folders that held them, and nothing that came there since it was looked through.
    void removeMembers(const fs::path& folder) const {
        std::error_code ignored;
        for (const fs::path& member : members_) fs::remove(folder / member, ignored);
        for (const fs::path& member : members_)
            for (fs::path at = member.parent_path(); !at.empty(); at = at.parent_path())
                fs::remove(folder / at, ignored);
        fs::remove(folder, ignored);
    }

    void replaceFolder() {
        requireOnlyMembers();
        former_ = Former::staged;
        int error = os::exchange(staged_, path_);
        if (error == 0) return;
        if (error != ENOSYS) placeFailed(shown(), error);
        // Two steps, where there is no exchange: a folder cannot be renamed over one that is not empty.
        former_ = Former::aside;
        if ((error = os::rename(path_, aside())) != 0) placeFailed(shown(), error);
        if ((error = os::rename(staged_, path_)) == 0) return;
        if (os::rename(aside(), path_) != 0)
            throw Error(ErrorCode::writeFailed, shown(),
                        std::string("cannot be written: ") + std::strerror(error) + "; what was there is now at " +
                            os::textOf(aside()));
        placeFailed(shown(), error);
    }

    void syncStagedFolders() const {
        std::set<fs::path> folders{fs::path()};
        for (const fs::path& member : members_)
            for (fs::path at = member.parent_path(); !at.empty(); at = at.parent_path()) folders.insert(at);
        for (const fs::path& folder : folders) flushFolder(folder.empty() ? staged_ : staged_ / folder);
    }

    void finishSink() {
        if (behind_) behind_->finish();
        if (sink_) sink_->finish(sync_);
        closeSink();
    }
    void closeSink() {
        behind_.reset();
        sink_.reset();
    }

    fs::path path_, staged_;
    std::shared_ptr<const InputsRead> inputs_;
    std::set<fs::path> members_;  // of a folder, as written
    bool folder_, overwrite_, sync_, committed_ = false;
    Former former_ = Former::nothing;
    std::unique_ptr<FileSink> sink_;
    std::unique_ptr<WriteBehind> behind_;
};

// Whether `path` is below `folder`, both without links.
bool isBelow(const fs::path& path, const fs::path& folder) {
    return std::ranges::mismatch(folder, path).in1 == folder.end();
}

// Throws Error(unsupported) where a file of an input folder is a link to somewhere else, which the folder's owner could
// not have meant to hand out.
// The hub's cache keeps its files as links from models--x/snapshots/<commit> to models--x/blobs: these are the folder's
// own.
void refuseLinkOut(const std::string& path, const InputsRead& inputs) {
    const fs::path link = os::pathOf(path);
    if (!os::isLink(link)) return;
    const fs::path parent = link.parent_path().empty() ? fs::path(".") : link.parent_path();
    const auto identity = identityAt(parent);
    if (!identity || !inputs.pathOf(*identity)) return;  // named by the user, and not found in a folder
    std::error_code error;
    const fs::path folder = os::canonical(parent, error), to = error ? fs::path() : os::canonical(link, error);
    if (error || isBelow(to, folder)) return;  // what leads nowhere is told when it is opened
    for (fs::path at = folder; at.has_relative_path(); at = at.parent_path())
        if (at.filename() == "snapshots") {
            const fs::path blobs = os::canonical(at.parent_path() / "blobs", error);
            if (!error && isBelow(to, blobs)) return;
        }
    throw Error(ErrorCode::unsupported, path,
                "is a link that leaves its folder, to " + os::textOf(to) +
                    "; put a copy of the file in its place if it belongs here");
}

std::string_view wordsFor(os::Kind kind) {
    switch (kind) {
        case os::Kind::pipe: return "a pipe";
        case os::Kind::socket: return "a socket";
        case os::Kind::device: return "a device";
        default: return "something else";
    }
}

[[noreturn]] void refuseKind(const std::string& path, os::Kind kind) {
    throw Error(ErrorCode::missingFile, path,
                kind == os::Kind::folder ? "is a folder, and a file is needed"
                                         : "is " + std::string(wordsFor(kind)) + ", and a regular file is needed");
}

}  // namespace

NativeFiles::NativeFiles() : inputs_(std::make_shared<InputsRead>()) {}

bool NativeFiles::exists(const std::string& path) const {
    return isName(path) && os::isThere(os::pathOf(inHubCache(path)));
}

bool NativeFiles::isFolder(const std::string& path) const {
    return isName(path) && os::isFolder(os::pathOf(inHubCache(path)));
}

std::vector<std::string> NativeFiles::list(const std::string& given) const {
    requireName(given);
    const std::string folder = inHubCache(given);
    const fs::path path = os::pathOf(folder);
    std::vector<std::string> names;
    if (const int error = os::namesIn(path, names))
        throw Error(ErrorCode::missingFile, folder, std::string("cannot be listed: ") + std::strerror(error));
    std::erase_if(names, [&](const std::string& name) { return os::isFolder(path / os::pathOf(name)); });
    os::Status status;
    if (os::statusOf(path, status) == 0) inputs_->addFolder(folder, status);
    std::ranges::sort(names);
    return names;
}

std::unique_ptr<ByteSource> NativeFiles::open(const std::string& given) const {
    requireName(given);
    const std::string path = inHubCache(given);
    const fs::path file = os::pathOf(path);
    refuseLinkOut(path, *inputs_);
    os::Status status;
    os::File opened;
    int error = os::statusOf(file, status);
    if (error == 0 && status.kind != os::Kind::file) refuseKind(path, status.kind);
    if (error == 0) error = os::File::openToRead(file, opened, status);
    if (error != 0)
        throw Error(
            ErrorCode::missingFile, path,
            error == ENOENT ? "there is no such file" : std::string("cannot be opened: ") + std::strerror(error));
    if (status.kind != os::Kind::file) refuseKind(path, status.kind);
    inputs_->addFile(path, status);
    return std::make_unique<FileSource>(given, std::move(opened), status.size);
}

std::unique_ptr<Output> NativeFiles::create(const std::string& path, bool folder, bool overwrite) {
    if (path.empty()) throw Error(ErrorCode::usage, "", "the output has no name");
    requireName(path);
    const fs::path given = os::pathOf(path), named = given.filename().empty() ? given.parent_path() : given;
    collectStale(named);
    if (folder)
        inputs_->refuseAround(path);
    else
        inputs_->refuseInput(path);
    if (os::isThere(given)) {
        if (!overwrite) refuseTaken(path);
        os::Status status;
        const bool known = os::statusOf(given, status) == 0;
        if ((known && status.kind == os::Kind::folder) != folder || (!folder && status.kind != os::Kind::file))
            throw Error(
                ErrorCode::outputExists, path,
                folder ? "is a file, and the output is a folder" : "is not a regular file, and the output is one");
    }
    const fs::path parent = (folder ? named : given).parent_path();
    if (!parent.empty() && !os::isFolder(parent))
        throw Error(ErrorCode::writeFailed, path, "its folder does not exist; make it first");
    return std::make_unique<NativeOutput>(named, folder, overwrite, sync, inputs_);
}

}  // namespace regauge
