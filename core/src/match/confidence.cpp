#include "confidence.hpp"

#include <algorithm>
#include <cmath>

namespace regauge {
namespace {

double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double clipped(double x) { return std::clamp(x, -2.0, 3.0); }

}  // namespace

double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

std::vector<double> channelProbabilities(const Refined& refined, const ScoreMatrix& z, double advantage, Group group) {
    const Gauge& gauge = refined.answer.gauge;
    const Margins combined = margins(refined.combined, gauge, group), first = margins(z, gauge, group);
    const Margins fitted = refined.fitted.value.empty() ? first : margins(refined.fitted, gauge, group);
    const double shared = 2.917 + 0.882 * std::log(0.1 + std::max(combined.mean(), 0.0)) + 2.066 * std::clamp(first.mean(), -0.8, 2.0) +
                          2.880 * std::clamp(fitted.mean(), -0.8, 2.0) + 1.199 * std::log(0.1 + std::max(advantage, 0.0));
    std::vector<double> probability(gauge.d());
    for (std::size_t i = 0; i < probability.size(); ++i)
        probability[i] = logistic(shared + 0.040 * clipped(combined.matched[i] - combined.runnerUp[i]) +
                                  1.001 * clipped(first.matched[i] - first.runnerUp[i]) + 0.498 * clipped(fitted.matched[i] - fitted.runnerUp[i]));
    return probability;
}

std::vector<double> channelProbabilities(const ScoreMatrix& z, const Answer& answer, Group group) {
    const Margins margin = margins(z, answer.gauge, group);
    std::vector<double> probability(answer.gauge.d());
    for (std::size_t i = 0; i < probability.size(); ++i) probability[i] = logistic(3 * (margin.matched[i] - margin.runnerUp[i]) - 1.5);
    return probability;
}

Verdict verdictOf(double estimate) { return estimate >= 0.9 ? Verdict::aligned : estimate < 0.45 ? Verdict::unrelated : Verdict::partial; }

}  // namespace regauge
