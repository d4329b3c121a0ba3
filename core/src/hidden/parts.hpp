// Which tensors have a hidden axis, by their names in any family whose layout is known.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hidden/roles.hpp"
#include "regauge/hidden.hpp"
#include "regauge/tensor.hpp"

namespace regauge {

// The hidden axis of a tensor, and whose it is.
struct HiddenPart {
    static constexpr std::size_t noAxis = 2;
    std::vector<HiddenRole> roles;
    std::size_t layer = 0, axis = noAxis;
    bool gains = false;  // of a norm over all heads together: they change places and nothing else
};

class HiddenParts {
public:
    // `hidden` must outlive it.
    explicit HiddenParts(const HiddenGauge& hidden);

    // The part of a tensor of that name, as stored; nullptr where it is none that is known to move.
    const HiddenPart* find(std::string_view name) const;
    // Whether a name is of a module with a hidden axis, whatever comes behind it.
    bool isHidden(std::string_view name) const;
    // How a part of that shape moves; nothing where it stays. Throws Error(unsupported) where the file does not tell.
    std::optional<UnitMap> mapOf(const HiddenPart& part, const Shape& shape, const std::string& where) const;

private:
    const HiddenGauge& hidden_;
    std::vector<std::string> modules_;  // patterns
    std::map<std::string, HiddenPart, std::less<>> parts_;
};

// Throws Error(unsupported): the tensor has a hidden axis, `why` it does not move, and what a gauge without a hidden
// part does.
[[noreturn]] void refuseHiddenAxis(const std::string& where, const std::string& why);

}  // namespace regauge
