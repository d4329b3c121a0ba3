// The machine's own file system as the core sees it.
#pragma once

#include "regauge/io/byte_source.hpp"

namespace regauge {

class NativeFiles final : public Files {
public:
    bool exists(const std::string& path) const override;
    bool isFolder(const std::string& path) const override;
    std::vector<std::string> list(const std::string& folder) const override;
    std::unique_ptr<ByteSource> open(const std::string& path) const override;
    // Written beside the path under a temporary name and renamed on commit.
    std::unique_ptr<Output> create(const std::string& path, bool folder, bool overwrite) override;
};

}  // namespace regauge
