#include "transport/written_tensors.hpp"

#include <algorithm>
#include <set>
#include <span>
#include <string_view>

#include "base/float_blocks.hpp"
#include "io/bytes.hpp"
#include "io/npy.hpp"
#include "io/npz.hpp"
#include "io/number_text.hpp"
#include "io/zip.hpp"
#include "regauge/error.hpp"
#include "regauge/io/safetensors_writer.hpp"

namespace regauge {
namespace {

std::vector<std::byte> npyFile(const Written& tensor, const std::string& where) {
    StoredTensor stored;
    stored.info.dtype = tensor.dtype, stored.info.shape = tensor.shape;
    stored.fortranOrder = tensor.fortranOrder, stored.bigEndian = tensor.bigEndian;
    const std::string header = npyHeader(stored, placeOf(where, tensor.name));
    std::vector<std::byte> file(asBytes(header).begin(), asBytes(header).end());
    file.insert(file.end(), tensor.bytes.begin(), tensor.bytes.end());
    return file;
}

// A tensor that a map names after its target may have the name of what lies beside it, which readZip would refuse.
void requireNamesOnce(const std::vector<NewMember>& members, const std::string& where) {
    std::set<std::string_view> names;
    for (const NewMember& member : members)
        if (!names.insert(member.name).second)
            throw Error(ErrorCode::unsupported, placeOf(where, member.name),
                        "there would be two members of this name: one is moved and gets it, another has it already; "
                        "save the file without the other");
}

// Nested arrays of a shape.
std::string jsonArray(std::span<const double> values, std::span<const std::uint64_t> shape) {
    if (shape.empty()) return numberText(static_cast<float>(values.front()));
    std::string text = "[";
    const std::size_t each = values.size() / std::max<std::size_t>(1, static_cast<std::size_t>(shape.front()));
    for (std::size_t k = 0; k < shape.front(); ++k)
        text += (k > 0 ? ", " : "") + jsonArray(values.subspan(k * each, each), shape.subspan(1));
    return text + "]";
}

}  // namespace

void writeAnew(const TensorFile& file, const std::vector<Written>& tensors,
               const std::pair<std::string, std::string>& record, const std::string& where, ByteSink& out) {
    switch (file.format) {
        case FileFormat::safetensors: {
            std::vector<NewTensor> list;
            for (const Written& tensor : tensors)
                list.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
            auto metadata = file.metadata;
            std::erase_if(metadata, [&](const auto& entry) { return entry.first == record.first; });
            metadata.push_back(record);
            return writeSafetensors(list, metadata, out);
        }
        case FileFormat::npy: return out.write(npyFile(tensors.front(), where));
        case FileFormat::npz: {
            std::vector<std::vector<std::byte>> arrays;
            std::vector<NewMember> members;
            for (const Written& tensor : tensors) arrays.push_back(npyFile(tensor, where));
            for (std::size_t k = 0; k < tensors.size(); ++k)
                members.push_back(
                    {tensors[k].name + ".npy", arrays[k].size(), [&arrays, k](ByteSink& to) { to.write(arrays[k]); }});
            for (NewMember& other : otherNpzMembers(file)) members.push_back(std::move(other));
            requireNamesOnce(members, where);
            return writeZip(members, where, out);
        }
        case FileFormat::jsonVector:
            if (tensors.size() == 1) {
                std::vector<double> values(tensors.front().bytes.size() / byteSize(tensors.front().dtype));
                loadDoubles(tensors.front().bytes, tensors.front().dtype, values);
                return out.write(asBytes(jsonArray(values, tensors.front().shape) + "\n"));
            }
            break;
        case FileFormat::torchZip:
        case FileFormat::arrow:
        case FileFormat::gguf: break;
    }
    throw Error(ErrorCode::unsupported, where,
                "would get other widths or names in a " + std::string(name(file.format)) +
                    " file, which regauge writes only as it was; save it as .safetensors or .npz, and move that");
}

}  // namespace regauge
