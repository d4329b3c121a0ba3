// The `regauge` command with everything it touches passed in, so that the native program and the Node command are one,
// word for word.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "regauge/error.hpp"
#include "regauge/io/byte_source.hpp"
#include "regauge/progress.hpp"
#include "regauge/team.hpp"

namespace regauge {

// What a face lends the command.
struct Host {
    Files& files;
    std::function<void(std::string_view)> out;  // standard output; throws Error(writeFailed) where the text is lost
    std::function<void(std::string_view)> err;  // standard error: messages and progress
    bool errIsTerminal = false;                 // a progress bar is drawn only there
    std::function<bool()> cancelled = [] { return false; };  // asked now and then during long work
    unsigned threads = 1;                                    // how many to use where --threads is not given
    std::function<std::uint64_t()> memory = [] {
        return std::uint64_t{0};
    };                                            // bytes that may still be taken; 0: nobody knows
    Progress::Callback progress{};                // asked in place of the bar and of `cancelled`, where a face has one
    std::function<void(const Error&)> refused{};  // told instead of `err` why a job was refused or cancelled
    Team* team = nullptr;  // the processes of an MPI job, each of which runs the command; all but the first are silent
    std::function<void()> withoutSync = [] {
    };  // --no-sync: from now on outputs need not be on disk when they are committed
};

// Runs `regauge args...` and returns the exit status: 0 done; 1 done, but the answer is no (unrelated models, a
// comparison or verification failed); 2 refused, with one clear line on `err`; 130 cancelled. Never throws.
int runCommand(const std::vector<std::string>& args, Host& host);

}  // namespace regauge
