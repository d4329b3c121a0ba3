// The release, as gauge files and `regauge --version` state it.
#pragma once

#include <string_view>

namespace regauge {

inline constexpr std::string_view version = "0.1.0";

}  // namespace regauge
