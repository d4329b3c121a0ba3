// Byte images of sums: what CorrelationSums and JointSums have in common when they are written and read.
//
// An image is input from outside: every size follows from its first bytes and is checked before memory is taken, and
// sums that no rows could give are refused. It is written and read in blocks: beside the sums, a second copy of them
// would be a gigabyte at d = 8192. Its last 64 bytes are the SHA-256 of those before, in hexadecimal digits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/sha256.hpp"
#include "correlation/tile_sums.hpp"
#include "regauge/io/byte_source.hpp"

namespace regauge::image {

constexpr std::size_t digestBytes = 64;
constexpr std::uint64_t largestD = 1u << 16;  // of one side: products of sizes stay far inside 64 bits

// Values into a sink, a block at a time, hashed on their way.
class Writer {
public:
    explicit Writer(ByteSink& out);
    template <class T>
    void put(T value) {
        list(&value, 1);
    }
    void text(std::string_view words) { list(words.data(), words.size()); }
    template <class T>
    void list(const T* from, std::size_t count) {  // little-endian hosts only: kernels/element.hpp asserts it
        add(reinterpret_cast<const std::byte*>(from), count * sizeof(T));
    }
    // Those of the first d channels with each other that the shape holds, row by row, in 64 bits where `wide`.
    void products(const TileSums& sums, std::size_t d, bool wide);
    // The digest.
    void finish();

private:
    void add(const std::byte* from, std::size_t bytes);
    void flush();

    ByteSink& out_;
    std::vector<std::byte> block_;
    Sha256 hash_;
};

// Takes values from a part of a source whose length has been checked.
class Taker {
public:
    Taker(const ByteSource& source, std::uint64_t offset, std::uint64_t size)
        : source_(source), next_(offset), left_(size) {}
    template <class T>
    T take() {
        T value;
        list(&value, 1);
        return value;
    }
    template <class T>
    void list(T* to, std::size_t count) {
        give(reinterpret_cast<std::byte*>(to), count * sizeof(T));
    }
    // What Writer::products wrote, of `rows` rows of factors up to `limit`. Throws Error(malformed).
    void products(TileSums& sums, std::size_t d, std::uint64_t rows, int limit, bool wide, const std::string& where);

private:
    void give(std::byte* to, std::size_t bytes);
    void refill();

    const ByteSource& source_;
    std::uint64_t next_;
    std::uint64_t left_;
    std::vector<std::byte> block_;
    std::size_t at_ = 0;
};

// Throws Error(malformed) where a sum is larger than `bound` in size.
void requireBound(std::int64_t value, std::int64_t bound, const std::string& where);

// Of an image of `size` bytes. Throws Error(malformed).
void requireDigest(const ByteSource& source, std::uint64_t offset, std::uint64_t size, const std::string& where);

// Bytes from `offset` to the source's end. Throws Error(truncated) where there are fewer than `needed`.
void requireBytes(const ByteSource& source, std::uint64_t offset, std::uint64_t needed, const std::string& where);

}  // namespace regauge::image
