// How wide an attention head may be.
#pragma once

#include <cstddef>

namespace regauge {

constexpr std::size_t mostHeadDim = 4096;  // models have up to 512; each layer has a frequency for every two

}  // namespace regauge
