// Text from files and paths as people may be shown it.
#pragma once

#include <string>
#include <string_view>

namespace regauge {

enum class Lines { one, several };

// The text with what a terminal obeys instead of showing it as the letters that JSON has for it ("\u001b"): control
// characters, bidirectional marks and isolates, line separators, characters without width, tags, and bytes that are not
// UTF-8 ("\xff"). A name so printed can neither move the cursor nor look like a line of ours. several: line ends stay.
std::string shown(std::string_view text, Lines lines = Lines::one);

}  // namespace regauge
