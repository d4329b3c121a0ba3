#include "regauge/io/safetensors_writer.hpp"

#include <nlohmann/json.hpp>

#include "io/bytes.hpp"
#include "io/json_text.hpp"
#include "io/safetensors.hpp"
#include "regauge/error.hpp"

namespace regauge {

std::vector<std::byte> safetensorsHeader(const std::vector<TensorInfo>& tensors,
                                         const std::vector<std::pair<std::string, std::string>>& metadata) {
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    if (!metadata.empty()) {
        auto& entries = header["__metadata__"] = nlohmann::ordered_json::object();
        for (const auto& [key, value] : metadata) entries[key] = value;
    }
    std::uint64_t offset = 0;
    for (const TensorInfo& tensor : tensors) {
        if (header.contains(tensor.name)) throw Error(ErrorCode::internal, tensor.name, "its name is taken");
        header[tensor.name] = {
            {"dtype", name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.bytes}}};
        offset += tensor.bytes;
    }
    std::string text = jsonText(header);
    text.resize((text.size() + 7) / 8 * 8, ' ');
    std::byte length[8];
    storeLittle(std::uint64_t{text.size()}, length);
    MemorySink bytes;
    bytes.write(length);
    bytes.write(asBytes(text));
    return bytes.take();
}

void writeSafetensors(const std::vector<NewTensor>& tensors,
                      const std::vector<std::pair<std::string, std::string>>& metadata, ByteSink& out) {
    std::vector<TensorInfo> infos;
    for (const NewTensor& tensor : tensors) {
        const std::optional<std::uint64_t> bytes = byteCount(tensor.dtype, tensor.shape);
        if (bytes != tensor.bytes.size())
            throw Error(ErrorCode::internal, tensor.name, "its bytes do not fit its shape");
        infos.push_back({tensor.name, tensor.dtype, tensor.shape, 0, *bytes});
    }
    out.write(safetensorsHeader(infos, metadata));
    for (const NewTensor& tensor : tensors) out.write(tensor.bytes);
}

}  // namespace regauge
