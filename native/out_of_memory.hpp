// What becomes of a process that finds no memory where nothing can be thrown.
#pragma once

namespace regauge {

// From here on such an end is a refusal, "not enough memory" and exit status 2, instead of an abort. Destructors of the
// JSON library take memory for what they take apart (basic_json::destroy), and CLI11 where it promises not to throw. No
// output has its name then, or it has it whole; what was staged beside it is the next run's to remove. Other ends are
// as before. For a process that is ours alone: never from a library.
void refuseWhereMemoryEnds();

}  // namespace regauge
