// Transport by a map. A map is arithmetic and may change widths: values are computed in double and rounded once to the
// tensor's own dtype, and a file whose shapes or names change is written anew.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "base/float_blocks.hpp"
#include "io/bytes.hpp"
#include "io/json_edit.hpp"
#include "io/number_text.hpp"
#include "io/zip.hpp"
#include "maps/polar.hpp"
#include "numeric/linalg.hpp"
#include "regauge/error.hpp"
#include "regauge/io/safetensors_writer.hpp"
#include "regauge/map_transport.hpp"
#include "transport/map_roles.hpp"

namespace regauge {
namespace {

using Role = MappedTensor::Role;

constexpr const char* recordKey = "regauge.maps";        // in safetensors metadata
constexpr const char* configRecordKey = "regauge_maps";  // in JSON that Python reads into keyword arguments
// What configurations call the width of the stream.
constexpr std::array<std::string_view, 5> widthKeys{"d_in", "d_out", "d_model", "activation_dim", "hidden_size"};

std::vector<double> doubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

std::size_t product(const Shape& shape, std::size_t first, std::size_t last) {
    std::size_t count = 1;
    for (std::size_t axis = first; axis < last; ++axis) count *= static_cast<std::size_t>(shape[axis]);
    return count;
}

// A tensor with one residual axis: [outer, d, inner].
struct Values {
    std::vector<double> values;
    std::size_t outer = 1, d = 1, inner = 1;
    double& at(std::size_t o, std::size_t j, std::size_t i) { return values[(o * d + j) * inner + i]; }
    double at(std::size_t o, std::size_t j, std::size_t i) const { return values[(o * d + j) * inner + i]; }
};

// out[o, i, k] = sum over j of a[i, j] in[o, j, k]; a [width, in.d].
Values along(const Values& in, std::span<const double> a, std::size_t width, unsigned threads) {
    Values out{std::vector<double>(in.outer * width * in.inner, 0.0), in.outer, width, in.inner};
    if (in.inner == 1) {
        const std::vector<double> turned = transposed(a, width, in.d);
        multiply(in.values.data(), turned.data(), out.values.data(), in.outer, width, in.d, threads);
        return out;
    }
    for (std::size_t o = 0; o < in.outer; ++o)
        multiply(a.data(), &in.values[o * in.d * in.inner], &out.values[o * width * in.inner], width, in.inner, in.d,
                 threads);
    return out;
}

// Root of the summed variances: how far the stream goes from its mean.
double spread(const std::vector<float>& deviations) {
    double sum = 0;
    for (const float value : deviations) sum += static_cast<double>(value) * static_cast<double>(value);
    return std::sqrt(sum);
}

// A map as matrices of doubles.
struct Matrices {
    explicit Matrices(const Map& from)
        : m(doubles(from.forward)), n(doubles(from.backward)), nT(transposed(n, from.sourceWidth, from.targetWidth)) {}
    std::vector<double> m, n, nT;
};

// How strong directions are in the standard deviations of the stream, before and after.
struct Strength {
    double before = 0, after = 0;
    std::size_t count = 0;
};

// One tensor to be written.
struct Written {
    std::string name;
    Dtype dtype;
    Shape shape;
    std::vector<std::byte> bytes;
};

class Mover {
public:
    Mover(MappedObject object, const MapTransportOptions& options, std::string where)
        : object_(std::move(object)), options_(options), where_(std::move(where)) {
        std::size_t first = 0;
        for (const Member& member : object_.planned.files.members) {
            for (std::size_t k = 0; k < member.file.tensors.size(); ++k) {
                const StoredTensor& tensor = member.file.tensors[k];
                if (object_.tensors[first + k].role == Role::copy) continue;
                if (tensor.fortranOrder || tensor.bigEndian)
                    throw Error(ErrorCode::unsupported, placeOf(where_, tensor.info.name),
                                "is stored column by column or big-endian, and a map needs rows of little-endian "
                                "numbers: save numpy.ascontiguousarray(x.astype('<f4')) first");
            }
            first += member.file.tensors.size();
        }
        findPoint();
    }

    const MappedObject& object() const { return object_; }
    const Strength& strength() const { return strength_; }

    // A tensor's bytes after the move; `in`: its stored bytes.
    Written move(const Member& member, std::size_t first, std::size_t index, const ByteSource& in) {
        const StoredTensor& stored = member.file.tensors[index];
        const MappedTensor& tensor = object_.tensors[first + index];
        Written out{tensor.name, stored.info.dtype, stored.info.shape, {}};
        if (tensor.role == Role::copy) {
            out.bytes = readBytes(in, 0, in.size());
            return out;
        }
        if (tensor.role == Role::bias) {
            Values bias = load(stored, 0, in);
            const std::vector<double> shift = shiftOf(tensor);
            if (shift.size() != bias.values.size())
                throw Error(ErrorCode::shapeMismatch, placeOf(where_, stored.info.name),
                            "expected " + std::to_string(shift.size()) + " numbers, as " + tensor.reader +
                                " has rows, found " + std::to_string(bias.values.size()));
            std::ranges::transform(bias.values, shift, bias.values.begin(), std::plus{});
            out.bytes = stored_(bias.values, stored.info.dtype);
            return out;
        }
        const Values moved = moveValues(tensor, load(stored, tensor.axis, in));
        out.shape[tensor.axis] = moved.d;
        out.bytes = stored_(moved.values, stored.info.dtype);
        return out;
    }

private:
    const Matrices& of(const Map& map) { return matrices_.try_emplace(&map, map).first->second; }

    static Values load(const StoredTensor& stored, std::size_t axis, const ByteSource& in) {
        const Shape& shape = stored.info.shape;
        Values result;
        result.outer = product(shape, 0, axis);
        result.d = shape.empty() ? 1 : static_cast<std::size_t>(shape[axis]);
        result.inner = product(shape, std::min(axis + 1, shape.size()), shape.size());
        result.values.resize(result.outer * result.d * result.inner);
        loadDoubles(readBytes(in, 0, in.size()), stored.info.dtype, result.values);
        return result;
    }

    static std::vector<std::byte> stored_(const std::vector<double>& values, Dtype dtype) {
        std::vector<std::byte> bytes(values.size() * byteSize(dtype));
        storeDoubles(values, dtype, bytes);
        return bytes;
    }

    Values moveValues(const MappedTensor& tensor, const Values& in) {
        const Map& map = *tensor.map;
        const Matrices& matrices = of(map);
        if (tensor.role == Role::reader) return along(in, matrices.nT, map.targetWidth, options_.threads);
        Values out = along(in, matrices.m, map.targetWidth, options_.threads);
        if (tensor.role == Role::point) {
            for (std::size_t o = 0; o < out.outer; ++o)
                for (std::size_t j = 0; j < out.d; ++j)
                    for (std::size_t i = 0; i < out.inner; ++i)
                        out.at(o, j, i) += static_cast<double>(map.forwardBias[j]);
            return out;
        }
        measure(map, in, out);
        return out;
    }

    // Strengths of directions, which it keeps where that is asked for.
    void measure(const Map& map, const Values& in, Values& out) {
        const double from = spread(map.sourceDeviation), to = spread(map.targetDeviation);
        if (!(from > 0) || !(to > 0)) {
            if (options_.keepStrength)
                throw Error(ErrorCode::usage, "--keep-strength",
                            "the map file does not say how far the streams spread (source_deviation, "
                            "target_deviation); fit it again with 'regauge map'");
            return;
        }
        const auto norm = [](const Values& values, std::size_t o, std::size_t i) {
            double sum = 0;
            for (std::size_t j = 0; j < values.d; ++j) sum += values.at(o, j, i) * values.at(o, j, i);
            return std::sqrt(sum);
        };
        for (std::size_t o = 0; o < out.outer; ++o)
            for (std::size_t i = 0; i < out.inner; ++i) {
                const double before = norm(in, o, i) / from;
                double after = norm(out, o, i) / to;
                if (options_.keepStrength && after > 0) {
                    for (std::size_t j = 0; j < out.d; ++j) out.at(o, j, i) *= before / after;
                    after = before;
                }
                strength_.before += before, strength_.after += after, ++strength_.count;
            }
    }

    // The decoder's bias, which some encoders subtract from what they read.
    void findPoint() {
        if (!object_.subtractsPoint) return;
        forEach([&](const Member& member, std::size_t first, std::size_t index) {
            const MappedTensor& tensor = object_.tensors[first + index];
            if (tensor.role != Role::point || !point_.values.empty()) return;
            point_ = load(member.file.tensors[index], tensor.axis, *tensorBytes(member.file, index));
            pointMap_ = tensor.map;
        });
    }

    template <class Fn>
    void forEach(Fn&& fn) const {
        std::size_t first = 0;
        for (const Member& member : object_.planned.files.members) {
            for (std::size_t k = 0; k < member.file.tensors.size(); ++k) fn(member, first, k);
            first += member.file.tensors.size();
        }
    }

    // What the way back adds to x before a reader sees it: its offset, and what the round trip does to a point that is
    // subtracted.
    std::vector<double> offsetOf(const Map& map) {
        std::vector<double> offset = doubles(map.backwardBias);
        if (point_.values.size() != map.sourceWidth || pointMap_ != &map) return offset;
        Values there = along(point_, of(map).m, map.targetWidth, options_.threads);
        for (std::size_t j = 0; j < there.d; ++j) there.values[j] += static_cast<double>(map.forwardBias[j]);
        const Values back = along({there.values, 1, there.d, 1}, of(map).n, map.sourceWidth, options_.threads);
        for (std::size_t j = 0; j < offset.size(); ++j) offset[j] += back.values[j] - point_.values[j];
        return offset;
    }

    std::vector<double> shiftOf(const MappedTensor& bias) {
        std::vector<double> shift, scale;
        forEach([&](const Member& member, std::size_t first, std::size_t index) {
            const TensorMove& move = object_.planned.plan.moves[first + index];
            const bool isReader = move.tensor.name == bias.reader, isScale = move.tensor.name == bias.scale;
            if (!isReader && !isScale) return;
            const MappedTensor& tensor = object_.tensors[first + index];
            const Values values = load(member.file.tensors[index], tensor.axis, *tensorBytes(member.file, index));
            if (isScale) return void(scale = values.values);
            const std::vector<double> offset = offsetOf(*bias.map);
            shift.resize(values.outer * values.inner);
            for (std::size_t o = 0; o < values.outer; ++o)
                for (std::size_t i = 0; i < values.inner; ++i) {
                    double sum = 0;
                    for (std::size_t j = 0; j < values.d; ++j) sum += values.at(o, j, i) * offset[j];
                    shift[o * values.inner + i] = sum;
                }
        });
        if (scale.size() == shift.size())
            for (std::size_t k = 0; k < shift.size(); ++k) shift[k] *= std::exp(scale[k]);
        return shift;
    }

    MappedObject object_;
    const MapTransportOptions& options_;
    std::string where_;
    std::map<const Map*, Matrices> matrices_;
    Values point_{{}, 1, 0, 1};
    const Map* pointMap_ = nullptr;
    Strength strength_;
};

// A .npy of version 1 (numpy.lib.format).
std::vector<std::byte> npyFile(const Written& tensor) {
    constexpr std::size_t alignment = 64, fixedBytes = 10;
    const char* type = tensor.dtype == Dtype::F16 ? "<f2" : tensor.dtype == Dtype::F64 ? "<f8" : "<f4";
    std::string shape;
    for (const std::uint64_t length : tensor.shape) shape += std::to_string(length) + ", ";
    if (tensor.shape.size() > 1) shape.resize(shape.size() - 2);
    if (tensor.shape.size() == 1) shape.pop_back();
    std::string header = std::string("{'descr': '") + type + "', 'fortran_order': False, 'shape': (" + shape + "), }";
    header.resize((fixedBytes + header.size() + alignment) / alignment * alignment - fixedBytes - 1, ' ');
    header += '\n';
    std::string text("\x93NUMPY\x01\x00", 8);
    text += static_cast<char>(header.size() % 256);
    text += static_cast<char>(header.size() / 256);
    text += header;
    std::vector<std::byte> file(asBytes(text).begin(), asBytes(text).end());
    file.insert(file.end(), tensor.bytes.begin(), tensor.bytes.end());
    return file;
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

// A file whose shapes or names are others than before.
void writeAnew(const TensorFile& file, const std::vector<Written>& tensors, const std::string& fingerprint,
               const std::string& where, ByteSink& out) {
    switch (file.format) {
        case FileFormat::safetensors: {
            std::vector<NewTensor> list;
            for (const Written& tensor : tensors)
                list.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
            auto metadata = file.metadata;
            std::erase_if(metadata, [](const auto& entry) { return entry.first == recordKey; });
            metadata.emplace_back(recordKey, fingerprint);
            return writeSafetensors(list, metadata, out);
        }
        case FileFormat::npy: return out.write(npyFile(tensors.front()));
        case FileFormat::npz: {
            std::vector<std::vector<std::byte>> arrays;
            std::vector<NewMember> members;
            for (const Written& tensor : tensors) arrays.push_back(npyFile(tensor));
            for (std::size_t k = 0; k < tensors.size(); ++k)
                members.push_back(
                    {tensors[k].name + ".npy", arrays[k].size(), [&arrays, k](ByteSink& to) { to.write(arrays[k]); }});
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
        case FileFormat::gguf: break;
    }
    throw Error(ErrorCode::unsupported, where,
                "would get other widths or names in a " + std::string(name(file.format)) +
                    " file, which regauge writes only as it was; save it as .safetensors or .npz, and move that");
}

// The text with every width that was `from` as `to`, in the outermost object and those within it.
std::string withWidth(std::string text, std::size_t open, std::uint64_t from, std::uint64_t to) {
    const std::vector<JsonMember> members = jsonMembers(text, open);
    for (std::size_t k = members.size(); k-- > 0;) {  // from the end, so that positions stay
        const JsonMember& member = members[k];
        if (text[member.value] == '{') {
            text = withWidth(std::move(text), member.value, from, to);
            continue;
        }
        if (std::ranges::find(widthKeys, member.key) == widthKeys.end()) continue;
        if (std::string_view(text).substr(member.value, member.end - member.value) != std::to_string(from)) continue;
        text.replace(member.value, member.end - member.value, std::to_string(to));
    }
    return text;
}

void writeCompanion(const ObjectPath& path, const std::string& name, const MappedObject& object, const Map& map,
                    const std::string& fingerprint, ByteSink& out) {
    const std::unique_ptr<ByteSource> in = path.open(name);
    const Recipe& recipe = *object.planned.recipe;
    if (name != recipe.config) return copyBytes(*in, 0, in->size(), out);
    const std::vector<std::byte> bytes = readBytes(*in, 0, in->size());
    std::string text(asText(bytes));
    if (const std::size_t open = text.find('{'); open != std::string::npos && map.sourceWidth != map.targetWidth)
        text = withWidth(std::move(text), open, map.sourceWidth, map.targetWidth);
    const auto in_ =
        std::ranges::find_if(recipe.recordIn, [&](const std::string& one) { return hasJsonObject(text, one); });
    if (in_ != recipe.recordIn.end()) text = withJsonEntry(text, *in_, configRecordKey, fingerprint);
    out.write(asBytes(text));
}

std::string_view formula(Role role) {
    switch (role) {
        case Role::direction: return "M v";
        case Role::point: return "M x + b";
        case Role::reader: return "N^T w";
        case Role::bias: return "+ w . c";
        case Role::leave: return "left out";
        case Role::copy: break;
    }
    return "";
}

Plan described(MappedObject& object) {
    Plan& plan = object.planned.plan;
    for (std::size_t k = 0; k < plan.moves.size(); ++k) {
        const MappedTensor& tensor = object.tensors[k];
        if (tensor.role == Role::copy) continue;
        plan.moves[k].why += ": " + std::string(formula(tensor.role));
        if (tensor.name != plan.moves[k].tensor.name) plan.moves[k].why += ", as " + tensor.name;
    }
    for (const std::string& note : object.notes) plan.description += "; " + note;
    return plan;
}

std::string strengthText(const Strength& strength, bool kept) {
    if (strength.count == 0) return "";
    const double count = static_cast<double>(strength.count);
    const auto number = [](double value) { return numberText(std::round(value * 1000) / 1000); };
    return "; strength " + number(strength.before / count) + " of the source stream's standard deviation, " +
           number(strength.after / count) + " of the target's" + (kept ? " (kept)" : "");
}

}  // namespace

Plan planTransport(const Files& files, const std::string& object, const MapSet& maps,
                   const MapTransportOptions& options) {
    MappedObject mapped = mapObject(ObjectPath(files, object), maps, options);
    return described(mapped);
}

Plan transport(Files& files, const std::string& object, const MapSet& maps, const std::string& out,
               const MapTransportOptions& options, const Progress& progress) {
    const ObjectPath path(files, object);
    if (ObjectPath::sameName(object, out))
        throw Error(ErrorCode::usage, out, "is the input itself, which is never overwritten; name another output");
    Mover mover(mapObject(path, maps, options), options, object);
    const std::string fingerprint = maps.fingerprint();
    const Members& parts = mover.object().planned.files;
    const std::unique_ptr<Output> output = files.create(out, path.isFolder(), options.object.force);
    std::size_t first = 0;
    const std::size_t total = mover.object().tensors.size();
    const Map* used = &maps.maps.front();
    for (const Member& member : parts.members) {
        const std::vector<StoredTensor>& tensors = member.file.tensors;
        bool anew = false;
        for (std::size_t k = 0; k < tensors.size(); ++k) {
            const MappedTensor& tensor = mover.object().tensors[first + k];
            anew |= tensor.role == Role::leave || tensor.name != tensors[k].info.name;
            anew |= tensor.map != nullptr && tensor.map->sourceWidth != tensor.map->targetWidth;
            if (tensor.map != nullptr) used = tensor.map;
        }
        ByteSink& to = output->file(member.name);
        if (anew) {
            std::vector<Written> written;
            for (std::size_t k = 0; k < tensors.size(); ++k) {
                progress.report("moving tensors", first + k, total);
                if (mover.object().tensors[first + k].role == Role::leave) continue;
                written.push_back(mover.move(member, first, k, *tensorBytes(member.file, k)));
            }
            writeAnew(member.file, written, fingerprint, object, to);
        } else {
            const bool room = member.file.format == FileFormat::safetensors &&
                              (!member.file.metadata.empty() || mover.object().planned.recipe->metadata);
            rewriteTensorFile(
                member.file,
                room ? std::vector<std::pair<std::string, std::string>>{{recordKey, fingerprint}}
                     : std::vector<std::pair<std::string, std::string>>{},
                [&](std::size_t index, const ByteSource& in, ByteSink& sink) {
                    progress.report("moving tensors", first + index, total);
                    sink.write(mover.move(member, first, index, in).bytes);
                },
                to);
        }
        first += tensors.size();
    }
    for (const std::string& name : parts.copies)
        writeCompanion(path, name, mover.object(), *used, fingerprint, output->file(name));
    output->commit();
    MappedObject done = mover.object();
    Plan plan = described(done);
    plan.description += strengthText(mover.strength(), options.keepStrength);
    return plan;
}

}  // namespace regauge
