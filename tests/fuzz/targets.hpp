// What is done with an input of a fuzzer, for each thing that is parsed. It is read and used as the command would use
// it: that works, or an Error says why not. Anything else (a crash, another exception, a defect that the command would
// own up to, an output that stays behind after a refusal) escapes. tests/cpp/fuzz.test.cpp does the same with the seeds
// and with what was found.
#pragma once

#include <string>
#include <string_view>

namespace regauge::fuzz {

// Whether the input begins as such a file does: what does not is another target's.
#define REGAUGE_FUZZ_TARGET(name) bool name(std::string_view input);
#include "targets.inc"
#undef REGAUGE_FUZZ_TARGET

// The target of that name. Throws std::out_of_range where there is none.
bool run(const std::string& target, std::string_view input);

}  // namespace regauge::fuzz
