#include "transport/arrow_table.hpp"

#include <algorithm>

#include "io/arrow.hpp"
#include "io/arrow_stream.hpp"
#include "io/bytes.hpp"
#include "regauge/error.hpp"

namespace regauge {

std::optional<TensorFile> tableOfFile(const ObjectPath& object) {
    if (object.isFolder()) return std::nullopt;
    std::unique_ptr<ByteSource> source = object.open(object.names().front());
    constexpr std::uint64_t enough = 16;  // of a head to recognise it by
    const std::vector<std::byte> head = readBytes(*source, 0, std::min(source->size(), enough));
    if (!looksLikeArrow(asText(head))) return std::nullopt;
    TensorFile file = openTensorFile(std::move(source));
    return file.format == FileFormat::arrow ? std::optional(std::move(file)) : std::nullopt;
}

std::optional<TensorFile> tableOfFolder(const ObjectPath& object) {
    if (!object.isFolder() || !looksLikeArrowFolder(object.files(), object.path())) return std::nullopt;
    return openArrowFolder(object.files(), object.path());
}

PlannedObject plannedTable(TensorFile table) {
    PlannedObject result;
    Plan& plan = result.plan;
    plan.kind = "activations";
    std::string left;
    for (const auto& [column, reason] : table.metadata)
        left += (left.empty() ? "; left out: " : ", ") + column + " (" + reason + ")";
    for (const StoredTensor& tensor : table.tensors) {
        const bool rows = isFloat(tensor.info.dtype);
        if (rows && plan.d == 0) plan.d = static_cast<std::size_t>(tensor.info.shape.back());
        plan.moves.push_back({tensor.info, {}, rows ? "rows of activations" : "no activations"});
    }
    plan.description = "activations in an Arrow table" + (plan.d == 0 ? "" : ", d = " + std::to_string(plan.d)) +
                       ": evidence, which is read and not moved" + left;
    result.blocks = arrowNotWritten(table);
    result.files.members.push_back({"", std::move(table), {}, {}});
    return result;
}

}  // namespace regauge
