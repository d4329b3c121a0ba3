#include "io/json_edit.hpp"
#include "io/safetensors.hpp"

namespace regauge {

std::string withMetadata(std::string_view header, const std::vector<std::pair<std::string, std::string>>& entries) {
    constexpr std::size_t alignment = 8;  // of the data behind the header
    std::string text(header);
    for (const auto& [key, value] : entries) text = withJsonEntry(text, "__metadata__", key, value, alignment);
    return text;
}

}  // namespace regauge
