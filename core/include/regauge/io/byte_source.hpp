// Bytes in and bytes out: all that core knows of files. The faces (native, Node, browser) implement these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace regauge {

// Random-access bytes: a file, a browser's Blob, an array. 64-bit offsets on every target.
class ByteSource {
public:
    virtual ~ByteSource() = default;
    virtual std::uint64_t size() const = 0;
    // Fills `into` from `offset`; throws Error(truncated) when that reaches beyond the end.
    virtual void read(std::uint64_t offset, std::span<std::byte> into) const = 0;
    // What messages call it: the path or file name.
    virtual const std::string& name() const = 0;
    // Begins the SHA-256 of all bytes: each call of what it gives takes in a next piece, about a millisecond's, and the
    // last one gives the digest in lower-case hexadecimal. The source must outlive it. A face may know a faster way
    // than reading the bytes here.
    virtual std::function<std::optional<std::string>()> sha256() const;
};

// Sequential bytes out.
class ByteSink {
public:
    virtual ~ByteSink() = default;
    // Throws Error(writeFailed).
    virtual void write(std::span<const std::byte> bytes) = 0;
    // A place where the next `count` bytes may be made and then written from without a copy; it is there until the next
    // call. Empty where a sink has none.
    // Throws Error(writeFailed).
    virtual std::span<std::byte> room(std::size_t /*count*/) { return {}; }
};

// One output, a file or a folder of files, that appears whole or not at all: destroyed without commit(), it leaves
// nothing behind.
class Output {
public:
    virtual ~Output() = default;
    // The sink of one member file; name "" where the output is a single file. One sink is open at a time: opening the
    // next, or commit(), finishes the one before, and a finished member is not opened again. `name` may contain '/'.
    virtual ByteSink& file(const std::string& name) = 0;
    virtual void commit() = 0;
};

// The files that a job may name. Paths are the face's own (native paths, or names of dropped files); '/' separates.
class Files {
public:
    virtual ~Files() = default;
    virtual bool exists(const std::string& path) const = 0;
    virtual bool isFolder(const std::string& path) const = 0;
    // File names directly in a folder, sorted by bytes, without subfolders.
    virtual std::vector<std::string> list(const std::string& folder) const = 0;
    // Throws Error(missingFile).
    virtual std::unique_ptr<ByteSource> open(const std::string& path) const = 0;
    // Throws Error(outputExists) unless overwrite.
    virtual std::unique_ptr<Output> create(const std::string& path, bool folder, bool overwrite) = 0;
};

// An array as a source. The bytes are borrowed and must outlive it.
class MemorySource final : public ByteSource {
public:
    MemorySource(std::string name, std::span<const std::byte> bytes) : name_(std::move(name)), bytes_(bytes) {}
    std::uint64_t size() const override { return bytes_.size(); }
    void read(std::uint64_t offset, std::span<std::byte> into) const override;
    const std::string& name() const override { return name_; }

private:
    std::string name_;
    std::span<const std::byte> bytes_;
};

}  // namespace regauge
