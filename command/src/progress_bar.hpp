// Progress on standard error: a bar on a terminal, nothing elsewhere.
#pragma once

#include "regauge/command.hpp"
#include "regauge/progress.hpp"

namespace regauge {

// The host must outlive what this returns.
Progress progressBar(Host& host);

}  // namespace regauge
