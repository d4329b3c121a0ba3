#include "regauge/error.hpp"

#include <cstddef>
#include <utility>

namespace regauge {
namespace {

// what() ends at the first NUL, and a name from a file may hold one: the sentence would end there.
std::string withoutNul(std::string text) {
    for (std::size_t at = text.find('\0'); at != std::string::npos; at = text.find('\0', at))
        text.replace(at, 1, "\\u0000");
    return text;
}

}  // namespace

std::string_view name(ErrorCode code) {
    switch (code) {
#define REGAUGE_CASE(name) \
    case ErrorCode::name: return #name;
        REGAUGE_ERROR_CODES(REGAUGE_CASE)
#undef REGAUGE_CASE
    }
    return "internal";
}

Error::Error(ErrorCode code, std::string where, std::string sentence)
    : code_(code),
      where_(std::move(where)),
      message_(withoutNul(where_.empty() ? std::move(sentence) : where_ + ": " + sentence)) {}

}  // namespace regauge
