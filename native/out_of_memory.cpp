#include "out_of_memory.hpp"

#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>

#include "os.hpp"

namespace regauge {
namespace {

std::terminate_handler usual = nullptr;

// Takes no memory itself: `throw` alone copies nothing.
[[noreturn]] void end() {
    try {
        if (std::current_exception()) throw;
    } catch (const std::bad_alloc&) {
        constexpr std::string_view words = "regauge: not enough memory\n";
        constexpr int refused = 2;
        os::sayWithoutMemory(words);
        std::_Exit(refused);
    } catch (...) {
    }
    if (usual != nullptr) usual();
    std::abort();
}

}  // namespace

void refuseWhereMemoryEnds() {
    if (std::get_terminate() != end) usual = std::set_terminate(end);
}

}  // namespace regauge
