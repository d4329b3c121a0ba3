// What a file is called by its contents.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "regauge/io/byte_source.hpp"

namespace regauge {

// The SHA-256 of a file in lower-case hexadecimal, worked out when it is first asked for, or piece by piece before
// that. Copies share it. One thread at a time.
class FileHash {
public:
    FileHash() = default;  // "", of what has none
    explicit FileHash(std::string hex) : state_(std::make_shared<State>(State{nullptr, {}, std::move(hex)})) {}
    explicit FileHash(std::shared_ptr<const ByteSource> file)
        : state_(std::make_shared<State>(State{std::move(file), {}, std::nullopt})) {}

    // Takes in a next piece; false where none was left. Throws as the file's read() does.
    bool step() const {
        if (!state_ || state_->hex) return false;
        if (!state_->next) state_->next = state_->file->sha256();
        state_->hex = state_->next();
        if (state_->hex) state_->next = nullptr, state_->file.reset();  // it need not stay open
        return true;
    }
    // All of it.
    std::string hex() const {
        while (step()) {
        }
        return state_ ? *state_->hex : "";
    }

private:
    struct State {
        std::shared_ptr<const ByteSource> file;
        std::function<std::optional<std::string>()> next;
        std::optional<std::string> hex;
    };
    std::shared_ptr<State> state_;
};

}  // namespace regauge
