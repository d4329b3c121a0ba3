// Seeds of JSON in which one value is another than it should be: each refusal of a reader has one.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace regauge::fuzz {

struct Change {
    const char *pointer, *value;  // RFC 6901's, and JSON; nullptr: nothing is there
};

// What the pointer names, made where an object lacks it. (nlohmann's operator[] takes pointers by a comparison of them
// with keys that it deprecates itself.)
inline nlohmann::ordered_json& entryAt(nlohmann::ordered_json& json,
                                       const nlohmann::ordered_json::json_pointer& pointer) {
    if (pointer.empty()) return json;
    nlohmann::ordered_json& parent = entryAt(json, pointer.parent_pointer());
    return parent.is_array() ? parent.at(std::stoul(pointer.back())) : parent[pointer.back()];
}

// The text with each of the changes alone, named by its pointer.
inline std::vector<std::pair<std::string, std::string>> changedOneByOne(const std::string& text,
                                                                        std::initializer_list<Change> changes) {
    std::vector<std::pair<std::string, std::string>> texts;
    for (const Change& change : changes) {
        nlohmann::ordered_json json = nlohmann::ordered_json::parse(text);
        const nlohmann::ordered_json::json_pointer pointer(change.pointer);
        if (change.value != nullptr)
            entryAt(json, pointer) = nlohmann::ordered_json::parse(change.value);
        else
            entryAt(json, pointer.parent_pointer()).erase(pointer.back());
        texts.emplace_back(change.pointer + std::string("-") + std::to_string(texts.size()), json.dump());
    }
    return texts;
}

}  // namespace regauge::fuzz
