#include "maps/joint_sums.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "correlation/float_rows.hpp"
#include "correlation/halves.hpp"
#include "correlation/multiply_rows.hpp"
#include "kernels/integer_dot.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

__extension__ using Int128 = __int128;

constexpr std::size_t waitingRows = 2048;  // of a half: fewer passes over the sums, and a few megabytes
constexpr std::size_t rowsOfTask = 32;     // quantised by one thread in one go
constexpr int finerBits = 13;              // 511 fine steps are 4 to 8 standard deviations; so many bits more here
constexpr double elementsPerMicrosecond = 300;

static_assert(std::int64_t{FineSteps::digit} * FineSteps::digit * 2 * PackedRows::groupsPerBlock <= INT32_MAX);

std::size_t packedChannels(std::size_t dx, std::size_t dy) { return 2 * (dx + dy); }

}  // namespace

Moments exchanged(const Moments& moments) {
    const std::size_t dx = moments.dx(), dy = moments.dy();
    Moments result{moments.rows, moments.meanY, moments.meanX, moments.yy, std::vector<double>(dx * dy), moments.xx};
    for (std::size_t i = 0; i < dy; ++i)
        for (std::size_t j = 0; j < dx; ++j) result.yx[j * dy + i] = moments.yx[i * dx + j];
    return result;
}

FineSteps::FineSteps(const RowSample& sample, const std::string& where) {
    const Quantizer fit = fitQuantizer(sample.view, where, Resolution::fine);
    rowLimit_ = fit.rowLimit;
    const std::size_t d = fit.d();
    centre_.resize(d), step_.resize(d), inverse_.resize(d);
    std::vector<float> row(d);
    for (std::size_t i = 0; i < sample.view.rows; ++i) {
        loadRow(sample.view, i, row);
        if (!isMassive(row)) break;
    }
    for (std::size_t j = 0; j < d; ++j) {
        step_[j] = std::ldexp(static_cast<double>(fit.step[j]), -finerBits);
        inverse_[j] = step_[j] > 0 ? 1 / step_[j] : 0;
        centre_[j] = static_cast<double>(step_[j] > 0 ? fit.centre[j] : row[j]);  // a constant channel is its value
    }
}

FineSteps::FineSteps(double rowLimit, std::vector<double> centre, std::vector<double> step)
    : centre_(std::move(centre)), step_(std::move(step)), inverse_(step_.size()), rowLimit_(rowLimit) {
    std::ranges::transform(step_, inverse_.begin(), [](double one) { return one > 0 ? 1 / one : 0; });
}

bool FineSteps::isMassive(std::span<const float> row) const { return rowLimit_ > 0 && rowNorm(row) > rowLimit_; }

void FineSteps::quantize(std::span<const float> row, std::int16_t* hi, std::int16_t* lo) const {
    constexpr double most = reach;
    for (std::size_t j = 0; j < row.size(); ++j) {
        const double steps = std::clamp((static_cast<double>(row[j]) - centre_[j]) * inverse_[j], -most, most);
        const int q = static_cast<int>(std::nearbyint(steps));
        const int high = (q + (q < 0 ? -digit : digit)) / base;  // the nearest: |q - base * high| <= digit
        hi[j] = static_cast<std::int16_t>(high);
        lo[j] = static_cast<std::int16_t>(q - base * high);
    }
}

FineStepsPair FineStepsPair::of(const SitePair& pair) {
    const std::array<RowSample, 2> samples = pair.sample();
    return {FineSteps(samples[0], pair.whereX()), FineSteps(samples[1], pair.whereY())};
}

JointSums::JointSums(FineStepsPair steps)
    : steps_(std::move(steps)),
      half_{Half(packedChannels(steps_.x.d(), steps_.y.d())), Half(packedChannels(steps_.x.d(), steps_.y.d()))},
      isa_(kernels::activeIsa()) {
    for (Half& half : half_) half.sums.resize(half.products.panels() * kernels::panelWidth);
}

JointSums JointSums::of(const SitePair& pair, FineStepsPair steps, unsigned threads, const Progress& progress) {
    JointSums sums(std::move(steps));
    pair.forBlocks(progress, [&](const PairedBlock& block, const Beside& beside) {
        sums.add(block, pair.whereX(), pair.whereY(), threads, beside);
    });
    sums.settle(threads);
    return sums;
}

void JointSums::add(const PairedBlock& block, const std::string& whereX, const std::string& whereY, unsigned threads,
                    const Beside& beside) {
    const FineSteps &stepsX = steps_.x, &stepsY = steps_.y;
    const std::size_t dx = stepsX.d(), dy = stepsY.d(), channels = packedChannels(dx, dy);
    const kernels::IntegerDot kernel = kernels::integerDot(isa_, FineSteps::digit);
    const std::size_t rows = block.side[0].rows;
    // Quantised rows, a stretch at a time so that their memory does not grow with the block.
    constexpr std::size_t stretch = 512;
    std::vector<std::int16_t> values(std::min(stretch, rows) * channels);
    enum class Fate : std::uint8_t { skipped, taken, massive };
    std::vector<Fate> fates(std::min(stretch, rows));
    for (std::size_t begin = 0; begin < rows; begin += stretch) {
        const std::size_t count = std::min(stretch, rows - begin);
        const std::size_t tasks = (count + rowsOfTask - 1) / rowsOfTask;
        const double elements = static_cast<double>(count * (dx + dy));
        parallelFor(
            threadsWorth(threads, elements / elementsPerMicrosecond), tasks,
            [&](std::size_t task) {
                std::vector<float> roomX(dx), roomY(dy);
                for (std::size_t k = task * rowsOfTask; k < std::min(count, (task + 1) * rowsOfTask); ++k) {
                    const std::size_t row = begin + k;
                    fates[k] = Fate::skipped;
                    if (!block.skip.empty() && block.skip[row] != 0) continue;
                    const std::span<const float> x = rowAsFloats(block.side[0], row, roomX),
                                                 y = rowAsFloats(block.side[1], row, roomY);
                    if (const auto j = firstNotFinite(x)) throwNotFinite(whereX, block.first + row, *j, x[*j]);
                    if (const auto j = firstNotFinite(y)) throwNotFinite(whereY, block.first + row, *j, y[*j]);
                    fates[k] = stepsX.isMassive(x) || stepsY.isMassive(y) ? Fate::massive : Fate::taken;
                    if (fates[k] == Fate::massive) continue;
                    std::int16_t* hi = values.data() + k * channels;
                    std::int16_t* lo = hi + dx + dy;
                    stepsX.quantize(x, hi, lo);
                    stepsY.quantize(y, hi + dx, lo + dx);
                }
            },
            beside);
        for (std::size_t k = 0; k < count; ++k) {
            setAside_ += fates[k] == Fate::massive;
            if (fates[k] != Fate::taken) continue;
            Half& half = half_[halfOf(block.first + begin + k)];
            if (!half.waiting) half.waiting.emplace(channels, waitingRows, kernel.rowsPerWord);
            const std::size_t place = half.waitingRows % kernel.rowsPerWord;
            std::uint32_t* group = half.waiting->group(half.waitingRows);
            const std::int16_t* from = values.data() + k * channels;
            const std::size_t panels = half.waiting->panels();
            for (std::size_t panel = 0; panel < panels; ++panel) {
                std::uint32_t* words = group + panel * PackedRows::panelWords;
                if (place == 0) std::fill_n(words, kernels::panelWidth, 0U);
                const std::size_t first = panel * kernels::panelWidth;
                for (std::size_t j = first; j < std::min(channels, first + kernels::panelWidth); ++j)
                    words[j - first] |= std::uint32_t{static_cast<std::uint16_t>(from[j])} << (16 * place);
            }
            ++half.rows;
            if (++half.waitingRows == half.waiting->capacity()) flush(half, threads, beside);
        }
    }
}

void JointSums::flush(Half& half, unsigned threads, const Beside& beside) {
    half.products.makeRoomFor(half.rows, threads);
    if (half.waitingRows == 0) return;
    const kernels::IntegerDot kernel = kernels::integerDot(isa_, FineSteps::digit);
    PackedRows& packed = *half.waiting;
    sumChannels(packed, half.waitingRows, kernel, threads);
    for (std::size_t block = 0; block < packed.blocksIn(half.waitingRows); ++block)
        for (std::size_t j = 0; j < half.sums.size(); ++j) half.sums[j] += packed.sums(block, 0)[j];
    const RowProduct product{&packed, &packed, &half.products};
    multiplyRows({&product, 1}, half.waitingRows, kernel, threads, beside);
    half.waitingRows = 0;
}

void JointSums::settle(unsigned threads) {
    for (Half& half : half_) {
        flush(half, threads, {});
        half.waiting.reset();
    }
}

void JointSums::merge(const JointSums& other) {
    if (rows() + other.rows() > CorrelationSums::mostRows || setAside_ + other.setAside_ > CorrelationSums::mostRows)
        throw Error(ErrorCode::tooLarge, "", "these are more than 2^32 rows together; merge fewer of them");
    for (std::size_t k = 0; k < 2; ++k) {
        Half& half = half_[k];
        half.rows += other.half_[k].rows;
        std::ranges::transform(half.sums, other.half_[k].sums, half.sums.begin(), std::plus{});
        half.products.makeRoomFor(half.rows, 1);
        half.products.add(other.half_[k].products);
    }
    setAside_ += other.setAside_;
}

void JointSums::reduce(const std::function<void(std::span<std::int64_t>)>& sumAtFirst) {
    std::array<std::int64_t, 3> counts{static_cast<std::int64_t>(half_[0].rows),
                                       static_cast<std::int64_t>(half_[1].rows), static_cast<std::int64_t>(setAside_)};
    sumAtFirst(counts);
    setAside_ = static_cast<std::uint64_t>(counts[2]);
    for (std::size_t k = 0; k < 2; ++k) {
        Half& half = half_[k];
        half.rows = static_cast<std::uint64_t>(counts[k]);
        sumAtFirst(half.sums);
        half.products.makeRoomFor(half.rows, 1);
        half.products.replace(sumAtFirst);
    }
}

Moments JointSums::moments(std::size_t half, unsigned threads) const {
    const Half* const halves[] = {&half_[half]};
    return momentsOf(halves, threads);
}

Moments JointSums::moments(unsigned threads) const {
    const Half* const halves[] = {&half_[0], &half_[1]};
    return momentsOf(halves, threads);
}

Moments JointSums::momentsOf(std::span<const Half* const> halves, unsigned threads) const {
    const FineSteps &stepsX = steps_.x, &stepsY = steps_.y;
    const std::size_t dx = stepsX.d(), dy = stepsY.d(), d = dx + dy;
    std::uint64_t rows = 0;
    for (const Half* half : halves) rows += half->rows;
    const Int128 n = static_cast<Int128>(rows);

    std::vector<std::int64_t> sum(d, 0);  // of q
    for (const Half* half : halves)
        for (std::size_t j = 0; j < d; ++j) sum[j] += FineSteps::base * half->sums[j] + half->sums[d + j];

    Moments result;
    result.rows = rows;
    result.meanX.resize(dx), result.meanY.resize(dy);
    result.xx.resize(dx * dx), result.yx.resize(dy * dx), result.yy.resize(dy * dy);
    const double count = static_cast<double>(std::max<std::uint64_t>(rows, 1));
    const auto stepOf = [&](std::size_t j) { return j < dx ? stepsX.step(j) : stepsY.step(j - dx); };
    for (std::size_t j = 0; j < d; ++j) {
        const double mean = stepOf(j) * (static_cast<double>(sum[j]) / count);
        if (j < dx)
            result.meanX[j] = stepsX.centre(j) + mean;
        else
            result.meanY[j - dx] = stepsY.centre(j - dx) + mean;
    }
    // The sum of the products of packed channels i and j, j <= i.
    const auto productsOf = [&](std::size_t i, std::size_t j) {
        using kernels::panelWidth;
        std::int64_t total = 0;
        for (const Half* half : halves)
            total += half->products.at(half->products.tileIndex(i / panelWidth, j / panelWidth),
                                       i % panelWidth * panelWidth + j % panelWidth);
        return total;
    };
    constexpr Int128 base = FineSteps::base;
    constexpr double entriesPerMicrosecond = 50;
    parallelFor(threadsWorth(threads, static_cast<double>(d * d) / entriesPerMicrosecond), d, [&](std::size_t i) {
        for (std::size_t j = 0; j <= i; ++j) {
            const Int128 products = base * base * productsOf(i, j) +
                                    base * (static_cast<Int128>(productsOf(d + j, i)) + productsOf(d + i, j)) +
                                    productsOf(d + i, d + j);
            const Int128 centred = n * products - static_cast<Int128>(sum[i]) * sum[j];  // n^2 times a covariance
            const double value = static_cast<double>(centred) / count * stepOf(i) * stepOf(j);
            if (i < dx)
                result.xx[i * dx + j] = result.xx[j * dx + i] = value;
            else if (j < dx)
                result.yx[(i - dx) * dx + j] = value;
            else
                result.yy[(i - dx) * dy + j - dx] = result.yy[(j - dx) * dy + i - dx] = value;
        }
    });
    return result;
}

}  // namespace regauge
