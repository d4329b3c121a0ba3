#include "regauge/progress.hpp"

#include <utility>

#include "regauge/error.hpp"

namespace regauge {

Progress::Progress(Callback callback) : callback_(std::move(callback)) {}

void Progress::report(std::string_view stage, std::uint64_t done, std::uint64_t total) const {
    if (callback_ && !callback_(stage, done, total))
        throw Error(ErrorCode::cancelled, "", "cancelled; nothing was written");
}

}  // namespace regauge
