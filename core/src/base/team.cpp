#include "regauge/team.hpp"

#include <new>
#include <optional>
#include <string>

#include "regauge/error.hpp"

namespace regauge {
namespace {

template <class T>
std::span<std::byte> bytesOf(T& value) {
    return std::as_writable_bytes(std::span(&value, 1));
}

}  // namespace

void together(Team& team, const std::function<void()>& work) {
    std::optional<Error> failure;
    try {
        work();
    } catch (const Error& error) {
        failure = error;
    } catch (const std::bad_alloc&) {
        failure = Error(ErrorCode::tooLarge, "",
                        "not enough memory; fewer processes on a machine, or a machine with more of it");
    } catch (const std::exception& error) {
        failure = Error(ErrorCode::internal, "", error.what());
    }
    const unsigned failed = team.lowest(failure ? team.rank() : team.size());
    if (failed == team.size()) return;
    std::uint32_t code = failure ? static_cast<std::uint32_t>(failure->code()) : 0;
    std::string message = failure ? failure->what() : "";
    std::uint64_t length = message.size();
    team.broadcast(bytesOf(code), failed);
    team.broadcast(bytesOf(length), failed);
    message.resize(static_cast<std::size_t>(length));
    team.broadcast(std::as_writable_bytes(std::span(message)), failed);
    throw Error(static_cast<ErrorCode>(code),
                failed == 0 ? "" : "process " + std::to_string(failed) + " of " + std::to_string(team.size()), message);
}

}  // namespace regauge
