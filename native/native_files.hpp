// The machine's own file system as the core sees it.
#pragma once

#include <memory>

#include "regauge/io/byte_source.hpp"

namespace regauge {

class InputsRead;

// Remembers every file it opened and every folder it listed: these are a job's inputs, and no output may replace, hold
// or lie inside one, whatever name it is given by (device and inode are compared, never the text of a path). One object
// is one job.
class NativeFiles final : public Files {
public:
    NativeFiles();
    bool exists(const std::string& path) const override;
    bool isFolder(const std::string& path) const override;
    std::vector<std::string> list(const std::string& folder) const override;
    // Regular files only: a pipe, a device or a socket is refused without being opened, since reading it might never
    // end.
    std::unique_ptr<ByteSource> open(const std::string& path) const override;
    // Written beside the path under a temporary name and renamed on commit, in one step that replaces nothing unless
    // overwrite. A folder is replaced only where it holds nothing but files of names that are written again. Outputs
    // are at most as readable by others as the inputs.
    std::unique_ptr<Output> create(const std::string& path, bool folder, bool overwrite) override;

    // Whether commit() waits until the disk has what was written, so that a power cut leaves the old or the new, whole.
    // On, unless --no-sync.
    bool sync = true;

private:
    std::shared_ptr<InputsRead> inputs_;
};

}  // namespace regauge
