#include "regauge/audit.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "audit/claims.hpp"
#include "audit/survival.hpp"
#include "regauge/error.hpp"
#include "regauge/io/checkpoint_files.hpp"
#include "regauge/random_gauge.hpp"

namespace regauge {
namespace {

constexpr std::size_t widest = std::size_t{1} << 20;  // channels; models have up to 2^15
constexpr std::uint64_t mostGauges = 10'000'000;      // their numbers are kept

// The mean over an object's claims, of those that have the number.
class Mean {
public:
    void add(const std::optional<double>& value) {
        if (value) sum_ += *value, ++count_;
    }
    std::optional<double> value() const {
        return count_ == 0 ? std::nullopt : std::optional(sum_ / static_cast<double>(count_));
    }

private:
    double sum_ = 0;
    std::size_t count_ = 0;
};

struct Means {
    Mean overlap, rank, sign;
    void add(const Survival<double>& one) { overlap.add(one.overlap), rank.add(one.rank), sign.add(one.sign); }
    Survival<double> survival() const { return {overlap.value(), rank.value(), sign.value()}; }
};

std::optional<Spread> spreadOf(std::vector<double> values) {
    if (values.empty()) return std::nullopt;
    Spread spread;
    for (const double value : values) spread.mean += value;
    spread.mean /= static_cast<double>(values.size());
    std::sort(values.begin(), values.end());
    const auto percentile = [&](std::size_t percent) {
        return values[std::max<std::size_t>((percent * values.size() + 99) / 100, 1) - 1];
    };
    spread.low = percentile(5);
    spread.high = percentile(95);
    return spread;
}

// Of all gauges' numbers.
Survival<Spread> spread(const std::vector<Survival<double>>& drawn) {
    std::vector<double> overlap, rank, sign;
    const auto keep = [](std::vector<double>& to, const std::optional<double>& value) {
        if (value) to.push_back(*value);
    };
    for (const Survival<double>& one : drawn) keep(overlap, one.overlap), keep(rank, one.rank), keep(sign, one.sign);
    return {spreadOf(std::move(overlap)), spreadOf(std::move(rank)), spreadOf(std::move(sign))};
}

bool allOne(const Survival<double>& survival) {
    return survival.overlap.value_or(1) == 1 && survival.rank.value_or(1) == 1 && survival.sign.value_or(1) == 1;
}

std::string fixed(double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.2f", std::fabs(value) < 0.005 ? 0.0 : value);
    return buffer;
}

std::string statementOf(const AuditReport& report) {
    const std::string top = "top-" + std::to_string(report.k),
                      thing = report.claims > 1 ? "these " + std::to_string(report.claims) + " vectors" : "this claim";
    std::string text = "The channels of " + fileNameOf(report.object) + " are stated relative to gauge ";
    text += report.gauge
                ? report.gauge->fingerprint + (report.gauge->source.empty() ? ""
                                                                            : " (from " + report.gauge->source +
                                                                                  " to " + report.gauge->target + ")")
                : Gauge::identity(report.d).fingerprint() +
                      " (the identity: its checkpoint's own coordinates, d = " + std::to_string(report.d) + ")";
    text += "; under " + std::to_string(report.gauges) + " random signed permutations of the residual basis (seed " +
            std::to_string(report.seed) + "), ";
    if (report.notMoved.overlap) {
        text += "the " + top + " overlap (Jaccard) of " + thing + ", read without transport, falls to " +
                fixed(report.notMoved.overlap->mean) + " (5th to 95th percentile " +
                fixed(report.notMoved.overlap->low) + " to " + fixed(report.notMoved.overlap->high) + "; " +
                fixed(*report.chance.overlap) + " by chance)";
        if (report.notMoved.rank) text += ", its rank correlation to " + fixed(report.notMoved.rank->mean);
        if (report.notMoved.sign) text += ", its sign agreement to " + fixed(report.notMoved.sign->mean);
    } else {
        text += "nothing of " + thing + " can be compared, as all its values are 0";
    }
    return text + (report.survives
                       ? "; transported, it is unchanged."
                       : "; TRANSPORTED, IT IS NOT WHAT IT SHOULD BE: please report this defect of regauge.");
}

}  // namespace

AuditReport audit(const Files& files, const std::string& object, const std::optional<Alignment>& gauge,
                  const AuditOptions& options, const Progress& progress) {
    if (options.k == 0 || options.gauges == 0)
        throw Error(ErrorCode::usage, object, "an audit needs a top-k of at least one channel, and at least one gauge");
    if (options.d > widest)
        throw Error(
            ErrorCode::usage, "--d",
            "is " + std::to_string(options.d) + ", and no residual stream is wider than " + std::to_string(widest));
    if (options.gauges > mostGauges)
        throw Error(
            ErrorCode::usage, "--gauges",
            "is " + std::to_string(options.gauges) + "; " + std::to_string(mostGauges) + " are more than enough");
    if (gauge && options.d != 0 && options.d != gauge->gauge.d())
        throw Error(ErrorCode::dimensionMismatch, object,
                    "should have d = " + std::to_string(options.d) +
                        ", and the gauge has d = " + std::to_string(gauge->gauge.d()));
    const std::unique_ptr<Claims> claims = openClaims(files, object, options, gauge ? gauge->gauge.d() : options.d);
    if (gauge && gauge->gauge.d() != claims->d())
        throw Error(
            ErrorCode::dimensionMismatch, object,
            "has d = " + std::to_string(claims->d()) + ", and the gauge has d = " + std::to_string(gauge->gauge.d()));

    AuditReport report;
    report.object = object;
    report.description = claims->description();
    report.d = claims->d();
    report.k = std::min(options.k, report.d);
    report.gauges = options.gauges;
    report.seed = options.seed;
    std::vector<Comparison> comparisons;
    Means chance;
    for (Claim& claim : claims->stated()) {
        comparisons.emplace_back(std::move(claim), report.k);
        chance.add(comparisons.back().chance());
    }
    report.claims = comparisons.size();
    report.chance = chance.survival();

    const auto compareUnder = [&](const Gauge& g) {
        Means notMoved, moved;
        const std::vector<Claim> transported = claims->moved(g);
        for (std::size_t c = 0; c < comparisons.size(); ++c) {
            const Claim real = truth(comparisons[c].claim(), g);
            notMoved.add(comparisons[c].notMoved(g, real));
            moved.add(comparisons[c].moved(transported[c], real));
            report.survives = report.survives && transported[c] == real;
        }
        report.survives = report.survives && allOne(moved.survival());
        return std::pair(notMoved.survival(), moved.survival());
    };
    if (gauge) {
        const auto [notMoved, moved] = compareUnder(gauge->gauge);
        report.gauge =
            AuditReport::OneGauge{gauge->gauge.fingerprint(), gauge->source.name, gauge->target.name, notMoved, moved};
    }
    RandomGauges random(options.seed);
    std::vector<Survival<double>> moved;
    for (std::uint64_t n = 0; n < options.gauges; ++n) {
        if (n % 16 == 0) progress.report("drawing gauges", n, options.gauges);
        const auto [still, carried] = compareUnder(random.next(report.d));
        report.drawn.push_back(still);
        moved.push_back(carried);
    }
    progress.report("drawing gauges", options.gauges, options.gauges);
    report.notMoved = spread(report.drawn);
    report.moved = spread(moved);
    report.statement = statementOf(report);
    return report;
}

}  // namespace regauge
