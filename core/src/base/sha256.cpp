#include "base/sha256.hpp"

#include <algorithm>
#include <bit>

#if defined(__x86_64__) && defined(__GNUC__)
#define REGAUGE_SHA_INSTRUCTIONS 1
#include <cpuid.h>
#include <immintrin.h>
#else
#define REGAUGE_SHA_INSTRUCTIONS 0
#endif

namespace regauge {
namespace {

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr std::array<std::uint32_t, 64> roundConstants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

using State = std::array<std::uint32_t, 8>;

void oneBlock(State& state, const std::byte* bytes) {
    std::array<std::uint32_t, 64> w;
    for (std::size_t t = 0; t < 16; ++t) {
        const auto at = [&](std::size_t k) { return static_cast<std::uint32_t>(bytes[4 * t + k]); };
        w[t] = at(0) << 24 | at(1) << 16 | at(2) << 8 | at(3);
    }
    for (std::size_t t = 16; t < 64; ++t) {
        const std::uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
        const std::uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (std::size_t t = 0; t < 64; ++t) {
        const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
        const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + roundConstants[t] + w[t];
        const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
        const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const State step{a, b, c, d, e, f, g, h};
    for (std::size_t k = 0; k < 8; ++k) state[k] += step[k];
}

void blocksInWords(State& state, const std::byte* bytes, std::size_t count) {
    for (std::size_t k = 0; k < count; ++k) oneBlock(state, bytes + 64 * k);
}

#if REGAUGE_SHA_INSTRUCTIONS
// The processor's own instructions: four rounds in two, and the next four words of the message in two more. They are no
// part of any instruction set of kernels/isa.hpp (processors with AVX-512 may lack them), so they are asked for here.
__attribute__((target("sha,sse4.1"))) void blocksInInstructions(State& state, const std::byte* bytes,
                                                                std::size_t count) {
    const __m128i bigEndian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    auto* words = reinterpret_cast<__m128i*>(state.data());
    const __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1),
                  efgh = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    for (std::size_t block = 0; block < count; ++block) {
        const __m128i abefBefore = abef, cdghBefore = cdgh;
        __m128i w[4];
        for (std::size_t k = 0; k < 4; ++k)
            w[k] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 64 * block + 16 * k)),
                                    bigEndian);
        for (std::size_t k = 0; k < 16; ++k) {
            __m128i& next = w[k % 4];
            const __m128i last = w[(k + 3) % 4];
            if (k >= 4)
                next = _mm_sha256msg2_epu32(
                    _mm_add_epi32(_mm_sha256msg1_epu32(next, w[(k + 1) % 4]), _mm_alignr_epi8(last, w[(k + 2) % 4], 4)),
                    last);
            const __m128i input =
                _mm_add_epi32(next, _mm_loadu_si128(reinterpret_cast<const __m128i*>(roundConstants.data() + 4 * k)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, input);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(input, 0x0e));
        }
        abef = _mm_add_epi32(abef, abefBefore), cdgh = _mm_add_epi32(cdgh, cdghBefore);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

bool hasInstructions() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool sse41 = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 19 & 1) != 0;
    return sse41 && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0;
}
#endif

void blocks(State& state, const std::byte* bytes, std::size_t count) {
#if REGAUGE_SHA_INSTRUCTIONS
    static const bool fast = hasInstructions();
    if (fast) return blocksInInstructions(state, bytes, count);
#endif
    blocksInWords(state, bytes, count);
}

}  // namespace

void Sha256::update(std::span<const std::byte> bytes) {
    totalBytes_ += bytes.size();
    while (!bytes.empty()) {
        if (pendingBytes_ == 0 && bytes.size() >= 64) {
            blocks(state_, bytes.data(), bytes.size() / 64);
            bytes = bytes.last(bytes.size() % 64);
            continue;
        }
        const std::size_t taken = std::min(bytes.size(), 64 - pendingBytes_);
        std::copy_n(bytes.begin(), taken, pending_.begin() + static_cast<std::ptrdiff_t>(pendingBytes_));
        pendingBytes_ += taken;
        bytes = bytes.subspan(taken);
        if (pendingBytes_ == 64) {
            blocks(state_, pending_.data(), 1);
            pendingBytes_ = 0;
        }
    }
}

std::string Sha256::hex() {
    const std::uint64_t bits = totalBytes_ * 8;
    const std::byte one{0x80}, zero{0};
    update({&one, 1});
    while (pendingBytes_ != 56) update({&zero, 1});
    std::array<std::byte, 8> length;
    for (std::size_t k = 0; k < 8; ++k) length[k] = static_cast<std::byte>(bits >> (56 - 8 * k));
    update(length);

    std::string text;
    for (const std::uint32_t word : state_)
        for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[(word >> shift) & 15];
    return text;
}

}  // namespace regauge
