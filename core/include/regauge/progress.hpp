// Progress and cancellation of long work.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace regauge {

// Tells a face how far a job is. Copyable; a default-constructed Progress is silent.
class Progress {
public:
    // Called with a stage ("reading rows"), and how much of how much is done. Returns false to cancel.
    using Callback = std::function<bool(std::string_view stage, std::uint64_t done, std::uint64_t total)>;

    Progress() = default;
    explicit Progress(Callback callback);

    // Reports; throws Error(cancelled) when the face asked to stop. Cheap enough for every block of rows, not for every
    // row.
    // Called from the thread that runs the job only.
    void report(std::string_view stage, std::uint64_t done, std::uint64_t total) const;

private:
    Callback callback_;
};

}  // namespace regauge
