// The kernels beside the definitions they implement: awkward lengths, alignments and values, on every instruction set.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/aligned_buffer.hpp"
#include "kernels/dense.hpp"
#include "kernels/gather.hpp"
#include "kernels/integer_dot.hpp"
#include "kernels/pearson.hpp"
#include "kernels/quantize.hpp"
#include "rows_fixture.hpp"

using namespace regauge;
using namespace regauge::kernels;
using regauge::testing::Numbers;
using regauge::testing::Rows;

namespace {

// Words whose values are in [-limit, limit]; every third one saturated, so that sums reach their bounds, or none.
AlignedVector<std::uint32_t> randomWords(std::size_t groups, std::size_t rowsPerWord, int limit, bool saturated,
                                         Numbers& numbers) {
    AlignedVector<std::uint32_t> words(groups * panelWidth);
    for (std::uint32_t& word : words) {
        for (std::size_t row = 0; row < rowsPerWord; ++row) {
            const int value = saturated && numbers.below(3) == 0 ? (numbers.below(2) == 0 ? limit : -limit)
                                                                 : numbers.between(-limit, limit);
            word |= rowsPerWord == 4 ? (static_cast<std::uint32_t>(value) & 0xffu) << (8 * row)
                                     : (static_cast<std::uint32_t>(value) & 0xffffu) << (16 * row);
        }
    }
    return words;
}

constexpr Dtype rowDtypes[] = {Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64};

}  // namespace

TEST_CASE("the instruction sets begin with scalar, and the best is in use") {
    const auto names = instructionSets();
    REQUIRE(!names.empty());
    CHECK(names.front() == "scalar");
    CHECK(instructionSet() == names.back());
}

TEST_CASE("integer dot products equal the definition") {
    // Of panels a and b. A panel a may have eight bits where b has seven; small values of a are added in 16 bits for
    // longer (25 * 8 * 127 < 2^15), a few large ones not.
    struct Limits {
        int a, b;
        bool saturated;
    };
    const Limits limits =
        GENERATE(Limits{coarseLimit, coarseLimit, true}, Limits{25, coarseLimit, false}, Limits{33, coarseLimit, true},
                 Limits{127, coarseLimit, true}, Limits{earlierCoarseLimit, earlierCoarseLimit, true},
                 Limits{fineLimit, fineLimit, true});
    for (const Isa isa : availableIsas()) {
        INFO(name(isa) << ", values up to " << limits.a << " and " << limits.b);
        const IntegerDot kernel = integerDot(isa, limits.b);
        const IntegerDot reference = integerDotReference(kernel.rowsPerWord);
        Numbers numbers(7);
        for (const std::size_t groups : std::initializer_list<std::size_t>{0, 1, 2, 3, 7, 64, 129}) {
            const auto a =
                randomWords(std::max<std::size_t>(groups, 1), kernel.rowsPerWord, limits.a, limits.saturated, numbers);
            const auto b =
                randomWords(std::max<std::size_t>(groups, 1), kernel.rowsPerWord, limits.b, limits.saturated, numbers);
            AlignedVector<std::int32_t> sums(panelWidth), squares(panelWidth), wantedSums(panelWidth),
                wantedSquares(panelWidth);
            const unsigned run = kernel.sums(a.data(), groups, sums.data(), squares.data());
            reference.sums(a.data(), groups, wantedSums.data(), wantedSquares.data());
            CHECK(sums == wantedSums);
            CHECK(squares == wantedSquares);

            AlignedVector<std::int32_t> tile(tileSize);
            for (std::int32_t& value : tile) value = numbers.between(-1000000, 1000000);
            AlignedVector<std::int32_t> wanted = tile;
            kernel.tile(a.data(), b.data(), sums.data(), run, groups, tile.data());
            reference.tile(a.data(), b.data(), wantedSums.data(), 1, groups, wanted.data());
            CHECK(tile == wanted);
        }
    }
}

TEST_CASE("every sign of the largest values adds up without saturating") {
    for (const Isa isa : availableIsas()) {
        const IntegerDot kernel = integerDot(isa, coarseLimit);
        if (kernel.rowsPerWord != 4) continue;
        for (const int ofA : {127, 63, 32, 31})
            for (const int signA : {1, -1})
                for (const int ofB : {coarseLimit, -coarseLimit}) {
                    constexpr std::size_t groups = 64;
                    INFO(name(isa) << ", " << signA * ofA << " times " << ofB);
                    const auto filled = [](int value) {
                        return AlignedVector<std::uint32_t>(groups * panelWidth,
                                                            (static_cast<std::uint32_t>(value) & 0xffu) * 0x01010101u);
                    };
                    const auto a = filled(signA * ofA), b = filled(ofB);
                    AlignedVector<std::int32_t> sums(panelWidth), squares(panelWidth), tile(tileSize);
                    const unsigned run = kernel.sums(a.data(), groups, sums.data(), squares.data());
                    kernel.tile(a.data(), b.data(), sums.data(), run, groups, tile.data());
                    const int rows = 4 * static_cast<int>(groups);
                    CHECK(sums == AlignedVector<std::int32_t>(panelWidth, rows * signA * ofA));
                    CHECK(squares == AlignedVector<std::int32_t>(panelWidth, rows * ofA * ofA));
                    CHECK(tile == AlignedVector<std::int32_t>(tileSize, rows * signA * ofA * ofB));
                }
    }
}

TEST_CASE("quantising equals the definition at every width, alignment and dtype") {
    for (const Isa isa : availableIsas()) {
        const Quantize kernel = quantize(isa);
        const Quantize reference = quantizeReference();
        for (const std::size_t d : std::initializer_list<std::size_t>{1, 3, 15, 31, 32, 33, 64, 65, 100}) {
            for (const Dtype dtype : rowDtypes) {
                for (const auto& [rowsPerWord, limit] : {std::pair{std::size_t{2}, coarseLimit},
                                                         {std::size_t{4}, coarseLimit},
                                                         {std::size_t{2}, fineLimit}}) {
                    INFO(name(isa) << ", d = " << d << ", " << name(dtype) << ", rows in a word " << rowsPerWord
                                   << ", limit " << limit);
                    Numbers numbers(d);
                    Rows rows(rowsPerWord, d);
                    for (float& x : rows.values) x = numbers.normal() * (numbers.below(8) == 0 ? 1000.0f : 1.0f);
                    const RowsView view = rows.as(dtype, numbers.below(4));
                    AlignedVector<float> centre(panelsOf(d) * panelWidth), inverseStep(centre.size());
                    for (std::size_t j = 0; j < d; ++j) {
                        centre[j] = 0.25f * numbers.normal();
                        inverseStep[j] = j % 5 == 4 ? 0.0f : std::ldexp(1.0f, numbers.between(2, 6));
                    }
                    const std::byte* pointers[4] = {};
                    for (std::size_t k = 0; k < rowsPerWord; ++k) pointers[k] = view.data + k * d * byteSize(dtype);
                    pointers[numbers.below(rowsPerWord)] = nullptr;  // a row left out
                    const std::size_t stride = panelWidth + 64;
                    AlignedVector<std::uint32_t> found(panelsOf(d) * stride, 0xabcdef01u);
                    AlignedVector<std::uint32_t> wanted = found;
                    kernel.pack(pointers, rowsPerWord, dtype, centre.data(), inverseStep.data(), limit, d, found.data(),
                                stride);
                    reference.pack(pointers, rowsPerWord, dtype, centre.data(), inverseStep.data(), limit, d,
                                   wanted.data(), stride);
                    CHECK(found == wanted);

                    const float squares = kernel.sumOfSquares(view.data, dtype, d, 0.5f);
                    const float exact = reference.sumOfSquares(view.data, dtype, d, 0.5f);
                    CHECK(std::fabs(squares - exact) <= 0.001f * exact);
                }
            }
        }
    }
}

TEST_CASE("halves between two integers round to the even one") {
    for (const Isa isa : availableIsas()) {
        INFO(name(isa));
        Rows rows(4, 32);
        for (std::size_t j = 0; j < 32; ++j) rows.at(0, j) = static_cast<float>(j) - 15.5f;
        const std::byte* pointers[4] = {rows.view().data, nullptr, nullptr, nullptr};
        AlignedVector<float> centre(panelWidth), one(panelWidth, 1.0f);
        AlignedVector<std::uint32_t> out(panelWidth);
        quantize(isa).pack(pointers, 4, Dtype::F32, centre.data(), one.data(), coarseLimit, 32, out.data(), panelWidth);
        for (std::size_t j = 0; j < 32; ++j) {
            const int q = static_cast<std::int8_t>(out[j] & 0xff);
            CHECK(q % 2 == 0);
            CHECK(std::fabs(static_cast<float>(q) - rows.at(0, j)) == 0.5f);
        }
    }
}

TEST_CASE("all 65536 halves are read alike, and infinity and NaN are noticed") {
    std::vector<std::uint16_t> halves(65536);
    for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
    const auto* bytes = reinterpret_cast<const std::byte*>(halves.data());
    AlignedVector<float> centre(halves.size()), scale(halves.size(), 0x1p20f);
    for (const Isa isa : availableIsas()) {
        INFO(name(isa));
        const Quantize kernel = quantize(isa);
        const Quantize reference = quantizeReference();
        bool noticed = true;
        for (std::size_t at = 0; at < halves.size(); at += 32) {
            const bool special = (halves[at] & 0x7c00) == 0x7c00;
            noticed =
                noticed && std::isfinite(kernel.sumOfSquares(bytes + 2 * at, Dtype::F16, 32, 0x1p-10f)) == !special;
            if (special) continue;
            const std::byte* rows[2] = {bytes + 2 * at, nullptr};
            AlignedVector<std::uint32_t> found(panelWidth), wanted(panelWidth);
            kernel.pack(rows, 2, Dtype::F16, centre.data() + at, scale.data() + at, coarseLimit, 32, found.data(),
                        panelWidth);
            reference.pack(rows, 2, Dtype::F16, centre.data() + at, scale.data() + at, coarseLimit, 32, wanted.data(),
                           panelWidth);
            if (found != wanted) FAIL_CHECK("halves from " << at << " differ");
        }
        CHECK(noticed);
    }
}

TEST_CASE("one NaN or infinity anywhere in a row shows in its sum of squares") {
    for (const Isa isa : availableIsas()) {
        const Quantize kernel = quantize(isa);
        for (const Dtype dtype : rowDtypes) {
            for (const std::size_t d : std::initializer_list<std::size_t>{1, 31, 32, 77}) {
                for (const float bad :
                     {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
                    for (std::size_t j = 0; j < d; ++j) {
                        Rows rows(1, d);
                        rows.at(0, j) = bad;
                        const RowsView view = rows.as(dtype, 1);
                        if (std::isfinite(kernel.sumOfSquares(view.data, dtype, d, 1.0f))) {
                            FAIL_CHECK(name(isa) << " " << name(dtype) << " misses column " << j << " of " << d);
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("correlations from integer sums have the reference's bits") {
    Numbers numbers(3);
    AlignedVector<double> products(tileSize);
    AlignedVector<double> sums[2], part[2], variances[2];
    for (auto side : {0, 1}) {
        sums[side].resize(panelWidth);
        part[side].resize(panelWidth);
        variances[side].resize(panelWidth);
        for (std::size_t j = 0; j < panelWidth; ++j) {
            sums[side][j] = numbers.between(-100000, 100000);
            part[side][j] = 0.5 * numbers.between(-50000, 50000);
            variances[side][j] = j % 6 == 5 ? 0.0 : static_cast<double>(numbers.next() >> 12);
        }
    }
    for (double& product : products) product = static_cast<std::int32_t>(numbers.next());
    AlignedVector<double> wanted(tileSize);
    pearsonTileReference()(products.data(), 133000.0, {sums[0].data(), part[0].data(), variances[0].data()},
                           {sums[1].data(), part[1].data(), variances[1].data()}, wanted.data());
    for (const Isa isa : availableIsas()) {
        INFO(name(isa));
        AlignedVector<double> found(tileSize);
        pearsonTile(isa)(products.data(), 133000.0, {sums[0].data(), part[0].data(), variances[0].data()},
                         {sums[1].data(), part[1].data(), variances[1].data()}, found.data());
        CHECK(std::memcmp(found.data(), wanted.data(), tileSize * sizeof(double)) == 0);
    }
}

namespace {

template <class T>
AlignedVector<T> randomNumbers(std::size_t count, Numbers& numbers) {
    AlignedVector<T> values(count);
    for (T& value : values) value = static_cast<T>(numbers.normal());
    return values;
}

template <class T>
void checkDense(Isa isa) {
    INFO(name(isa) << ", " << sizeof(T) << " bytes");
    const Dense<T> kernel = dense<T>(isa);
    Numbers numbers(11);
    for (const std::size_t depth : std::initializer_list<std::size_t>{0, 1, 5, 8, 17, 100}) {
        const auto a = randomNumbers<T>(kernel.rows * std::max<std::size_t>(depth, 1), numbers);
        const auto b = randomNumbers<T>(kernel.columns * std::max<std::size_t>(depth, 1), numbers);
        const std::size_t stride = kernel.columns + 3;
        auto c = randomNumbers<T>(kernel.rows * stride, numbers);
        auto wanted = c;
        kernel.multiply(a.data(), b.data(), depth, c.data(), stride);
        for (std::size_t i = 0; i < kernel.rows; ++i) {
            for (std::size_t j = 0; j < kernel.columns; ++j) {
                for (std::size_t k = 0; k < depth; ++k)
                    wanted[i * stride + j] += a[k * kernel.rows + i] * b[k * kernel.columns + j];
            }
        }
        CHECK(c == wanted);

        const std::size_t widest = std::max(kernel.rows, kernel.columns) + 1;
        const auto from = randomNumbers<T>(widest * (depth + 1), numbers);
        for (const std::size_t across :
             std::initializer_list<std::size_t>{std::size_t{1}, kernel.rows - 1, kernel.rows}) {
            for (const bool transposed : {false, true}) {
                const std::size_t acrossStride = transposed ? 1 : depth + 1;
                const std::size_t depthStride = transposed ? widest : 1;
                AlignedVector<T> strip(kernel.rows * depth, T(5));
                kernel.packLeft(from.data(), acrossStride, depthStride, across, depth, T(-1), strip.data());
                bool same = true;
                for (std::size_t k = 0; k < depth; ++k) {
                    for (std::size_t i = 0; i < kernel.rows; ++i) {
                        same = same && strip[k * kernel.rows + i] ==
                                           (i < across ? -from[i * acrossStride + k * depthStride] : T(0));
                    }
                }
                CHECK(same);
            }
        }
    }
    for (const std::size_t n : std::initializer_list<std::size_t>{1, 2, 9, 32}) {
        auto l = randomNumbers<T>(n * (n + 1), numbers);
        for (std::size_t i = 0; i < n; ++i) l[i * (n + 1) + i] = T(8) + l[i * (n + 1) + i];
        const std::size_t stride = kernel.lanes + 1;
        auto x = randomNumbers<T>(n * stride, numbers);
        auto wanted = x;
        kernel.solve(l.data(), n + 1, n, x.data(), stride);
        for (std::size_t lane = 0; lane < kernel.lanes; ++lane) {
            for (std::size_t i = 0; i < n; ++i) {
                for (std::size_t k = 0; k < i; ++k)
                    wanted[i * stride + lane] -= l[i * (n + 1) + k] * wanted[k * stride + lane];
                wanted[i * stride + lane] /= l[i * (n + 1) + i];
            }
        }
        CHECK(x == wanted);
    }
}

}  // namespace

TEST_CASE("dense kernels equal the definition to the bit") {
    for (const Isa isa : availableIsas()) {
        checkDense<float>(isa);
        checkDense<double>(isa);
    }
}

namespace {

// Element by element and byte by byte, at an address that is no multiple of anything; what lies around `out` stays.
template <class Word>
void checkGather(Isa isa, std::size_t rows, std::size_t d, Numbers& numbers) {
    INFO(name(isa) << ", " << rows << " rows of " << d << " elements of " << sizeof(Word) << " bytes");
    std::vector<std::uint32_t> perm(d);
    for (std::size_t i = 0; i < d; ++i) {
        perm[i] = static_cast<std::uint32_t>(i);
        std::swap(perm[i], perm[static_cast<std::size_t>(numbers.between(0, static_cast<int>(i)))]);
    }
    std::vector<Word> flip(d);
    for (Word& word : flip)
        word = numbers.between(0, 1) ? static_cast<Word>(Word{1} << (8 * sizeof(Word) - 1)) : Word{0};
    constexpr std::size_t around = 19;
    const std::size_t size = rows * d * sizeof(Word);
    std::vector<std::byte> in(size + around), out(size + 2 * around);
    for (std::byte& byte : in) byte = static_cast<std::byte>(numbers.between(0, 255));
    for (std::byte& byte : out) byte = static_cast<std::byte>(numbers.between(0, 255));
    std::vector<std::byte> wanted = out, scratch(gatherScratchBytes(d));
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t i = 0; i < d; ++i)
            for (std::size_t k = 0; k < sizeof(Word); ++k) {
                const bool flips = flip[i] != 0 && k == sizeof(Word) - 1;
                wanted[around + (r * d + i) * sizeof(Word) + k] =
                    in[around + (r * d + perm[i]) * sizeof(Word) + k] ^ (flips ? std::byte{0x80} : std::byte{0});
            }
    gather(isa).rows<Word>()(in.data() + around, out.data() + around, rows, d, perm.data(), flip.data(),
                             scratch.data());
    CHECK(out == wanted);
}

}  // namespace

TEST_CASE("gathered rows are what the definition says, whatever their number, width and address") {
    Numbers numbers(11);
    for (const Isa isa : availableIsas())
        for (const std::size_t d : std::initializer_list<std::size_t>{1, 2, 7, 16, 17, 47, 64, 130})
            for (const std::size_t rows : std::initializer_list<std::size_t>{0, 1, 3, 8, 16, 21, 37}) {
                checkGather<std::uint8_t>(isa, rows, d, numbers);
                checkGather<std::uint16_t>(isa, rows, d, numbers);
                checkGather<std::uint32_t>(isa, rows, d, numbers);
                checkGather<std::uint64_t>(isa, rows, d, numbers);
            }
}
