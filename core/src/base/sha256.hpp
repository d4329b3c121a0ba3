// SHA-256 (FIPS 180-4): fingerprints of gauges and of evidence files. Small enough to own: no library of this size is
// packaged for both native builds and wasm.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace regauge {

class Sha256 {
public:
    void update(std::span<const std::byte> bytes);
    // The digest in lower-case hexadecimal. Call once, last.
    std::string hex();

private:
    std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<std::byte, 64> pending_{};
    std::size_t pendingBytes_ = 0;
    std::uint64_t totalBytes_ = 0;
};

}  // namespace regauge
