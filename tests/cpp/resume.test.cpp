// AdamW resumed in other coordinates: parameters and optimizer state moved by the gauge continue the same trajectory;
// state moved in any other way does not.
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;

namespace {

// h = E[token];  h += W2 tanh(W1 (g1 * norm(h)));  logits = U (g2 * norm(h));  norm(h) = h / sqrt(mean(h^2) + eps).
constexpr std::size_t d = 16, hidden = 24, vocabulary = 11, batch = 8;

using Numbers = std::vector<double>;
using Tensors = std::map<std::string, Numbers>;

struct Kind {
    Shape shape;
    std::size_t axis;  // the residual one
    Action action;
};
const std::map<std::string, Kind> kinds{
    {"E", {{vocabulary, d}, 1, Action::odd}}, {"W1", {{hidden, d}, 1, Action::odd}},
    {"W2", {{d, hidden}, 0, Action::odd}},    {"U", {{vocabulary, d}, 1, Action::odd}},
    {"g1", {{d}, 0, Action::even}},           {"g2", {{d}, 0, Action::even}}};

Numbers moved(const Gauge& gauge, const std::string& name, const Numbers& values, std::optional<Action> action = {}) {
    const Kind& kind = kinds.at(name);
    Numbers out(values.size());
    moveAxis(gauge, action.value_or(kind.action), std::as_bytes(std::span(values)),
             std::as_writable_bytes(std::span(out)), Dtype::F64, kind.shape, kind.axis);
    return out;
}
Tensors moved(const Gauge& gauge, const Tensors& tensors, std::optional<Action> action = {}) {
    Tensors out;
    for (const auto& [name, values] : tensors) out[name] = moved(gauge, name, values, action);
    return out;
}

Tensors start() {
    std::mt19937 random(1);
    std::normal_distribution<double> normal(0, 0.4);
    Tensors parameters;
    for (const auto& [name, kind] : kinds) {
        Numbers& values = parameters[name] = Numbers(count(kind.shape));
        for (double& value : values) value = kind.action == Action::even ? 1 + 0.3 * normal(random) : normal(random);
    }
    return parameters;
}

double norm(const Numbers& h) {
    double sum = 0;
    for (const double x : h) sum += x * x;
    return std::sqrt(sum / static_cast<double>(d) + 1e-5);
}

// The gradient through x = g * h / norm(h): adds to `dg`, returns d loss / dh.
Numbers backward(const Numbers& h, const Numbers& g, const Numbers& dx, Numbers& dg) {
    const double r = norm(h);
    double dot = 0;
    for (std::size_t i = 0; i < d; ++i) dg[i] += dx[i] * h[i] / r, dot += dx[i] * g[i] * h[i];
    Numbers dh(d);
    for (std::size_t i = 0; i < d; ++i) dh[i] = dx[i] * g[i] / r - h[i] * dot / (static_cast<double>(d) * r * r * r);
    return dh;
}

// Mean cross-entropy of `batch` (token, next token) pairs; its gradient is added to `gradient`.
double loss(const Tensors& p, const std::vector<std::pair<std::size_t, std::size_t>>& pairs, Tensors& gradient) {
    double total = 0;
    const double share = 1.0 / static_cast<double>(pairs.size());
    for (const auto& [token, next] : pairs) {
        const Numbers h0(p.at("E").begin() + static_cast<std::ptrdiff_t>(token * d),
                         p.at("E").begin() + static_cast<std::ptrdiff_t>(token * d + d));
        const double r0 = norm(h0);
        Numbers a(hidden), h1 = h0, logits(vocabulary);
        for (std::size_t k = 0; k < hidden; ++k) {
            double sum = 0;
            for (std::size_t i = 0; i < d; ++i) sum += p.at("W1")[k * d + i] * p.at("g1")[i] * h0[i] / r0;
            a[k] = std::tanh(sum);
        }
        for (std::size_t i = 0; i < d; ++i)
            for (std::size_t k = 0; k < hidden; ++k) h1[i] += p.at("W2")[i * hidden + k] * a[k];
        const double r1 = norm(h1);
        double sum = 0;
        for (std::size_t v = 0; v < vocabulary; ++v) {
            for (std::size_t i = 0; i < d; ++i) logits[v] += p.at("U")[v * d + i] * p.at("g2")[i] * h1[i] / r1;
            sum += std::exp(logits[v]);
        }
        total += share * (std::log(sum) - logits[next]);

        Numbers dx1(d), da(hidden), dx0(d);
        for (std::size_t v = 0; v < vocabulary; ++v) {
            const double dl = share * (std::exp(logits[v]) / sum - (v == next ? 1 : 0));
            for (std::size_t i = 0; i < d; ++i) {
                gradient["U"][v * d + i] += dl * p.at("g2")[i] * h1[i] / r1;
                dx1[i] += dl * p.at("U")[v * d + i];
            }
        }
        Numbers dh = backward(h1, p.at("g2"), dx1, gradient["g2"]);
        for (std::size_t i = 0; i < d; ++i)
            for (std::size_t k = 0; k < hidden; ++k) {
                gradient["W2"][i * hidden + k] += dh[i] * a[k];
                da[k] += dh[i] * p.at("W2")[i * hidden + k];
            }
        for (std::size_t k = 0; k < hidden; ++k) {
            const double dz = da[k] * (1 - a[k] * a[k]);
            for (std::size_t i = 0; i < d; ++i) {
                gradient["W1"][k * d + i] += dz * p.at("g1")[i] * h0[i] / r0;
                dx0[i] += dz * p.at("W1")[k * d + i];
            }
        }
        const Numbers through = backward(h0, p.at("g1"), dx0, gradient["g1"]);
        for (std::size_t i = 0; i < d; ++i) gradient["E"][token * d + i] += dh[i] + through[i];
    }
    return total;
}

Tensors zeros() {
    Tensors tensors;
    for (const auto& [name, kind] : kinds) tensors[name] = Numbers(count(kind.shape));
    return tensors;
}

// Loshchilov and Hutter 2019, as torch.optim.AdamW computes it.
struct Training {
    Tensors parameters = start(), first = zeros(), second = zeros();  // exp_avg, exp_avg_sq
    int step = 0;

    double run(int steps) {
        constexpr double rate = 3e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, decay = 0.1;
        double last = 0;
        for (int s = 0; s < steps; ++s) {
            std::mt19937 random(static_cast<unsigned>(100 + step));  // the data of a step, whoever trains
            std::vector<std::pair<std::size_t, std::size_t>> pairs;
            for (std::size_t n = 0; n < batch; ++n) {
                const std::size_t token = random() % vocabulary;
                pairs.emplace_back(token, (token * 3 + random() % 2) % vocabulary);
            }
            Tensors gradient = zeros();
            last = loss(parameters, pairs, gradient);
            ++step;
            for (auto& [name, values] : parameters)
                for (std::size_t i = 0; i < values.size(); ++i) {
                    const double g = gradient[name][i];
                    double &m = first[name][i], &v = second[name][i];
                    values[i] -= rate * decay * values[i];
                    m = beta1 * m + (1 - beta1) * g;
                    v = beta2 * v + (1 - beta2) * g * g;
                    values[i] -=
                        rate * (m / (1 - std::pow(beta1, step))) / (std::sqrt(v / (1 - std::pow(beta2, step))) + eps);
                }
        }
        return last;
    }
};

double difference(const Tensors& a, const Tensors& b) {
    double worst = 0;
    for (const auto& [name, values] : a)
        for (std::size_t i = 0; i < values.size(); ++i) {
            const double gap = std::fabs(values[i] - b.at(name)[i]);
            if (!(gap <= worst)) worst = gap;  // NaN is no agreement
        }
    return worst;
}

}  // namespace

TEST_CASE("the test network's gradient is that of finite differences") {
    const Tensors p = start();
    const std::vector<std::pair<std::size_t, std::size_t>> pairs{{0, 3}, {5, 1}, {5, 2}};
    Tensors gradient = zeros(), ignored = zeros();
    loss(p, pairs, gradient);
    double worst = 0;
    for (const auto& [name, values] : p)
        for (std::size_t i = 0; i < values.size(); i += 7) {
            Tensors up = p, down = p;
            up[name][i] += 1e-6, down[name][i] -= 1e-6;
            worst = std::max(
                worst, std::fabs((loss(up, pairs, ignored) - loss(down, pairs, ignored)) / 2e-6 - gradient[name][i]));
        }
    CHECK(worst < 1e-8);
}

TEST_CASE(
    "AdamW state moved by the gauge continues the trajectory up to summation order; moved in any other way it does "
    "not") {
    constexpr int before = 30, after = 50;
    Training source;
    const double early = source.run(before);
    for (unsigned seed = 0; seed < 3; ++seed) {
        const Gauge gauge = randomGauge(d, seed);
        const auto resumed = [&](const std::function<void(Training&)>& moveState) {
            Training target = source;
            target.parameters = moved(gauge, source.parameters);
            moveState(target);
            target.run(after);
            return target;
        };
        Training through = source;
        CHECK(through.run(after) < early);  // it does learn
        const Tensors expected = moved(gauge, through.parameters);

        // exp_avg as its parameter, exp_avg_sq the same without signs.
        const Training right = resumed([&](Training& t) {
            t.first = moved(gauge, source.first), t.second = moved(gauge, source.second, Action::even);
        });
        CHECK(difference(right.parameters, expected) <= 1e-12);
        CHECK(difference(right.first, moved(gauge, through.first)) <= 1e-12);
        CHECK(difference(right.second, moved(gauge, through.second, Action::even)) <= 1e-12);

        const auto wrong = [&](const std::function<void(Training&)>& moveState) {
            return difference(resumed(moveState).parameters, expected);
        };
        CHECK(wrong([&](Training& t) {
                  t.first = moved(gauge, source.first, Action::even),
                  t.second = moved(gauge, source.second, Action::even);
              }) > 1e-3);                                                                 // the permutation alone
        CHECK(wrong([&](Training& t) { t.first = moved(gauge, source.first); }) > 1e-3);  // exp_avg_sq where it was
        CHECK(wrong([&](Training& t) { t.second = moved(gauge, source.second, Action::even); }) >
              1e-3);  // exp_avg where it was
        CHECK_FALSE(wrong([&](Training& t) {
                        t.first = moved(gauge, source.first), t.second = moved(gauge, source.second, Action::odd);
                    }) <= 1e-3);  // variances with signs: roots of negatives
    }
}
