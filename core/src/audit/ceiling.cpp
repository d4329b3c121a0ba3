#include "regauge/ceiling.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "base/splitmix64.hpp"
#include "regauge/error.hpp"
#include "regauge/match.hpp"

namespace regauge {
namespace {

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::size_t below(std::size_t bound) { return static_cast<std::size_t>(splitmix64(state_) % bound); }
    // Near enough to a Gaussian: the sum of twelve uniforms, exact in doubles.
    double gaussian() {
        double sum = -6;
        for (int k = 0; k < 12; ++k) sum += uniform(state_);
        return sum;
    }

private:
    std::uint64_t state_;
};

template <class Value>
void shuffle(std::vector<Value>& values, Random& random) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
}

Gauge plant(std::size_t d, double positive, Random& random) {
    std::vector<std::uint32_t> perm(d);
    std::iota(perm.begin(), perm.end(), 0U);
    shuffle(perm, random);
    std::vector<std::int8_t> sign(d, -1);
    std::fill_n(sign.begin(), std::lround(positive * static_cast<double>(d)), std::int8_t{1});
    shuffle(sign, random);
    return Gauge(std::move(perm), std::move(sign));
}

// Rows held in memory.
class HeldRows final : public RowReader {
public:
    HeldRows(std::vector<float> values, std::size_t d) : values_(std::move(values)), d_(d) {}
    std::uint64_t rows() const override { return values_.size() / d_; }
    std::size_t d() const override { return d_; }
    Dtype dtype() const override { return Dtype::F32; }
    void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
        const auto bytes = std::as_bytes(std::span(values_));
        std::ranges::copy(bytes.subspan(static_cast<std::size_t>(first) * d_ * sizeof(float),
                                        static_cast<std::size_t>(count) * d_ * sizeof(float)),
                          out.begin());
    }
    const std::string& where() const override { return where_; }

private:
    std::vector<float> values_;
    std::size_t d_;
    std::string where_ = "simulated rows";
};

Evidence evidence(std::vector<float> values, std::size_t d) {
    Evidence result;
    result.name = "simulated";
    result.d = d;
    Site site;
    site.name = "rows";
    site.rows = std::make_shared<HeldRows>(std::move(values), d);
    result.sites.push_back(std::move(site));
    return result;
}

}  // namespace

std::vector<CeilingPoint> ceiling(const CeilingOptions& options, const Progress& progress) {
    const std::size_t d = options.d;
    if (d < 2 || options.rows < 4 || options.steps < 1 || !(options.noise >= 0))
        throw Error(ErrorCode::usage, "",
                    "the ceiling needs d >= 2, at least 4 rows, at least 1 step and a noise of 0 or more");
    if (d > options.widest || options.steps > options.mostSteps)
        throw Error(ErrorCode::tooLarge, "",
                    "the ceiling takes d of at most " + std::to_string(options.widest) + " and at most " +
                        std::to_string(options.mostSteps) + " steps; it is the same at smaller sizes");
    if (options.rows > (std::size_t{1} << 28) / d)
        throw Error(ErrorCode::tooLarge, "", "rows x d must be at most 2^28; the ceiling is the same at smaller sizes");
    Random random(options.seed);
    std::vector<float> x(options.rows * d);
    for (float& value : x) value = static_cast<float>(random.gaussian());
    const Evidence source = evidence(x, d);

    std::vector<CeilingPoint> points;
    for (std::size_t step = 0; step <= options.steps; ++step) {
        // Within a match as well, which takes seconds at d = 6000.
        const Progress sameStep([&](std::string_view, std::uint64_t, std::uint64_t) {
            progress.report("matching", step, options.steps + 1);
            return true;
        });
        CeilingPoint point;
        point.positive = static_cast<double>(step) / static_cast<double>(options.steps);
        const Gauge truth = plant(d, point.positive, random);
        std::vector<float> y(x.size());
        for (std::size_t k = 0; k < y.size(); ++k) {
            const std::size_t row = k / d, i = k % d;
            y[k] =
                truth.sign()[i] * x[row * d + truth.perm()[i]] + static_cast<float>(options.noise * random.gaussian());
        }
        const Evidence target = evidence(std::move(y), d);
        MatchOptions matching;
        matching.statistic = Statistic::correlation;  // the paper's
        matching.threads = options.threads;
        matching.memory = options.memory;
        point.signMarginalized = compare(match(source, target, matching, sameStep).gauge, truth).both;
        matching.group = Group::permutation;
        point.permutationOnly = compare(match(source, target, matching, sameStep).gauge, truth).permutation;
        points.push_back(point);
    }
    return points;
}

}  // namespace regauge
