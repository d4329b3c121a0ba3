// SHA-256 against Python's hashlib.
#include "base/sha256.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace regauge {
namespace {

// python3 -c 'import hashlib; b = bytes((7*k + k//256) % 256 for k in range(100000)); [print(n,
// hashlib.sha256(b[:n]).hexdigest()) for n in (0, 1, 55, ...)]'
const std::vector<std::pair<std::size_t, std::string>> expected{
    {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {55, "576a1bf8d4478657e6dc4af9398544765c2a92cde28478b019235cfed315fc09"},
    {56, "9b20501dfd1d99161c257950f3444f3e49230c351c5c8e0943ef369f85f5205d"},
    {63, "30b345906b493f06f69444b6521113511c242f30e29840462950035043682f1e"},
    {64, "d8bc63b4fc1156e5e7d95a418b9bf54cd3174bedbc2db40f74895349b229b3c0"},
    {65, "1ee23b0fbcaecc1aff4a9e8f1645f35ab2c8e13609cd73b68df8b5e3f63ce073"},
    {119, "7a6589821178918ca8d9edaba5abfc1e9b2669564f4469b66885379c1530b2c8"},
    {120, "655250427d56b1b0eeb8497d21428704273458a01772d6881b65c0abac0f8a98"},
    {1000, "c85a431e0fe575b2609289d3a4042414715f400612575a125d2ce5573d608732"},
    {100000, "55af394c980c7a7fb68aa904c4afdd93d76e5f826487105fc06f92a25bab8cbe"},
};

TEST_CASE("SHA-256 is hashlib's, however the bytes come") {
    std::vector<std::byte> bytes(100000);
    for (std::size_t k = 0; k < bytes.size(); ++k) bytes[k] = static_cast<std::byte>(7 * k + k / 256);
    for (const auto& [size, digest] : expected)
        for (const std::size_t piece :
             {std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{200}, std::size_t{100000}}) {
            Sha256 hash;
            for (std::size_t at = 0; at < size; at += piece)
                hash.update(std::span<const std::byte>(bytes).subspan(at, std::min(piece, size - at)));
            CHECK(hash.hex() == digest);
        }
}

}  // namespace
}  // namespace regauge
