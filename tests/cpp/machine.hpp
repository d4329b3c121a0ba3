// What tests ask of a machine, and POSIX and Windows have under different names.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <optional>
#include <string>

namespace regauge::test {

#ifdef _WIN32
// Windows makes links for administrators only, and mingw-w64's std::filesystem none at all.
inline bool makeLink(const std::filesystem::path&, const std::filesystem::path&) { return false; }
inline void setVariable(const char* name, const std::optional<std::string>& value) {
    ::_putenv_s(name, value.value_or("").c_str());  // an empty one is none
}
constexpr const char* homeVariable = "USERPROFILE";
#else
// Whether the machine makes links; it does, or throws.
inline bool makeLink(const std::filesystem::path& to, const std::filesystem::path& link) {
    std::filesystem::create_symlink(to, link);
    return true;
}
inline void setVariable(const char* name, const std::optional<std::string>& value) {
    if (value)
        ::setenv(name, value->c_str(), 1);
    else
        ::unsetenv(name);
}
constexpr const char* homeVariable = "HOME";
#endif

}  // namespace regauge::test
