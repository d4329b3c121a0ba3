#include "codec/deflate.hpp"

#include <zlib.h>

#include <algorithm>
#include <cassert>
#include <memory>
#include <new>

#include "io/bytes.hpp"

namespace regauge {
namespace {

constexpr int rawWindowBits = -15;                            // 32 KiB window, no header: what a zip member holds
constexpr int memoryLevel = 8;                                // zlib's default; it decides where blocks end
constexpr std::uint64_t mostRatio = 1032;                     // 258 bytes from two bits is the most that DEFLATE can do
constexpr std::uint64_t chunkBytes = std::uint64_t{1} << 16;  // read at once

// Destroys a stream of zlib's.
using Stream = std::unique_ptr<z_stream, int (*)(z_stream*)>;

const Bytef* bytesOf(std::span<const std::byte> bytes) { return reinterpret_cast<const Bytef*>(bytes.data()); }

class Inflater {
public:
    Inflater(const ByteSource& in, std::uint64_t offset, std::uint64_t size, const std::string& where)
        : in_(in), offset_(offset), left_(size), where_(where) {
        if (inflateInit2(&state_, rawWindowBits) != Z_OK) throw std::bad_alloc();
    }

    // Fills `out` as far as the stream goes; the count.
    std::size_t decode(std::span<std::byte> out) {
        state_.next_out = reinterpret_cast<Bytef*>(out.data());
        state_.avail_out = static_cast<uInt>(out.size());
        while (state_.avail_out > 0 && !ended_) step();
        return out.size() - state_.avail_out;
    }

    // Whether the stream ends here, that is: no byte comes any more. An empty last block may follow a full one.
    bool endsHere() {
        std::byte more{};
        return decode({&more, 1}) == 0;
    }

    // Bytes behind the end of the stream.
    std::uint64_t unread() const { return left_ + state_.avail_in; }

    [[noreturn]] void malformed(const std::string& what) const {
        throw Error(ErrorCode::malformed, where_, "its compressed data is damaged: " + what);
    }

private:
    void step() {
        if (state_.avail_in == 0 && left_ > 0) {
            const std::uint64_t count = std::min(left_, chunkBytes);
            buffer_ = readBytes(in_, offset_, count);
            offset_ += count;
            left_ -= count;
            state_.next_in = bytesOf(buffer_);
            state_.avail_in = static_cast<uInt>(count);
        }
        const int status = inflate(&state_, Z_NO_FLUSH);
        if (status == Z_STREAM_END)
            ended_ = true;
        else if (status == Z_BUF_ERROR)
            throw Error(ErrorCode::truncated, where_, "its compressed data ends in the middle");
        else if (status == Z_MEM_ERROR)
            throw std::bad_alloc();
        else if (status != Z_OK)
            malformed(state_.msg != nullptr ? state_.msg : "zlib gives up");
    }

    const ByteSource& in_;
    std::uint64_t offset_;
    std::uint64_t left_;
    const std::string& where_;
    std::vector<std::byte> buffer_;
    bool ended_ = false;
    z_stream state_{};
    Stream end_{&state_, [](z_stream* stream) { return inflateEnd(stream); }};
};

}  // namespace

std::vector<std::byte> deflated(std::span<const std::byte> bytes) {
    assert(bytes.size() <= mostInflated);
    z_stream state{};
    if (deflateInit2(&state, Z_DEFAULT_COMPRESSION, Z_DEFLATED, rawWindowBits, memoryLevel, Z_DEFAULT_STRATEGY) != Z_OK)
        throw std::bad_alloc();
    const Stream end(&state, [](z_stream* stream) { return deflateEnd(stream); });
    std::vector<std::byte> out(deflateBound(&state, static_cast<uLong>(bytes.size())));
    state.next_in = bytesOf(bytes);
    state.avail_in = static_cast<uInt>(bytes.size());
    state.next_out = reinterpret_cast<Bytef*>(out.data());
    state.avail_out = static_cast<uInt>(out.size());
    if (deflate(&state, Z_FINISH) != Z_STREAM_END)
        throw Error(ErrorCode::internal, "", "zlib needs more room than it says that it needs");
    out.resize(out.size() - state.avail_out);
    return out;
}

std::vector<std::byte> inflated(const ByteSource& in, std::uint64_t offset, std::uint64_t size, std::uint64_t expected,
                                std::uint64_t wanted, const std::string& where) {
    if (size < (std::uint64_t{1} << 50) && expected > size * mostRatio + mostRatio) {
        throw Error(ErrorCode::malformed, where,
                    std::to_string(size) + " compressed bytes cannot hold " + std::to_string(expected) +
                        "; the file is damaged or made to exhaust memory");
    }
    wanted = std::min(wanted, expected);
    if (wanted > mostInflated) {
        throw Error(ErrorCode::tooLarge, where,
                    "a compressed member of " + std::to_string(expected) +
                        " bytes would have to be in memory whole; save with np.savez instead of np.savez_compressed");
    }
    Inflater stream(in, offset, size, where);
    std::vector<std::byte> out(static_cast<std::size_t>(wanted));
    const std::size_t count = stream.decode(out);
    if (wanted < expected && count == wanted) return out;
    const std::string promised = std::to_string(expected) + " that the directory says";
    if (count < wanted) stream.malformed("it decodes to " + std::to_string(count) + " bytes, not to the " + promised);
    if (!stream.endsHere()) stream.malformed("it decodes to more than the " + promised);
    if (stream.unread() != 0)
        stream.malformed(std::to_string(stream.unread()) + " bytes follow the end of the compressed data");
    return out;
}

}  // namespace regauge
