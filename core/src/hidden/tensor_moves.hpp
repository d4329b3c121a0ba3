// How the hidden axis of each tensor of an object moves: a model's parameters and adapters, and what optimizers keep
// for them.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hidden/parts.hpp"
#include "regauge/io/byte_source.hpp"
#include "transport/object_files.hpp"

namespace regauge {

struct HiddenMove {
    const HiddenPart* part = nullptr;
    std::size_t axis = 0;
    UnitMap map;
    // Which units it moves along that axis.
    HiddenRole role() const { return part->roles.front(); }
};

class HiddenMoves {
public:
    // `hidden` must outlive it.
    explicit HiddenMoves(const HiddenGauge& hidden) : parts_(hidden) {}

    // Whether any tensor is of a module with a hidden axis, or state of one.
    bool concern(const Members& files) const;
    // How a member's tensor moves; nothing where it stays as it is. Throws Error(unsupported): a hidden axis that is
    // not known to move, by name.
    std::optional<HiddenMove> of(const Member& member, std::size_t index) const;
    // Its bytes, moved (`in`: as they lie in the file). Throws Error: wrongDtype, shapeMismatch, and those of `of`.
    std::shared_ptr<const ByteSource> moved(const Member& member, std::size_t index,
                                            std::shared_ptr<const ByteSource> in) const;

private:
    std::optional<HiddenMove> ofState(const Member& member, std::size_t index, std::string_view name) const;
    HiddenParts parts_;
};

}  // namespace regauge
