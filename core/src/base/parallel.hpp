// One parallel loop for the whole core.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>

namespace regauge {

// As many threads as are worth waking for work of about so many microseconds.
unsigned threadsWorth(unsigned threads, double microseconds);

// What only the calling thread can do (in WebAssembly: whatever needs JavaScript) and nobody waits for yet, as short
// steps: each call takes one, and says false where none was left. A loop on several threads does as many as fit beside
// it.
using Beside = std::function<bool()>;

// parallelFor without the type of its body.
void runInParallel(unsigned threads, std::size_t count, void (*call)(void* body, std::size_t i), void* body,
                   const Beside& beside);

// Calls fn(i) once for every i in [0, count), on up to `threads` threads, this one among them, in no particular order;
// returns when all are done.
// The first exception is thrown again here, and what has not started by then is left out. For answers that do not
// depend on `threads`, fn(i) must write only what belongs to i. Within fn, and while another loop has the helpers, a
// loop runs on its own thread alone.
template <class Fn>
void parallelFor(unsigned threads, std::size_t count, Fn&& fn, const Beside& beside = {}) {
    using Body = std::remove_reference_t<Fn>;
    runInParallel(
        threads, count, [](void* body, std::size_t i) { (*static_cast<Body*>(body))(i); }, std::addressof(fn), beside);
}

}  // namespace regauge
