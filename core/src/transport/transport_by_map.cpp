// Transport by a map. A map is arithmetic and may change widths: a file whose shapes or names change is written anew.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "io/bytes.hpp"
#include "io/json_edit.hpp"
#include "io/number_text.hpp"
#include "regauge/error.hpp"
#include "regauge/map_transport.hpp"
#include "transport/map_mover.hpp"
#include "transport/map_roles.hpp"
#include "transport/written_tensors.hpp"

namespace regauge {
namespace {

using Role = MappedTensor::Role;

constexpr const char* recordKey = "regauge.maps";        // in safetensors metadata
constexpr const char* configRecordKey = "regauge_maps";  // in JSON that Python reads into keyword arguments
// What configurations call the width of the stream.
constexpr std::array<std::string_view, 5> widthKeys{"d_in", "d_out", "d_model", "activation_dim", "hidden_size"};

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

// Writes one object, moved.
class MapJob {
public:
    MapJob(const ObjectPath& path, const MapSet& maps, const MapTransportOptions& options, std::string object,
           const Progress& progress)
        : path_(path),
          options_(options),
          where_(std::move(object)),
          fingerprint_(maps.fingerprint()),
          progress_(progress),
          used_(&maps.maps.front()),
          mover_(mapObject(path, maps, options), options, where_) {}

    void write(Output& output) {
        const Members& parts = mover_.object().planned.files;
        std::size_t first = 0;
        for (const Member& member : parts.members) {
            noteMap(member, first);
            if (changesShapes(member, first))
                writeMemberAnew(member, first, output.file(member.name));
            else
                rewriteMember(member, first, output.file(member.name));
            first += member.file.tensors.size();
        }
        for (const std::string& name : parts.copies)
            writeCompanion(path_, name, mover_.object(), *used_, fingerprint_, output.file(name));
    }

    Plan plan() const {
        MappedObject done = mover_.object();
        Plan plan = described(done);
        const bool reads =
            std::ranges::any_of(done.tensors, [](const auto& tensor) { return tensor.role == Role::reader; });
        if (!reads) plan.description += strengthText(mover_.strength(), options_.keepStrength);
        return plan;
    }

private:
    const MappedTensor& mapped(std::size_t number) const { return mover_.object().tensors[number]; }

    // The last map that moves something is the one that a configuration gets its width from.
    void noteMap(const Member& member, std::size_t first) {
        for (std::size_t k = 0; k < member.file.tensors.size(); ++k)
            if (mapped(first + k).map != nullptr) used_ = mapped(first + k).map;
    }

    bool changesShapes(const Member& member, std::size_t first) const {
        for (std::size_t k = 0; k < member.file.tensors.size(); ++k) {
            const MappedTensor& tensor = mapped(first + k);
            if (tensor.role == Role::leave || tensor.name != member.file.tensors[k].info.name) return true;
            if (tensor.map != nullptr && tensor.map->sourceWidth != tensor.map->targetWidth) return true;
        }
        return false;
    }

    void writeMemberAnew(const Member& member, std::size_t first, ByteSink& out) {
        std::vector<Written> written;
        for (std::size_t k = 0; k < member.file.tensors.size(); ++k) {
            progress_.report("moving tensors", first + k, mover_.object().tensors.size());
            if (mapped(first + k).role == Role::leave) continue;
            written.push_back(mover_.move(member, first, k, *tensorBytes(member.file, k)));
        }
        writeAnew(member.file, written, {recordKey, fingerprint_}, where_, out);
    }

    void rewriteMember(const Member& member, std::size_t first, ByteSink& out) {
        const bool room = member.file.format == FileFormat::safetensors &&
                          (!member.file.metadata.empty() || mover_.object().planned.recipe->metadata);
        std::vector<std::pair<std::string, std::string>> record;
        if (room) record.emplace_back(recordKey, fingerprint_);
        const auto moved = [&](std::size_t index, const ByteSource& in, ByteSink& sink) {
            progress_.report("moving tensors", first + index, mover_.object().tensors.size());
            sink.write(mover_.move(member, first, index, in).bytes);
        };
        rewriteTensorFile(member.file, record, moved, out);
    }

    const ObjectPath& path_;
    const MapTransportOptions& options_;
    std::string where_, fingerprint_;
    const Progress& progress_;
    const Map* used_;
    MapMover mover_;
};

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
    MapJob job(path, maps, options, object, progress);
    const std::unique_ptr<Output> output = files.create(out, path.isFolder(), options.object.force);
    job.write(*output);
    output->commit();
    return job.plan();
}

}  // namespace regauge
