// The threads that jobs share. They start by themselves when a job wants them; where starting takes a while, they may
// be asked for before.
#pragma once

namespace regauge {

// Starts what threads > 1 will need, where starting takes a while (WebAssembly: a worker each), and does not wait for
// it.
void startHelpers(unsigned threads);

// How many helpers have started; never more than were needed so far.
unsigned helpersReady();

}  // namespace regauge
