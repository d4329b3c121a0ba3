// A command run as a face runs it, with what it said.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "regauge/command.hpp"

namespace regauge::test {

struct Ran {
    int status = 0;
    std::string out, err;
    nlohmann::json json() const { return nlohmann::json::parse(out); }
};

inline Ran run(Files& files, const std::vector<std::string>& args, Team* team = nullptr) {
    Ran ran;
    Host host{.files = files,
              .out = [&](std::string_view text) { ran.out += text; },
              .err = [&](std::string_view text) { ran.err += text; },
              .team = team};
    ran.status = runCommand(args, host);
    return ran;
}

}  // namespace regauge::test
