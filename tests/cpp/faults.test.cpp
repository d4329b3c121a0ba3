// Every open, read, write and commit of a small job fails in turn: a refusal each time, and nothing is left.
#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "memory_files.hpp"
#include "regauge/command.hpp"

using namespace regauge;
using test::MemoryFiles;
namespace fs = std::filesystem;

namespace {

const std::string sample = std::string(REGAUGE_TEST_DATA) + "/shakespeare-d128/";

// Files of which the call number `failing` (from 0) fails.
class FailingFiles final : public Files {
public:
    FailingFiles(MemoryFiles& files, std::size_t failing) : files_(files), left_(static_cast<std::int64_t>(failing)) {}

    // Whether that call was ever made.
    bool failed() const { return left_ < 0; }

    bool exists(const std::string& path) const override { return files_.exists(path); }
    bool isFolder(const std::string& path) const override { return files_.isFolder(path); }
    std::vector<std::string> list(const std::string& folder) const override {
        step(ErrorCode::missingFile);
        return files_.list(folder);
    }
    std::unique_ptr<ByteSource> open(const std::string& path) const override {
        step(ErrorCode::missingFile);
        return std::make_unique<Source>(*this, files_.open(path));
    }
    std::unique_ptr<Output> create(const std::string& path, bool folder, bool overwrite) override {
        step(ErrorCode::writeFailed);
        return std::make_unique<Target>(*this, files_.create(path, folder, overwrite));
    }

private:
    void step(ErrorCode code) const {
        if (left_-- == 0) throw Error(code, "the disk", "failed");
    }

    class Source final : public ByteSource {
    public:
        Source(const FailingFiles& files, std::unique_ptr<ByteSource> source)
            : files_(files), source_(std::move(source)) {}
        std::uint64_t size() const override { return source_->size(); }
        const std::string& name() const override { return source_->name(); }
        void read(std::uint64_t offset, std::span<std::byte> into) const override {
            files_.step(ErrorCode::missingFile);
            source_->read(offset, into);
        }

    private:
        const FailingFiles& files_;
        std::unique_ptr<ByteSource> source_;
    };
    class Target final : public Output, public ByteSink {
    public:
        Target(const FailingFiles& files, std::unique_ptr<Output> output) : files_(files), output_(std::move(output)) {}
        ByteSink& file(const std::string& name) override {
            files_.step(ErrorCode::writeFailed);
            sink_ = &output_->file(name);
            return *this;
        }
        void write(std::span<const std::byte> bytes) override {
            files_.step(ErrorCode::writeFailed);
            sink_->write(bytes);
        }
        void commit() override {
            files_.step(ErrorCode::writeFailed);
            output_->commit();
        }

    private:
        const FailingFiles& files_;
        std::unique_ptr<Output> output_;
        ByteSink* sink_ = nullptr;
    };

    MemoryFiles& files_;
    mutable std::atomic<std::int64_t> left_;
};

void add(MemoryFiles& files, const std::string& name, const fs::path& path) {
    if (fs::is_directory(path)) {
        for (const auto& entry : fs::directory_iterator(path))
            add(files, name + "/" + entry.path().filename().string(), entry.path());
        return;
    }
    std::ifstream file(path, std::ios::binary);
    files.put(name, {std::istreambuf_iterator<char>(file), {}});
}

// How many calls the job makes.
std::size_t failEachCall(const MemoryFiles& inputs, const std::vector<std::string>& args) {
    constexpr std::size_t points = 60;  // of a job with more calls, about so many, the first and last ones among them
    const auto runWith = [&](std::size_t failing, bool& failed) {
        MemoryFiles files = inputs;
        FailingFiles disk(files, failing);
        std::string said;
        Host host{.files = disk, .out = [](std::string_view) {}, .err = [&](std::string_view text) { said += text; }};
        const int status = runCommand(args, host);
        failed = disk.failed();
        INFO(args[0] << ", call " << failing << ": " << said);
        CHECK(status == (failed ? 2 : 0));
        CHECK((files.contents == inputs.contents) == failed);
        return status;
    };
    std::size_t calls = 1;
    bool failed = true;
    for (; failed; calls *= 2) runWith(calls, failed);
    std::size_t low = calls / 4, high = calls / 2;  // the call `low` is made, and `high` is not
    while (low + 1 < high) {
        const std::size_t middle = (low + high) / 2;
        runWith(middle, failed);
        (failed ? low : high) = middle;
    }
    const std::size_t stride = std::max<std::size_t>(1, high / points);
    for (std::size_t call = 0; call < high; call += call < 20 || call + 20 > high ? 1 : stride) runWith(call, failed);
    return high;
}

std::string identityGauge(std::size_t d) {
    std::string perm, sign;
    for (std::size_t i = 0; i < d; ++i) perm += (i ? "," : "") + std::to_string(d - 1 - i), sign += i ? ",-1" : "-1";
    return R"({"format":"regauge-gauge","version":1,"d":)" + std::to_string(d) + R"(,"group":"signed","perm":[)" +
           perm + R"(],"sign":[)" + sign + "]}";
}

}  // namespace

TEST_CASE("whichever call of a job fails, it refuses, and leaves the files as they were", "[faults]") {
    MemoryFiles files;
    files.put("gauge", identityGauge(128));
    SECTION("transport of a vector") {
        add(files, "v.npy", sample + "source/steering_resid2.npy");
        CHECK(failEachCall(files, {"transport", "v.npy", "--gauge", "gauge", "-o", "out"}) > 5);
    }
    SECTION("transport of a folder") {
        add(files, "sae", sample + "source/sae_resid2");
        CHECK(failEachCall(files, {"transport", "sae", "--gauge", "gauge", "-o", "out"}) > 10);
    }
    SECTION("align") {
        add(files, "a", sample + "source/evidence.safetensors");
        add(files, "b", sample + "target/evidence.safetensors");
        CHECK(failEachCall(files, {"align", "a", "b", "--statistic", "correlation", "--rows", "300", "-o", "out"}) >
              10);
    }
    SECTION("merge") {
        for (const std::string file : {"config.json", "model.safetensors"}) {
            add(files, "a/" + file, sample + "source/" + file);
            add(files, "b/" + file, sample + "target/" + file);
        }
        CHECK(failEachCall(files, {"merge", "a", "b", "--gauge", "gauge", "-o", "out"}) > 10);
    }
}
