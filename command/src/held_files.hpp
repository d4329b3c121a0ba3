// Files whose outputs wait: what a job has written whole appears only once its answer has been printed, so that a
// refusal leaves nothing behind.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "regauge/io/byte_source.hpp"

namespace regauge {

class HeldFiles final : public Files {
public:
    explicit HeldFiles(Files& files) : files_(files) {}
    bool exists(const std::string& path) const override { return files_.exists(path); }
    bool isFolder(const std::string& path) const override { return files_.isFolder(path); }
    std::vector<std::string> list(const std::string& folder) const override { return files_.list(folder); }
    std::unique_ptr<ByteSource> open(const std::string& path) const override { return files_.open(path); }
    std::unique_ptr<Output> create(const std::string& path, bool folder, bool overwrite) override {
        return std::make_unique<HeldOutput>(*this, files_.create(path, folder, overwrite));
    }

    // Commits what jobs committed, in their order. Outputs that it does not come to leave nothing behind. Throws as
    // Output::commit does.
    void release() {
        const std::vector<std::unique_ptr<Output>> outputs = std::exchange(outputs_, {});
        for (const auto& output : outputs) output->commit();
    }

private:
    class HeldOutput final : public Output {
    public:
        HeldOutput(HeldFiles& files, std::unique_ptr<Output> output) : files_(files), output_(std::move(output)) {}
        ByteSink& file(const std::string& name) override { return output_->file(name); }
        void commit() override { files_.outputs_.push_back(std::move(output_)); }

    private:
        HeldFiles& files_;
        std::unique_ptr<Output> output_;
    };

    Files& files_;
    std::vector<std::unique_ptr<Output>> outputs_;
};

}  // namespace regauge
