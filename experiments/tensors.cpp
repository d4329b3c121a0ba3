#include "tensors.hpp"

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickler.h>

#include <cstring>
#include <stdexcept>

#include "regauge/io/safetensors_writer.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge::experiments {
namespace {

Dtype dtypeOf(const torch::Tensor& tensor) {
    switch (tensor.scalar_type()) {
        case torch::kFloat32: return Dtype::F32;
        case torch::kFloat16: return Dtype::F16;
        case torch::kFloat64: return Dtype::F64;
        case torch::kInt64: return Dtype::I64;
        default: throw std::invalid_argument("writeTensors: an element type that is not written here");
    }
}

void writeBytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    std::filesystem::create_directories(path.parent_path());
    NativeFiles files;
    const auto output = files.create(path.string(), false, true);
    output->file("").write(bytes);
    output->commit();
}

}  // namespace

void writeTensors(const std::filesystem::path& path, const NamedTensors& tensors) {
    std::filesystem::create_directories(path.parent_path());
    std::vector<torch::Tensor> held;
    std::vector<NewTensor> list;
    for (const auto& [name, tensor] : tensors) {
        held.push_back(tensor.detach().contiguous());
        const torch::Tensor& flat = held.back();
        list.push_back({name,
                        dtypeOf(flat),
                        Shape(flat.sizes().begin(), flat.sizes().end()),
                        {static_cast<const std::byte*>(flat.data_ptr()), flat.nbytes()}});
    }
    NativeFiles files;
    const auto output = files.create(path.string(), false, true);
    writeSafetensors(list, {{"format", "pt"}}, output->file(""));
    output->commit();
}

NamedTensors readTensors(const std::filesystem::path& path) {
    const TensorFile file = openTensorFile(NativeFiles().open(path.string()));
    NamedTensors tensors;
    for (std::size_t k = 0; k < file.tensors.size(); ++k) {
        const TensorInfo& info = file.tensors[k].info;
        if (!isFloat(info.dtype)) continue;
        std::vector<std::byte> bytes(static_cast<std::size_t>(info.bytes));
        tensorBytes(file, k)->read(0, bytes);
        const std::vector<std::int64_t> shape(info.shape.begin(), info.shape.end());
        torch::Tensor tensor = torch::empty(shape, info.dtype == Dtype::F64 ? torch::kFloat64 : torch::kFloat32);
        if (info.dtype == Dtype::F64)
            std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
        else
            convertToFloat(bytes, info.dtype, {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())});
        tensors.emplace_back(info.name, std::move(tensor));
    }
    return tensors;
}

const torch::Tensor& find(const NamedTensors& tensors, const std::string& name) {
    for (const auto& [key, tensor] : tensors)
        if (key == name) return tensor;
    throw std::runtime_error("there is no tensor \"" + name + "\"");
}

void writePickle(const std::filesystem::path& path, const c10::IValue& value) {
    std::vector<char> archive, pickle;
    torch::jit::Pickler pickler(
        [&](const char* data, std::size_t size) { pickle.insert(pickle.end(), data, data + size); }, nullptr, nullptr,
        nullptr, nullptr,
        /*tag_aggregates=*/false);
    pickler.protocol();
    pickler.pushIValue(value);
    pickler.stop();
    caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, std::size_t size) {
        const char* bytes = static_cast<const char*>(data);
        archive.insert(archive.end(), bytes, bytes + size);
        return size;
    });
    writer.writeRecord("data.pkl", pickle.data(), pickle.size());
    for (std::size_t k = 0; k < pickler.tensorData().size();
         ++k) {  // their storages: contiguous here, because nothing that is saved is a view
        const torch::Tensor& tensor = pickler.tensorData()[k];
        writer.writeRecord("data/" + std::to_string(k), tensor.data_ptr(), tensor.nbytes());
    }
    writer.writeEndOfFile();
    writeBytes(path, std::as_bytes(std::span(archive)));
}

void writeText(const std::filesystem::path& path, const std::string& text) {
    writeBytes(path, std::as_bytes(std::span(text)));
}

std::string readText(const std::filesystem::path& path) {
    const auto source = NativeFiles().open(path.string());
    std::string text(static_cast<std::size_t>(source->size()), '\0');
    source->read(0, std::as_writable_bytes(std::span(text)));
    return text;
}

}  // namespace regauge::experiments
