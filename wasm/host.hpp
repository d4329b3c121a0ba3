// The JavaScript object that lends a job its files, its progress and its terminal. node/src/host.ts is its other half
// and says what each call does.
#pragma once

#include <emscripten/val.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "regauge/io/byte_source.hpp"
#include "regauge/progress.hpp"

namespace regauge::wasm {

// A `Host` of node/src/host.ts; the generated types say so, and tsc checks what is passed.
EMSCRIPTEN_DECLARE_VAL_TYPE(JsHost)

// A string[].
EMSCRIPTEN_DECLARE_VAL_TYPE(StringList)

// The host's files. Its calls are synchronous (fs.readSync, FileReaderSync), so a job never waits.
// A host does not throw: it returns { failure: code, message }, which becomes an Error with the path as its place.
class HostFiles final : public Files {
public:
    explicit HostFiles(JsHost host) : host_(std::move(host)) {}
    bool exists(const std::string& path) const override;
    bool isFolder(const std::string& path) const override;
    std::vector<std::string> list(const std::string& folder) const override;
    std::unique_ptr<ByteSource> open(const std::string& path) const override;
    std::unique_ptr<Output> create(const std::string& path, bool folder, bool overwrite) override;

private:
    JsHost host_;
};

// The host's answer, or its refusal as an Error.
emscripten::val checked(emscripten::val answer, const std::string& where);

// Bytes that memory can still grow by: 4 GiB at most, less what is in use.
std::uint64_t availableMemory();

// Reports to the host, which says whether to go on.
Progress hostProgress(const JsHost& host);

// How many threads the host has for a job that does not say.
unsigned hostThreads(const JsHost& host);

}  // namespace regauge::wasm
