#include "regauge/io/tensor_file.hpp"

#include <algorithm>

#include "io/arrow.hpp"
#include "io/arrow_stream.hpp"
#include "io/bytes.hpp"
#include "io/gguf.hpp"
#include "io/json_text.hpp"
#include "io/json_vector.hpp"
#include "io/npy.hpp"
#include "io/npz.hpp"
#include "io/safetensors.hpp"
#include "io/torch_zip.hpp"

namespace regauge {
namespace {

TensorFile openZip(std::shared_ptr<const ByteSource> source) {
    ZipDirectory zip = readZip(*source);
    return looksLikeTorch(zip) ? openTorchZip(std::move(source), std::move(zip))
                               : openNpz(std::move(source), std::move(zip));
}

constexpr std::size_t longestName = 4096;  // bytes; libraries write 200, and messages and tables show them whole

// Formats that people will try, each with the way out.
struct Refusal {
    std::string_view head;
    std::string_view sentence;
};
constexpr Refusal refusals[] = {
    {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19",
     "PyTorch's format before 1.6; re-save it with a current torch: torch.save(torch.load(path), new_path)"},
    {"\x80",
     "a bare Python pickle (joblib writes them, too), which regauge does not run; save tensors with torch.save, or "
     "arrays with NumPy, e.g. np.savez('probe.npz', coef_=probe.coef_)"},
    {"\x78\x9c",
     "a zlib-compressed file, as joblib writes for pickles, which regauge does not run; save the arrays with NumPy, "
     "e.g. np.savez('probe.npz', coef_=probe.coef_)"},
    {"\x89HDF", "an HDF5 file; save the arrays as .npy or .safetensors"},
    // The line is run by tests/interop/containers.py.
    {"PAR1",
     "a Parquet file; save its column of numbers: import numpy, pyarrow.parquet; c = "
     "pyarrow.parquet.read_table('FILE')['COLUMN'].combine_chunks(); numpy.save('rows.npy', c.to_numpy_ndarray() if "
     "hasattr(c, 'to_numpy_ndarray') else numpy.array(c.to_pylist(), 'float32'))"},
    {"\x1f\x8b", "a gzip file; unpack it first"},
    {"version https://git-lfs", "a Git LFS pointer instead of the file itself; fetch it with git lfs pull"},
};

// What a file is, by its first bytes. The name only chooses between two sentences of refusal.
TensorFile recognise(std::shared_ptr<const ByteSource> source) {
    const std::vector<std::byte> head = readBytes(*source, 0, std::min<std::uint64_t>(source->size(), 64));
    const std::string_view text = asText(head);
    // A plausible header length and its '{': nothing else begins so. The length alone may spell any other format's
    // magic.
    const bool plausible = text.size() > 8 && text.substr(4, 4) == std::string_view("\0\0\0\0", 4) && text[8] == '{';
    if (plausible) return openSafetensors(std::move(source));
    if (text.starts_with("\x93NUMPY")) return openNpy(std::move(source));
    if (source->name().ends_with(".distcp"))
        throw Error(ErrorCode::unsupported, source->name(),
                    "one file of a distributed checkpoint of PyTorch; convert its folder with python -m "
                    "torch.distributed.checkpoint.format_utils "
                    "dcp_to_torch FOLDER model.pt, and give that");
    if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) return openZip(std::move(source));
    if (text.starts_with("GGUF")) return openGguf(std::move(source));
    const bool opens = text.size() > 8 && text[8] == '{';  // a safetensors header whose length is damaged
    for (const Refusal& refusal : refusals) {
        if (text.starts_with(refusal.head) && !opens)
            throw Error(ErrorCode::unsupported, source->name(), std::string(refusal.sentence));
    }
    if (looksLikeArrow(text) && !opens) return openArrow(std::move(source));
    const std::size_t first = text.find_first_not_of(" \t\r\n", byteOrderMark(text));
    const bool named = source->name().ends_with(".safetensors");
    if (first != std::string_view::npos && (text[first] == '[' || (text[first] == '{' && !named)))
        return openJsonVector(std::move(source));
    if (opens || named) return openSafetensors(std::move(source));
    throw Error(
        ErrorCode::malformed, source->name(),
        "not a tensor file that regauge knows: expected .safetensors, .npy, .npz, .pt (zip), .gguf, .arrow, or JSON "
        "with arrays of numbers");
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
        case FileFormat::arrow: return "arrow";
    }
    return "?";
}

const StoredTensor* TensorFile::find(std::string_view name) const {
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const StoredTensor& tensor) { return tensor.info.name == name; });
    return found == tensors.end() ? nullptr : &*found;
}

TensorFile openTensorFile(std::shared_ptr<const ByteSource> source) {
    TensorFile file = recognise(std::move(source));
    for (const StoredTensor& tensor : file.tensors)
        if (tensor.info.name.size() > longestName)
            throw Error(ErrorCode::tooLarge, file.source->name(),
                        "has a tensor whose name takes " + std::to_string(tensor.info.name.size()) +
                            " bytes; names of " + std::to_string(longestName) + " at most are read");
    return file;
}

std::unique_ptr<ByteSource> tensorBytes(const TensorFile& file, std::size_t index) {
    if (file.format == FileFormat::npz) return npzTensorBytes(file, index);
    if (file.format == FileFormat::jsonVector) return jsonTensorBytes(file, index);
    if (file.format == FileFormat::torchZip) return torchTensorBytes(file, index);
    if (file.format == FileFormat::arrow) return arrowTensorBytes(file, index);
    const TensorInfo& info = file.tensors.at(index).info;
    return std::make_unique<SliceSource>(file.source, info.offset, info.bytes, placeOf(file.source->name(), info.name));
}

void rewriteTensorFile(const TensorFile& file, const std::vector<std::pair<std::string, std::string>>& provenance,
                       const MoveTensor& move, ByteSink& out) {
    switch (file.format) {
        case FileFormat::safetensors: return rewriteSafetensors(file, provenance, move, out);
        case FileFormat::npy: return rewriteNpy(file, move, out);
        case FileFormat::npz: return rewriteNpz(file, move, out);
        case FileFormat::torchZip: return rewriteTorchZip(file, move, out);
        case FileFormat::gguf: return rewriteGguf(file, provenance, move, out);
        case FileFormat::jsonVector: return rewriteJsonVector(file, move, out);
        case FileFormat::arrow: throw arrowNotWritten(file);
    }
}

}  // namespace regauge
