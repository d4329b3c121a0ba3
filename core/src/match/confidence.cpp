#include "match/confidence.hpp"

#include <algorithm>
#include <cmath>
#include <ranges>

#include "match/calibration.hpp"
#include "match/policy.hpp"
#include "match/posterior.hpp"

namespace regauge {
namespace {

double logistic(double x) { return 1 / (1 + std::exp(-std::clamp(x, -40.0, 40.0))); }
double channelMargin(const Margins& margin, std::size_t i) {
    return std::clamp(margin.matched[i] - margin.runnerUp[i], policy::leastMargin, policy::mostMargin);
}

std::vector<double> beyondDoubt(const Margins& margins) {
    std::vector<double> probability(margins.matched.size());
    for (std::size_t i = 0; i < probability.size(); ++i)
        probability[i] = logistic(policy::beyondDoubt + policy::beyondDoubtByMargin * channelMargin(margins, i));
    return probability;
}

// Spreads by which mean margins of so few channels are too large (policy.hpp).
double allowanceForFew(std::size_t d) {
    const auto width = static_cast<double>(d);
    return policy::fewChannels * std::max(0.0, 1 / std::sqrt(width) - 1 / std::sqrt(policy::manyChannels)) *
           std::max(1.0, std::sqrt(policy::veryFewChannels / width));
}

}  // namespace

bool sameAt(std::size_t i, const Gauge& a, const Gauge& b) {
    return a.perm()[i] == b.perm()[i] && a.sign()[i] == b.sign()[i];
}

double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

std::vector<double> channelProbabilities(const Findings& findings, Group group, unsigned threads) {
    const Gauge& answer = findings.answer;
    const Margins& fused = findings.fused;
    std::vector<double> probability(answer.d());
    if (findings.beyondDoubt) return beyondDoubt(fused);
    const bool refined = findings.refined != nullptr;
    const Margins combined = refined ? margins(findings.refined->combined, answer, group, threads) : fused;
    const Margins fitted = refined && !findings.refined->fitted.value.empty()
                               ? margins(findings.refined->fitted, answer, group, threads)
                               : fused;
    const double few = allowanceForFew(answer.d());
    const auto level = [few](const Margins& margin) {
        return std::clamp(margin.mean() - few, policy::leastMeanMargin, policy::mostMeanMargin);
    };
    const auto logarithm = [](double x) { return std::log(policy::besideLogarithm + std::max(x, 0.0)); };
    const double shared = calibration::constant + calibration::ofMeanCombined * logarithm(level(combined)) +
                          calibration::ofMeanFused * level(fused) + calibration::ofMeanFitted * level(fitted) +
                          calibration::ofAdvantage * logarithm(std::min(findings.advantage, policy::mostAdvantage)) +
                          calibration::ofAgreement * agreement(findings.firstHalf, findings.secondHalf);
    for (std::size_t i = 0; i < probability.size(); ++i) {
        const int halves = int{sameAt(i, findings.firstHalf, answer)} + int{sameAt(i, findings.secondHalf, answer)};
        probability[i] = logistic(shared + calibration::ofFused * channelMargin(fused, i) +
                                  calibration::ofFitted * channelMargin(fitted, i) + calibration::ofHalves * halves);
    }
    return probability;
}

std::vector<double> plainProbabilities(const Block& rows, const Gauge& gauge, const Margins& margins, Group group,
                                       unsigned threads) {
    const auto inDoubt = [&](std::size_t i) { return channelMargin(margins, i) < policy::plainMargin; };
    const auto channels = std::views::iota(std::size_t{0}, gauge.d());
    if (rows.sure() && gauge.d() >= policy::fewestInNull && std::ranges::none_of(channels, inDoubt))
        return beyondDoubt(margins);
    std::vector<double> probability = posterior(inSpreads(rows), gauge, group, threads);
    if (gauge.d() < policy::fewestInNull)
        for (double& one : probability) one = std::min(one, policy::even);
    return probability;
}

std::vector<double> confidenceFromHalves(const Gauge& answer, const Gauge& firstHalf, const Gauge& secondHalf,
                                         bool credible) {
    std::vector<double> probability(answer.d(), 0.0);
    if (!credible) return probability;
    const double agreed = agreement(firstHalf, secondHalf);
    const double all = std::min(policy::bothHalves, policy::allOfHalf * std::sqrt(agreed));
    const double others = agreed < 1 ? std::max(0.0, (all - policy::bothHalves * agreed) / (1 - agreed)) : 0;
    for (std::size_t i = 0; i < probability.size(); ++i)
        probability[i] = sameAt(i, firstHalf, answer) && sameAt(i, secondHalf, answer) ? policy::bothHalves : others;
    return probability;
}

double fewness(std::uint64_t rows, std::size_t d) {
    return d == 0 ? 0 : belowTwice(policy::fewRows * static_cast<double>(d), static_cast<double>(rows));
}

double belowTwice(double most, double value) { return std::clamp(2 - value / most, 0.0, 1.0); }

Verdict verdictOf(double estimate, std::size_t d, std::uint64_t rows) {
    const double ofManyRows =
        policy::unrelated + policy::unrelatedByWidth / static_cast<double>(std::max<std::size_t>(d, 1));
    const double more = std::max(policy::unrelatedOfFewRows - ofManyRows, 0.0);
    const double leastPartial =
        ofManyRows + fewness(rows, d) * belowTwice(policy::fittedWidth, static_cast<double>(d)) * more;
    return estimate >= policy::aligned ? Verdict::aligned
           : estimate < leastPartial   ? Verdict::unrelated
                                       : Verdict::partial;
}

}  // namespace regauge
