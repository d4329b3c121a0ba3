#include "regauge/error.hpp"

#include <utility>

namespace regauge {

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
      message_(where_.empty() ? std::move(sentence) : where_ + ": " + sentence) {}

}  // namespace regauge
