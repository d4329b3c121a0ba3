#include "regauge/steer.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "native_files.hpp"
#include "refusal.hpp"
#include "regauge/error.hpp"

using namespace regauge;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinAbs;
using test::codeOf;
using test::refusalOf;

namespace {

const std::string sample = std::string(REGAUGE_TEST_DATA) + "/shakespeare-d128/";

struct Sample {
    NativeFiles files;
    Model source = Model::load(files, sample + "source"), target = Model::load(files, sample + "target");
    std::vector<std::int64_t> prompt = readTokens(files, sample + "source/tokens.npy")[0];
    std::vector<float> vector = readSteeringVector(files, sample + "source/steering_resid2.npy", 128);
};

Gauge planted() {
    const auto truth = nlohmann::json::parse(std::ifstream(sample + "truth.json"))["gauges"]["target"];
    return Gauge(truth["perm"].get<std::vector<std::uint32_t>>(), truth["sign"].get<std::vector<std::int8_t>>());
}

const SteerReport::Arm& arm(const SteerReport& report, const std::string& name) {
    const auto found = std::ranges::find(report.arms, name, &SteerReport::Arm::name);
    REQUIRE(found != report.arms.end());
    return *found;
}

}  // namespace

// The expected numbers are PyTorch's: transformers' LlamaForCausalLM with a forward pre-hook on layer 2, log-softmax in
// float64.

TEST_CASE("a moved vector does in the target what it does in the source; without signs, or not moved, it does not") {
    const Sample s;
    SteerOptions options;
    options.site = "resid.2";
    options.generate.length = 12;
    const SteerReport report = steer(s.source, s.target, s.vector, planted(), s.prompt, options);
    CHECK(report.place == 2);
    CHECK(report.positions == 64);
    const std::vector<std::pair<std::int64_t, double>> promoted{
        {459, 2.9814}, {438, 2.9199}, {437, 2.9142}, {471, 2.8961}, {441, 2.7475},
        {461, 2.4748}, {445, 2.4179}, {452, 2.3601}, {442, 2.294},  {447, 2.2535}};
    REQUIRE(report.promoted.size() == promoted.size());
    for (std::size_t k = 0; k < promoted.size(); ++k) {
        CHECK(report.promoted[k].token == promoted[k].first);
        CHECK_THAT(report.promoted[k].rise, WithinAbs(promoted[k].second, 1e-3));
    }
    struct Expected {
        double effect, agreement;
    };
    const std::map<std::string, Expected> expected{{"source-steered", {2.62595, 1}},
                                                   {"target-moved", {2.84724, 0.98944}},
                                                   {"target-permuted", {-0.09365, 0.41066}},
                                                   {"target-not-moved", {0.45636, -0.56338}}};
    for (const auto& [name, numbers] : expected) {
        CHECK_THAT(arm(report, name).effect, WithinAbs(numbers.effect, 1e-3));
        CHECK_THAT(arm(report, name).agreement, WithinAbs(numbers.agreement, 1e-3));
    }
    using Tokens = std::vector<std::int64_t>;
    CHECK(arm(report, "source").continuation.tokens ==
          Tokens{276, 281, 1, 410, 293, 261, 416, 309, 386, 432, 269, 261});
    CHECK(arm(report, "source-steered").continuation.tokens ==
          Tokens{276, 467, 1, 410, 448, 415, 414, 372, 438, 459, 437, 467});
    CHECK(arm(report, "target").continuation.tokens ==
          Tokens{276, 1, 410, 447, 264, 262, 415, 388, 422, 432, 410, 417});
    CHECK(arm(report, "target-moved").continuation.tokens ==
          Tokens{276, 467, 1, 410, 447, 264, 432, 410, 463, 414, 418, 432});
    CHECK_THAT(arm(report, "source-steered").continuation.logProbabilities[1], WithinAbs(-1.60117, 1e-3));
}

TEST_CASE("what was read before is kept: a continuation is that of the whole sequence read anew") {
    const Sample s;
    const Model::ResidualHook hook = hookOf({2, s.vector, 0.5}, s.source.config());
    std::vector<std::int64_t> text(s.prompt.begin(), s.prompt.begin() + 5);
    const Continuation found = generate(s.source, text, hook, {.length = 8});
    for (const std::int64_t token : found.tokens) {
        const std::vector<float> logits = s.source.logits(text, hook);
        const auto last = std::span(logits).last(512);
        CHECK(std::ranges::max_element(last) - last.begin() == token);
        text.push_back(token);
    }
}

TEST_CASE("sampling follows its seed, and the model's probabilities") {
    const Sample s;
    const std::vector<std::int64_t> prompt(s.prompt.begin(), s.prompt.begin() + 8);
    const auto sampled = [&](double temperature, std::uint64_t seed, std::size_t length) {
        return generate(s.source, prompt, {}, {.length = length, .temperature = temperature, .seed = seed}).tokens;
    };
    CHECK(sampled(1, 7, 20) == sampled(1, 7, 20));
    CHECK(sampled(1, 7, 20) != sampled(1, 8, 20));
    CHECK(sampled(1e-4, 7, 12) == sampled(0, 0, 12));  // cold enough to be greedy

    // The first token over many seeds: within four standard deviations of its probability.
    const std::vector<float> logits = s.source.logits(prompt);
    const auto last = std::span(logits).last(512);
    double total = 0;
    for (const float logit : last) total += std::exp(static_cast<double>(logit));
    std::map<std::int64_t, int> counts;
    constexpr int draws = 400;
    for (int seed = 0; seed < draws; ++seed) ++counts[sampled(1, static_cast<std::uint64_t>(seed), 1)[0]];
    const auto likeliest = std::ranges::max_element(last) - last.begin();
    const double p = std::exp(static_cast<double>(last[static_cast<std::size_t>(likeliest)])) / total;
    CHECK(std::fabs(counts[likeliest] - draws * p) < 4 * std::sqrt(draws * p * (1 - p)));
}

TEST_CASE("steering refuses what does not fit") {
    const Sample s;
    SteerOptions options;
    options.site = "resid.5";
    CHECK(codeOf([&] { steer(s.source, s.target, s.vector, planted(), s.prompt, options); }) == ErrorCode::usage);
    options.site = "mlp.1";
    CHECK(codeOf([&] { steer(s.source, s.target, s.vector, planted(), s.prompt, options); }) == ErrorCode::usage);
    options.site = "resid.4";
    CHECK(codeOf([&] { steer(s.source, s.target, s.vector, Gauge::identity(64), s.prompt, options); }) ==
          ErrorCode::dimensionMismatch);
    CHECK(codeOf([&] { steer(s.source, s.target, std::span(s.vector).first(64), planted(), s.prompt, options); }) ==
          ErrorCode::dimensionMismatch);
    CHECK(codeOf([&] { steer(s.source, s.target, s.vector, planted(), {}, options); }) == ErrorCode::usage);
    CHECK(codeOf([&] { generate(s.source, s.prompt, {}, {.temperature = -1}); }) == ErrorCode::usage);
    CHECK(codeOf([&] { readSteeringVector(s.files, sample + "source/steering_resid2.npy", 64); }) ==
          ErrorCode::dimensionMismatch);
    CHECK(codeOf([&] { readSteeringVector(s.files, sample + "source/steering_resid2.npy", 128, 1); }) ==
          ErrorCode::usage);
    CHECK(codeOf([&] { readSteeringVector(s.files, sample + "source/sae_resid2", 128); }) == ErrorCode::unsupported);
}

TEST_CASE("a strength is a number that single precision holds, and what it makes of the vector too") {
    const Sample s;
    SteerOptions options;
    options.site = "resid.2";
    options.generate.length = 0;
    const auto refusal = [](const auto& call) -> std::string {
        const auto found = refusalOf(call);
        if (found) CHECK(found->code == ErrorCode::usage);
        return found ? found->message : "steered";
    };
    for (const double strength : {std::nan(""), double(INFINITY), -double(INFINITY), 1e300, -1e39}) {
        options.strength = strength;
        CHECK_THAT(refusal([&] { steer(s.source, s.target, s.vector, planted(), s.prompt, options); }),
                   ContainsSubstring("the strength must be a finite number"));
        CHECK_THAT(refusal([&] {
                       hookOf({2, s.vector, strength}, s.source.config());
                   }),
                   ContainsSubstring("the strength must be a finite number"));
    }
    std::vector<float> large = s.vector;
    large[3] = 1e20F;
    CHECK_THAT(refusal([&] {
                   hookOf({2, large, 1e20}, s.source.config());
               }),
               ContainsSubstring("the vector times the strength"));
    for (const double strength : {0.0, -2.0}) CHECK_NOTHROW(hookOf({2, s.vector, strength}, s.source.config()));
}
