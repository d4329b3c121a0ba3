#include "host.hpp"

#include <emscripten/heap.h>
#include <malloc.h>

#include <algorithm>
#include <utility>

#include "regauge/error.hpp"
#include "regauge/io/within.hpp"

namespace regauge::wasm {
namespace {

using emscripten::typed_memory_view;
using emscripten::val;

ErrorCode errorCode(const std::string& text) {
#define REGAUGE_SAME_NAME(code) \
    if (text == #code) return ErrorCode::code;
    REGAUGE_ERROR_CODES(REGAUGE_SAME_NAME)
#undef REGAUGE_SAME_NAME
    return ErrorCode::internal;
}

// A view of our memory for the length of one call: the host copies what it wants to keep.
val view(std::span<const std::byte> bytes) {
    return val(typed_memory_view(bytes.size(), reinterpret_cast<const unsigned char*>(bytes.data())));
}

class HostSource final : public ByteSource {
public:
    HostSource(val file, std::string path)
        : file_(std::move(file)),
          path_(std::move(path)),
          size_(static_cast<std::uint64_t>(file_["size"].as<double>())) {}
    ~HostSource() override { file_.call<void>("close"); }
    HostSource(const HostSource&) = delete;
    HostSource& operator=(const HostSource&) = delete;

    std::uint64_t size() const override { return size_; }
    const std::string& name() const override { return path_; }
    void read(std::uint64_t offset, std::span<std::byte> into) const override {
        requireWithin(*this, offset, into.size());
        if (!into.empty()) checked(file_.call<val>("read", static_cast<double>(offset), view(into)), path_);
    }

    std::function<std::optional<std::string>()> sha256() const override {
        const val next = file_.call<val>("sha256");
        if (next.isUndefined()) return ByteSource::sha256();
        return [this, next]() -> std::optional<std::string> {
            const val hash = checked(next(), path_);
            return hash.isString() ? std::optional(hash.as<std::string>()) : std::nullopt;
        };
    }

private:
    val file_;
    std::string path_;
    std::uint64_t size_;
};

// Gathers small writes: a call into JavaScript costs about a microsecond, a system call more.
class HostSink final : public ByteSink {
public:
    HostSink(val output, std::string member, std::string where)
        : output_(std::move(output)), member_(std::move(member)), where_(std::move(where)) {}

    void write(std::span<const std::byte> bytes) override {
        if (pending_.size() + bytes.size() > capacity) flush();
        if (bytes.size() >= capacity) return pass(bytes);
        pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    }
    void flush() {
        if (!pending_.empty()) pass(pending_);
        pending_.clear();
    }

private:
    static constexpr std::size_t capacity = std::size_t{1} << 20;
    void pass(std::span<const std::byte> bytes) { checked(output_.call<val>("write", member_, view(bytes)), where_); }

    val output_;
    std::string member_, where_;
    std::vector<std::byte> pending_;
};

class HostOutput final : public Output {
public:
    HostOutput(val output, std::string path) : output_(std::move(output)), path_(std::move(path)) {}
    ~HostOutput() override {
        if (!committed_) output_.call<void>("abandon");
    }
    HostOutput(const HostOutput&) = delete;
    HostOutput& operator=(const HostOutput&) = delete;

    ByteSink& file(const std::string& name) override {
        finish();
        const std::string where = name.empty() ? path_ : path_ + "/" + name;
        checked(output_.call<val>("begin", name), where);
        sink_ = std::make_unique<HostSink>(output_, name, where);
        return *sink_;
    }
    void commit() override {
        finish();
        checked(output_.call<val>("commit"), path_);
        committed_ = true;
    }

private:
    void finish() {
        if (sink_) sink_->flush();
        sink_.reset();
    }

    val output_;
    std::string path_;
    std::unique_ptr<HostSink> sink_;
    bool committed_ = false;
};

}  // namespace

val checked(val answer, const std::string& where) {
    if (answer.isUndefined() || answer.isNull()) return answer;
    const val code = answer["failure"];
    if (code.isUndefined()) return answer;
    throw Error(errorCode(code.as<std::string>()), where, answer["message"].as<std::string>());
}

bool HostFiles::exists(const std::string& path) const { return host_.call<bool>("exists", path); }

bool HostFiles::isFolder(const std::string& path) const { return host_.call<bool>("isFolder", path); }

std::vector<std::string> HostFiles::list(const std::string& folder) const {
    return emscripten::vecFromJSArray<std::string>(checked(host_.call<val>("list", folder), folder));
}

std::unique_ptr<ByteSource> HostFiles::open(const std::string& path) const {
    return std::make_unique<HostSource>(checked(host_.call<val>("open", path), path), path);
}

std::unique_ptr<Output> HostFiles::create(const std::string& path, bool folder, bool overwrite) {
    return std::make_unique<HostOutput>(checked(host_.call<val>("create", path, folder, overwrite), path), path);
}

Progress hostProgress(const JsHost& host) {
    return Progress([host](std::string_view stage, std::uint64_t done, std::uint64_t total) {
        return host.call<bool>("progress", std::string(stage), static_cast<double>(done), static_cast<double>(total));
    });
}

unsigned hostThreads(const JsHost& host) { return host["threads"].as<unsigned>(); }

std::uint64_t availableMemory() {
    const std::uint64_t most = emscripten_get_heap_max(), used = mallinfo().uordblks;
    return most - std::min(most, used);
}

}  // namespace regauge::wasm
