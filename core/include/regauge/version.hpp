// The release, as gauge files and `regauge --version` state it. CMake and Python's package read it from here.
#pragma once

#include <string_view>

#define REGAUGE_VERSION_MAJOR 0
#define REGAUGE_VERSION_MINOR 1
#define REGAUGE_VERSION_PATCH 0

#define REGAUGE_VERSION_JOINED(major, minor, patch) #major "." #minor "." #patch
#define REGAUGE_VERSION_OF(major, minor, patch) REGAUGE_VERSION_JOINED(major, minor, patch)  // the numbers, not names
#define REGAUGE_VERSION_STRING REGAUGE_VERSION_OF(REGAUGE_VERSION_MAJOR, REGAUGE_VERSION_MINOR, REGAUGE_VERSION_PATCH)

namespace regauge {

inline constexpr std::string_view version = REGAUGE_VERSION_STRING;

}  // namespace regauge
