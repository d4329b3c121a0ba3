#include "regauge/transport.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/short_list.hpp"
#include "io/bytes.hpp"
#include "io/json_edit.hpp"
#include "io/json_text.hpp"
#include "regauge/error.hpp"
#include "transport/channel_list.hpp"
#include "transport/move_checks.hpp"
#include "transport/move_tensor.hpp"
#include "transport/planned_object.hpp"
#include "transport/provenance.hpp"
#include "transport/transport_along.hpp"

namespace regauge {
namespace {

constexpr const char* recordKey = "regauge.gauges";        // in safetensors metadata
constexpr const char* alongRecordKey = "regauge.hidden";   // beside it, of what moved along
constexpr const char* configRecordKey = "regauge_gauges";  // in JSON that Python reads into keyword arguments

// --unknown copy is right only where no axis can be the residual one.
std::string wayOut(const Plan& plan) {
    for (const TensorMove& move : plan.moves) {
        const bool unknown =
            std::find(plan.unknown.begin(), plan.unknown.end(), move.tensor.name) != plan.unknown.end();
        if (!unknown || plan.d == 0 ||
            std::find(move.tensor.shape.begin(), move.tensor.shape.end(), plan.d) == move.tensor.shape.end())
            continue;
        return "; " + move.tensor.name + " " + toString(move.tensor.shape) +
               " has an axis as long as the residual stream is wide, so a copy may well be wrong: where its last axis "
               "is the "
               "residual one, save it to a file of its own and move that with --kind vector";
    }
    return "; --unknown copy copies them as they are";
}

void checkUnknown(const Plan& plan, const std::string& object, const TransportOptions& options) {
    if (!plan.unknown.empty() && !options.copyUnknown) {
        throw Error(ErrorCode::unknownTensor, object,
                    "no recipe says how these move: " + shortList(plan.unknown, 12) +
                        (plan.kind == "unknown"
                             ? "; give --kind, or --kind vector where every tensor's last axis is the residual one"
                             : wayOut(plan)));
    }
}

// Bytes so far, of all tensors.
class Meter {
public:
    Meter(const Progress& progress, std::uint64_t total) : progress_(progress), total_(total) {
        progress_.report("moving tensors", 0, total_);
    }
    void add(std::uint64_t bytes) {
        done_ += bytes;
        if (done_ < total_ && done_ - shown_ < step) return;
        progress_.report("moving tensors", shown_ = done_, total_);
    }

private:
    static constexpr std::uint64_t step = 4u << 20;  // bytes between two reports
    const Progress& progress_;
    std::uint64_t total_, done_ = 0, shown_ = 0;
};

using Record = std::vector<std::pair<std::string, std::string>>;

// The entry for a member's metadata; empty where the format has no room, or would be read differently with a block that
// was not there.
Record recordFor(const Member& member, const Recipe& recipe, const Gauge& gauge, const Along& along) {
    const auto& metadata = member.file.metadata;
    if (member.file.format != FileFormat::safetensors || (metadata.empty() && !recipe.metadata)) return {};
    Record record;
    const auto add = [&](const char* key, const auto& recordAfterOf) {
        const auto found = std::ranges::find(metadata, key, &Record::value_type::first);
        const std::string before = found == metadata.end() ? "" : found->second, after = recordAfterOf(before);
        if (after != before) record.emplace_back(key, after);
    };
    add(recordKey, [&](const std::string& before) { return recordAfter(before, gauge); });
    if (along.recordAfter) add(alongRecordKey, along.recordAfter);
    return record;
}

// An index without the tensors that are no longer there: the scales of what was dequantised.
std::string indexOf(const Members& files, std::string_view text) {
    nlohmann::ordered_json index = nlohmann::ordered_json::parse(strictJson(text));
    std::set<std::string, std::less<>> there;
    std::uint64_t bytes = 0;
    for (const Member& member : files.members)
        for (const StoredTensor& tensor : member.file.tensors) {
            there.insert(tensor.info.name);
            bytes += tensor.info.bytes;
        }
    auto& map = index["weight_map"];
    for (auto entry = map.begin(); entry != map.end();)
        entry = there.contains(entry.key()) ? std::next(entry) : map.erase(entry);
    if (index.contains("metadata") && index["metadata"].is_object()) index["metadata"]["total_size"] = bytes;
    return index.dump(2) + "\n";
}

// A companion as it is, but for the record where its readers ignore what they do not know, and for what is no longer
// true of dequantised weights.
void writeCompanion(const ObjectPath& path, const std::string& name, const PlannedObject& planned,
                    const TransportOptions& options, const Gauge& gauge, ByteSink& out) {
    const std::unique_ptr<ByteSource> in = path.open(name);
    const Recipe* recipe = planned.recipe;
    const bool recorded = recipe && !recipe->recordIn.empty() && name == recipe->config;
    const bool model = recipe && recipe->model && options.dequantize;
    if (!recorded && !model) return copyBytes(*in, 0, in->size(), out);
    const std::vector<std::byte> bytes = readBytes(*in, 0, in->size());
    std::string text(asText(bytes));
    if (model && name.ends_with(".index.json")) text = indexOf(planned.files, text);
    if (model && name == "config.json") text = withJsonEntry(text, "", "quantization_config", "");
    if (!recorded) return out.write(asBytes(text));
    const auto object = std::find_if(recipe->recordIn.begin(), recipe->recordIn.end(),
                                     [&](const std::string& one) { return hasJsonObject(text, one); });
    if (object == recipe->recordIn.end()) return out.write(asBytes(text));
    const std::string after = recordAfter(jsonEntry(text, *object, configRecordKey), gauge);
    out.write(asBytes(withJsonEntry(text, *object, configRecordKey, after)));
}

}  // namespace

Plan transport(Files& files, const std::string& object, const Alignment& alignment, const std::string& out,
               const TransportOptions& options, const Progress& progress) {
    return transportAlong(files, object, alignment, out, options, progress, {});
}

Plan transportAlong(Files& files, const std::string& object, const Alignment& alignment, const std::string& out,
                    const TransportOptions& options, const Progress& progress, const Along& along) {
    const Gauge& gauge = alignment.gauge;
    const ObjectPath path(files, object);
    if (ObjectPath::sameName(object, out))
        throw Error(ErrorCode::usage, out, "is the input itself, which is never overwritten; name another output");
    if (auto list = openChannelList(path, options, gauge.d())) {
        requirePlace(*list, along.space, object);
        checkGauge(list->plan, alignment, object, options);
        checkUnknown(list->plan, object, options);
        const std::string moved = movedList(*list, gauge, object);
        if (options.dryRun) return std::move(list->plan);
        const std::unique_ptr<Output> output = files.create(out, false, options.force);
        output->file("").write(asBytes(moved));
        output->commit();
        return std::move(list->plan);
    }
    PlannedObject planned = planObject(path, options, gauge.d(), along.space);
    checkGauge(planned, alignment, object, options);
    checkUnknown(planned.plan, object, options);
    if (planned.blocks) throw *planned.blocks;
    checkTensors(planned.plan, gauge, object);
    if (along.planned) along.planned(planned);
    if (options.dryRun) return std::move(planned.plan);

    std::uint64_t total = 0;
    for (const TensorMove& move : planned.plan.moves) total += move.tensor.bytes;
    Meter meter(progress, total);
    const std::unique_ptr<Output> output = files.create(out, path.isFolder(), options.force);
    MoveBuffers buffers;
    std::size_t first = 0;  // of the member's tensors in plan.moves
    for (const Member& member : planned.files.members) {
        const Record record = planned.recipe ? recordFor(member, *planned.recipe, gauge, along) : Record();
        rewriteTensorFile(
            member.file, record,
            [&](std::size_t index, const ByteSource& in, ByteSink& to) {
                std::shared_ptr<const ByteSource> bytes(std::shared_ptr<const void>(), &in);
                if (along.moved) bytes = along.moved(member, index, std::move(bytes));
                moveTensor(gauge, member.file.tensors[index], planned.plan.moves[first + index].moves, *bytes, to,
                           buffers, [&](std::uint64_t count) { meter.add(count); });
            },
            output->file(member.name));
        first += member.file.tensors.size();
    }
    for (const std::string& name : planned.files.copies)
        writeCompanion(path, name, planned, options, gauge, output->file(name));
    output->commit();
    return std::move(planned.plan);
}

}  // namespace regauge
