#include "regauge/io/safetensors_writer.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "io/bytes.hpp"
#include "io/json_text.hpp"
#include "regauge/error.hpp"

namespace regauge {

void writeSafetensors(const std::vector<NewTensor>& tensors,
                      const std::vector<std::pair<std::string, std::string>>& metadata, ByteSink& out) {
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    if (!metadata.empty()) {
        auto& entries = header["__metadata__"] = nlohmann::ordered_json::object();
        for (const auto& [key, value] : metadata) entries[key] = value;
    }
    std::uint64_t offset = 0;
    for (const NewTensor& tensor : tensors) {
        const std::optional<std::uint64_t> elements = elementCount(tensor.shape);
        if (!elements || *elements * byteSize(tensor.dtype) != tensor.bytes.size() || header.contains(tensor.name))
            throw Error(ErrorCode::internal, tensor.name, "its bytes do not fit its shape, or its name is taken");
        header[tensor.name] = {{"dtype", name(tensor.dtype)},
                               {"shape", tensor.shape},
                               {"data_offsets", {offset, offset + tensor.bytes.size()}}};
        offset += tensor.bytes.size();
    }
    std::string text = jsonText(header);
    text.resize((text.size() + 7) / 8 * 8, ' ');  // the data starts 8-byte aligned, as the format recommends
    std::array<std::byte, 8> length;
    storeLittle(std::uint64_t{text.size()}, length.data());
    out.write(length);
    out.write(std::as_bytes(std::span(text)));
    for (const NewTensor& tensor : tensors) out.write(tensor.bytes);
}

}  // namespace regauge
