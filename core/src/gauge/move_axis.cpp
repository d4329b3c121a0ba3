#include <cstring>
#include <span>
#include <vector>

#include "kernels/gather.hpp"
#include "regauge/error.hpp"
#include "regauge/gauge.hpp"

namespace regauge {
namespace {

// The tensor seen around the axis:  [outer, d, inner] elements, inner contiguous.
struct Split {
    std::size_t outer = 1, inner = 1;
};

Split splitAround(const Shape& shape, std::size_t axis) {
    Split split;
    for (std::size_t k = 0; k < axis; ++k) split.outer *= static_cast<std::size_t>(shape[k]);
    for (std::size_t k = axis + 1; k < shape.size(); ++k) split.inner *= static_cast<std::size_t>(shape[k]);
    return split;
}

template <class Word>
Word load(const std::byte* from) {
    Word word;
    std::memcpy(&word, from, sizeof word);
    return word;
}

template <class Word>
void store(std::byte* to, Word word) {
    std::memcpy(to, &word, sizeof word);
}

// inner == 1: single elements, row by row (little-endian hosts only: kernels/element.hpp asserts it).
template <class Word>
void gatherElements(const Gauge& gauge, bool odd, const std::byte* in, std::byte* out, std::size_t outer) {
    const std::size_t d = gauge.d();
    // The sign bit where sign[i] is -1, and 0 elsewhere.
    std::vector<Word> flip(d);
    for (std::size_t i = 0; i < d; ++i)
        flip[i] = odd && gauge.sign()[i] < 0 ? static_cast<Word>(Word{1} << (8 * sizeof(Word) - 1)) : Word{0};
    std::vector<std::byte> scratch(kernels::gatherScratchBytes(d));
    kernels::gather(kernels::activeIsa())
        .rows<Word>()(in, out, outer, d, gauge.perm().data(), flip.data(), scratch.data());
}

// inner > 1: whole runs of `inner` elements move together.
template <class Word>
void gatherRuns(const Gauge& gauge, bool odd, const std::byte* in, std::byte* out, Split split) {
    constexpr Word signBit = static_cast<Word>(Word{1} << (8 * sizeof(Word) - 1));
    const std::size_t d = gauge.d(), run = split.inner * sizeof(Word);
    for (std::size_t slab = 0; slab < split.outer; ++slab, in += d * run) {
        for (std::size_t i = 0; i < d; ++i, out += run) {
            const std::byte* from = in + gauge.perm()[i] * run;
            if (odd && gauge.sign()[i] < 0)
                for (std::size_t k = 0; k < run; k += sizeof(Word))
                    store<Word>(out + k, static_cast<Word>(load<Word>(from + k) ^ signBit));
            else
                std::memcpy(out, from, run);
        }
    }
}

template <class Word>
void gather(const Gauge& gauge, bool odd, const std::byte* in, std::byte* out, Split split) {
    if (split.inner == 1)
        gatherElements<Word>(gauge, odd, in, out, split.outer);
    else
        gatherRuns<Word>(gauge, odd, in, out, split);
}

}  // namespace

void moveAxis(const Gauge& gauge, Action action, std::span<const std::byte> in, std::span<std::byte> out, Dtype dtype,
              const Shape& shape, std::size_t axis) {
    if (action != Action::odd && action != Action::even)
        throw Error(ErrorCode::internal, "",
                    "moveAxis moves odd and even axes, not '" + std::string(name(action)) + "'");
    if (axis >= shape.size() || shape[axis] != gauge.d())
        throw Error(ErrorCode::dimensionMismatch, "",
                    "axis " + std::to_string(axis) + " of " + toString(shape) +
                        " must have the gauge's length, d = " + std::to_string(gauge.d()));
    const std::optional<std::uint64_t> elements = elementCount(shape);
    if (!elements || *elements > in.size() / byteSize(dtype) || in.size() != out.size() ||
        *elements * byteSize(dtype) != in.size())
        throw Error(ErrorCode::internal, "", "moveAxis was given buffers that do not fit " + toString(shape));
    const bool odd = action == Action::odd;
    if (odd && !isFloat(dtype))
        throw Error(ErrorCode::wrongDtype, "",
                    std::string(name(dtype)) + " has no sign bit, so it cannot take a gauge's signs");
    if (odd && gauge.undetermined() > 0)
        throw Error(ErrorCode::undeterminedSign, "",
                    "the gauge leaves " + std::to_string(gauge.undetermined()) +
                        " signs undetermined, and this tensor needs them; align with activations or embedding rows, "
                        "not gains alone");
    const Split split = splitAround(shape, axis);
    switch (byteSize(dtype)) {
        case 1: return gather<std::uint8_t>(gauge, odd, in.data(), out.data(), split);
        case 2: return gather<std::uint16_t>(gauge, odd, in.data(), out.data(), split);
        case 4: return gather<std::uint32_t>(gauge, odd, in.data(), out.data(), split);
        default: return gather<std::uint64_t>(gauge, odd, in.data(), out.data(), split);
    }
}

}  // namespace regauge
