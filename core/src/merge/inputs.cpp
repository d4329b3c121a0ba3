#include "merge/inputs.hpp"

#include <algorithm>
#include <map>

#include "recipes/stream_roles.hpp"
#include "regauge/error.hpp"
#include "transport/move_checks.hpp"

namespace regauge {
namespace {

bool isOptimizer(const Member& member) { return member.name == "optimizer.pt" || member.name == "optimizer.bin"; }

// Embedding and unembedding rows are numbered by token: a vocabulary that was extended begins with the shorter one.
bool shareVocabulary(const TensorInfo& a, const TensorInfo& b) {
    const std::optional<StreamRole> role = streamRole(ownName(a.name));
    return a.shape.size() == 2 && b.shape.size() == 2 && a.shape[1] == b.shape[1] &&
           (role == StreamRole::embedding || role == StreamRole::unembedding);
}

}  // namespace

std::string shortList(const std::vector<std::string>& words) {
    constexpr std::size_t shown = 8;
    std::string text;
    for (std::size_t i = 0; i < std::min(words.size(), shown); ++i) text += (i ? ", " : "") + words[i];
    return words.size() > shown ? text + " and " + std::to_string(words.size() - shown) + " more" : text;
}

bool MergeInput::unknown(const Place& place) const {
    const auto& names = planned.plan.unknown;
    return std::find(names.begin(), names.end(), info(place).name) != names.end();
}

std::shared_ptr<const ByteSource> MergeInput::bytes(const Place& place, MoveBuffers& buffers) const {
    const TensorFile& file = planned.files.members[place.member].file;
    if (gauge) return movedTensorBytes(file, place.tensor, planned.plan.moves[place.move].moves, *gauge, buffers);
    return movedTensorBytes(file, place.tensor, {}, Gauge::identity(0), buffers);
}

MergeInput openMergeInput(const Files& files, const std::string& path, const std::optional<Alignment>& gauge,
                          std::size_t d, bool force) {
    MergeInput input{path, planObject(ObjectPath(files, path), {}, d), std::nullopt, {}};
    if (input.planned.blocks)
        throw Error(ErrorCode::unsupported, path,
                    "holds quantised weights in blocks, and merge takes floats; transport --dequantize bf16 makes a "
                    "float model of it");
    if (!input.planned.recipe || !input.planned.recipe->model)
        throw Error(ErrorCode::unsupported, path,
                    "is no checkpoint that regauge knows (" + input.planned.plan.description +
                        "); merge takes Hugging Face checkpoints: a folder, a file or shards");
    std::size_t move = 0;
    auto& members = input.planned.files.members;
    for (std::size_t m = 0; m < members.size(); ++m)
        for (std::size_t t = 0; t < members[m].file.tensors.size(); ++t, ++move)
            if (!isOptimizer(members[m])) input.places.push_back({m, t, move});
    members.erase(std::remove_if(members.begin(), members.end(), isOptimizer),
                  members.end());  // the last, so the others keep their places
    if (gauge) {
        TransportOptions options;
        options.force = force;
        checkGauge(input.planned, *gauge, path, options);
        checkTensors(input.planned.plan, gauge->gauge, path);
        input.gauge = gauge->gauge;
    }
    return input;
}

std::vector<MergeInput::Place> pairTensors(const MergeInput& a, const MergeInput& other) {
    std::map<std::string, MergeInput::Place, std::less<>> byName;
    for (const MergeInput::Place& place : other.places) byName.emplace(other.info(place).name, place);
    std::vector<MergeInput::Place> pairs;
    std::vector<std::string> missing, extra, different;
    for (const MergeInput::Place& place : a.places) {
        const TensorInfo& mine = a.info(place);
        const auto found = byName.find(mine.name);
        if (found == byName.end()) {
            missing.push_back(mine.name);
            continue;
        }
        const TensorInfo& theirs = other.info(found->second);
        if ((mine.shape != theirs.shape && !shareVocabulary(mine, theirs)) || mine.dtype != theirs.dtype)
            different.push_back(mine.name + " (" + std::string(name(mine.dtype)) + " " + toString(mine.shape) +
                                " against " + std::string(name(theirs.dtype)) + " " + toString(theirs.shape) + ")");
        pairs.push_back(found->second);
        byName.erase(found);
    }
    for (const auto& [tensor, place] : byName) extra.push_back(tensor);
    std::string sentence;
    const auto say = [&](const std::string& what, const std::vector<std::string>& names) {
        if (!names.empty()) sentence += (sentence.empty() ? "" : "; ") + what + shortList(names);
    };
    say("lacks ", missing);
    say("has in addition ", extra);
    say("differs in ", different);
    if (!sentence.empty())
        throw Error(ErrorCode::shapeMismatch, other.path,
                    sentence + "; merging needs the same tensors, shapes and dtypes as " + a.path +
                        " has (convert one of them first)");
    if (a.planned.plan.kind != other.planned.plan.kind)
        throw Error(ErrorCode::shapeMismatch, other.path,
                    "is of the family " + other.planned.plan.kind + ", and " + a.path + " of " + a.planned.plan.kind);
    return pairs;
}

}  // namespace regauge
