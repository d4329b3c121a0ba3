#include "regauge/io/tensor_file.hpp"

#include <algorithm>

#include "bytes.hpp"
#include "npy.hpp"
#include "safetensors.hpp"

namespace regauge {
namespace {

// What a file is, by its first bytes. The name only chooses between two sentences of refusal.
TensorFile recognise(std::shared_ptr<const ByteSource> source) {
    const std::vector<std::byte> head = readBytes(*source, 0, std::min<std::uint64_t>(source->size(), 16));
    const std::string_view text = asText(head);
    if (text.starts_with("\x93NUMPY")) return openNpy(std::move(source));
    if ((text.size() > 8 && text[8] == '{') || source->name().ends_with(".safetensors")) return openSafetensors(std::move(source));
    throw Error(ErrorCode::malformed, source->name(), "not a tensor file that regauge knows: expected .safetensors, .npy, .npz, .pt (zip), .gguf or a JSON array of numbers");
}

}  // namespace

std::string_view name(FileFormat format) {
    switch (format) {
        case FileFormat::safetensors: return "safetensors";
        case FileFormat::npy: return "npy";
        case FileFormat::npz: return "npz";
        case FileFormat::torchZip: return "torch";
        case FileFormat::gguf: return "gguf";
        case FileFormat::jsonVector: return "json";
    }
    return "?";
}

const StoredTensor* TensorFile::find(std::string_view name) const {
    const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const StoredTensor& tensor) { return tensor.info.name == name; });
    return found == tensors.end() ? nullptr : &*found;
}

TensorFile openTensorFile(std::shared_ptr<const ByteSource> source) { return recognise(std::move(source)); }

std::unique_ptr<ByteSource> tensorBytes(const TensorFile& file, std::size_t index) {
    const TensorInfo& info = file.tensors.at(index).info;
    return std::make_unique<SliceSource>(file.source, info.offset, info.bytes, placeOf(file.source->name(), info.name));
}

void rewriteTensorFile(const TensorFile& file, const std::vector<std::pair<std::string, std::string>>& provenance, const MoveTensor& move, ByteSink& out) {
    switch (file.format) {
        case FileFormat::safetensors: return rewriteSafetensors(file, provenance, move, out);
        case FileFormat::npy: return rewriteNpy(file, move, out);
        default: throw Error(ErrorCode::unsupported, file.source->name(), "writing this format is not there yet");
    }
}

}  // namespace regauge
