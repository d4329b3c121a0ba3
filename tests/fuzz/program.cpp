// The libFuzzer program of one target.
#include <cstddef>
#include <cstdint>

#include "targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
    constexpr int keepOutOfCorpus = -1;
    return regauge::fuzz::REGAUGE_FUZZ_NAME({reinterpret_cast<const char*>(bytes), count}) ? 0 : keepOutOfCorpus;
}
