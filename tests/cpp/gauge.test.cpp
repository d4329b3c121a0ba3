#include "regauge/gauge.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstring>
#include <numeric>
#include <random>

#include "refusal.hpp"
#include "regauge/error.hpp"

using namespace regauge;
using test::codeOf;
using test::refusalOf;

namespace {

// All of B_d: d! * 2^d gauges.
std::vector<Gauge> everyGauge(std::size_t d) {
    std::vector<Gauge> gauges;
    std::vector<std::uint32_t> perm(d);
    std::iota(perm.begin(), perm.end(), 0U);
    do {
        for (std::size_t bits = 0; bits < (std::size_t{1} << d); ++bits) {
            std::vector<std::int8_t> sign(d);
            for (std::size_t i = 0; i < d; ++i) sign[i] = (bits >> i & 1) != 0 ? std::int8_t{-1} : std::int8_t{1};
            gauges.emplace_back(perm, sign);
        }
    } while (std::ranges::next_permutation(perm).found);
    return gauges;
}

Gauge randomGauge(std::size_t d, std::mt19937& random) {
    std::vector<std::uint32_t> perm(d);
    std::iota(perm.begin(), perm.end(), 0U);
    std::ranges::shuffle(perm, random);
    std::vector<std::int8_t> sign(d);
    for (std::int8_t& s : sign) s = random() % 2 == 0 ? std::int8_t{1} : std::int8_t{-1};
    return Gauge(perm, sign);
}

std::vector<std::byte> randomBytes(std::size_t count, std::mt19937& random) {
    std::vector<std::byte> bytes(count);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    return bytes;
}

}  // namespace

TEST_CASE("gauges form a group: every law, every element, up to d = 3") {
    for (const std::size_t d : std::vector<std::size_t>{0, 1, 2, 3}) {
        const std::vector<Gauge> all = everyGauge(d);
        const Gauge identity = Gauge::identity(d);
        for (const Gauge& a : all) {
            CHECK(a.then(identity) == a);
            CHECK(identity.then(a) == a);
            CHECK(a.then(a.inverse()).isIdentity());
            CHECK(a.inverse().then(a).isIdentity());
            for (const Gauge& b : all) {
                CHECK(a.then(b).inverse() == b.inverse().then(a.inverse()));
                if (d == 3) continue;  // 48^3 triples add nothing that 8^3 do not show
                for (const Gauge& c : all) CHECK(a.then(b).then(c) == a.then(b.then(c)));
            }
        }
    }
}

TEST_CASE("gauges form a group: random elements up to large d") {
    std::mt19937 random(1);
    for (const std::size_t d : std::vector<std::size_t>{5, 64, 1000, 20000}) {
        const Gauge a = randomGauge(d, random), b = randomGauge(d, random), c = randomGauge(d, random);
        CHECK(a.then(b).then(c) == a.then(b.then(c)));
        CHECK(a.then(a.inverse()).isIdentity());
        CHECK(a.then(b).inverse() == b.inverse().then(a.inverse()));
    }
}

TEST_CASE("a gauge acts as y[i] = sign[i] * x[perm[i]], and composition acts as one after the other") {
    const Gauge gauge({2, 0, 1}, {1, -1, 1});
    CHECK(regauge::apply(gauge, std::vector<float>{10, 20, 30}) == std::vector<float>{30, -10, 20});
    std::mt19937 random(2);
    const Gauge a = randomGauge(50, random), b = randomGauge(50, random);
    std::vector<float> x(50);
    for (float& value : x) value = static_cast<float>(random());
    CHECK(regauge::apply(b, regauge::apply(a, x)) == regauge::apply(a.then(b), x));
    CHECK(regauge::apply(a.inverse(), regauge::apply(a, x)) == x);
}

TEST_CASE("the fingerprint is the SHA-256 of perm as u32 little-endian and sign as i8") {
    // python3 -c 'import hashlib,struct;print(hashlib.sha256(struct.pack("<3I3b",2,0,1,1,-1,1)).hexdigest())'
    CHECK(Gauge({2, 0, 1}, {1, -1, 1}).fingerprint() ==
          "180b9d655804b58ee27e5ca43520c0a61075c0e1e0d88d3e620d04dab0724903");
    CHECK(Gauge::identity(0).fingerprint() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(Gauge::identity(1000).fingerprint() == "65a3d36380319b08ab7d50b9d223c9c2371733dfe87263d0f724b9b700a0bad1");
}

TEST_CASE("what is not a signed permutation is refused, and the entry is named") {
    const auto refusal = [](std::vector<std::uint32_t> perm, std::vector<std::int8_t> sign) {
        const auto found = refusalOf([&] { Gauge(std::move(perm), std::move(sign), "g.json"); });
        if (!found) return std::string("accepted");
        CHECK(found->code == ErrorCode::invalidGauge);
        CHECK(found->where == "g.json");
        return found->message;
    };
    using Catch::Matchers::ContainsSubstring;
    CHECK_THAT(refusal({0, 0}, {1, 1}), ContainsSubstring("twice"));
    CHECK_THAT(refusal({0, 2}, {1, 1}), ContainsSubstring("perm[1] is 2"));
    CHECK_THAT(refusal({0, 1}, {1, 2}), ContainsSubstring("sign[1] is 2"));
    CHECK_THAT(refusal({0, 1}, {1}), ContainsSubstring("sign has 1"));
    CHECK(refusal({0, 1}, {1, 0}) == "accepted");  // 0 = undetermined
}

TEST_CASE("moving any axis of any dtype back gives the bytes back, NaN and negative zero included") {
    std::mt19937 random(3);
    const std::size_t d = 7;
    const Gauge gauge = randomGauge(d, random);
    for (const Dtype dtype : {Dtype::F8_E4M3, Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64})
        for (const Shape& shape :
             {Shape{d}, Shape{d, 5}, Shape{5, d}, Shape{3, d, 4}, Shape{d, d}, Shape{1, d, 1}, Shape{0, d}})
            for (std::size_t axis = 0; axis < shape.size(); ++axis) {
                if (shape[axis] != d) continue;
                for (const Action action : {Action::odd, Action::even}) {
                    const std::vector<std::byte> in =
                        randomBytes(static_cast<std::size_t>(*elementCount(shape)) * byteSize(dtype), random);
                    std::vector<std::byte> moved(in.size()), back(in.size());
                    moveAxis(gauge, action, in, moved, dtype, shape, axis);
                    moveAxis(gauge.inverse(), action, moved, back, dtype, shape, axis);
                    CHECK(back == in);
                }
            }
}

TEST_CASE("a moved axis is what the definition says, element by element") {
    std::mt19937 random(4);
    const std::size_t outer = 3, d = 5, inner = 4;
    const Gauge gauge = randomGauge(d, random);
    std::vector<float> in(outer * d * inner), odd(in.size()), even(in.size());
    for (float& value : in) value = static_cast<float>(random()) / 1e6F;
    const Shape shape{outer, d, inner};
    moveAxis(gauge, Action::odd, std::as_bytes(std::span(in)), std::as_writable_bytes(std::span(odd)), Dtype::F32,
             shape, 1);
    moveAxis(gauge, Action::even, std::as_bytes(std::span(in)), std::as_writable_bytes(std::span(even)), Dtype::F32,
             shape, 1);
    for (std::size_t o = 0; o < outer; ++o)
        for (std::size_t i = 0; i < d; ++i)
            for (std::size_t k = 0; k < inner; ++k) {
                const float from = in[(o * d + gauge.perm()[i]) * inner + k];
                CHECK(even[(o * d + i) * inner + k] == from);
                CHECK(odd[(o * d + i) * inner + k] == static_cast<float>(gauge.sign()[i]) * from);
            }
}

TEST_CASE("signs are refused where they cannot be taken") {
    const auto code = [](const Gauge& gauge, Action action, Dtype dtype, const Shape& shape) {
        const std::vector<std::byte> in(static_cast<std::size_t>(*elementCount(shape)) * byteSize(dtype));
        std::vector<std::byte> out(in.size());
        return codeOf([&] { moveAxis(gauge, action, in, out, dtype, shape, 0); });
    };
    const Gauge known({1, 0}, {1, -1}), unknown({1, 0}, {1, 0});
    CHECK(code(unknown, Action::odd, Dtype::F32, {2}) == ErrorCode::undeterminedSign);
    CHECK_FALSE(code(unknown, Action::even, Dtype::F32, {2}));
    CHECK(code(known, Action::odd, Dtype::I32, {2}) == ErrorCode::wrongDtype);
    CHECK_FALSE(code(known, Action::even, Dtype::I32, {2}));
    CHECK(code(known, Action::odd, Dtype::F32, {3}) == ErrorCode::dimensionMismatch);
}

TEST_CASE("comparison counts places, signs, and both") {
    const Gauge a({0, 1, 2, 3}, {1, 1, -1, -1}), b({0, 2, 1, 3}, {1, 1, 1, 1});
    const Agreement agreement = compare(a, b);
    CHECK(agreement.permutation == 0.5);
    CHECK(agreement.sign == 0.5);
    CHECK(agreement.both == 0.25);
    CHECK(codeOf([&] { compare(a, Gauge::identity(3)); }) == ErrorCode::dimensionMismatch);
}
