#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tensor_files.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// Each tensor's bytes 0, which deflates to another length.
void zeros(std::size_t, const ByteSource& in, ByteSink& out) { out.write(Bytes(static_cast<std::size_t>(in.size()))); }

}  // namespace

TEST_CASE("npz: stored and deflated members give NumPy's values") {
    const TensorFile scope = openText(fixture("gemma_scope/params.npz"));
    CHECK(scope.format == FileFormat::npz);
    CHECK(scope.find("W_enc")->info.shape == Shape{16, 32});
    for (const auto& [name, start] : expectedJson()["gemma_scope/params.npz"]["values"].items()) {
        INFO(name);
        std::vector<double> values = valuesOf(scope, name);
        values.resize(4);
        CHECK(values == flatten(start));
    }
    CHECK(valuesOf(openText(fixture("compressed.npz")), "a") == valuesOf(openText(fixture("c_order.npy")), "array"));
}

TEST_CASE("npz: an archive of stored members is rewritten in place") {
    const std::string text = fixture("gemma_scope/params.npz");
    CHECK(rewrite(openText(text)) == text);
    checkComplementRoundTrip(text);
}

TEST_CASE("npz: deflated members are deflated again as zlib does, so that moving back gives the file byte for byte") {
    const std::string text = fixture("compressed.npz");
    CHECK(rewrite(openText(text)) == text);
    checkComplementRoundTrip(text);
    // Another length after compression: what follows has moved, and everything still points to where it is.
    const std::string shorter = rewrite(openText(text), zeros);
    CHECK(shorter.size() < text.size());
    CHECK(storedBytes(openText(shorter), 0) == std::string(7 * 16 * 4, '\0'));
    CHECK(rewrite(openText(shorter)) == shorter);
}

TEST_CASE("npz: zip64 records, as np.savez writes them beyond 4 GiB, are read and kept where lengths change") {
    // Written by Python's zipfile with ZIP64_LIMIT = 0: (0, 1, .. 47) / 8 - 2.5 stored, and its negative deflated.
    const std::string text = fixture("zip64.npz");
    std::vector<double> values(48), negated(48);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = (static_cast<double>(i) - 20) / 8;
    for (std::size_t i = 0; i < values.size(); ++i) negated[i] = -values[i];
    CHECK(valuesOf(openText(text), "stored") == values);
    CHECK(valuesOf(openText(text), "deflated") == negated);
    CHECK(rewrite(openText(text)) == text);
    checkComplementRoundTrip(text);
    const std::string shorter = rewrite(openText(text), zeros);
    CHECK(shorter.size() < text.size());
    CHECK(valuesOf(openText(shorter), "deflated") == std::vector<double>(48, 0));
}

TEST_CASE("npz: damage is noticed") {
    const std::string stored = fixture("gemma_scope/params.npz");
    const std::string deflated = fixture("compressed.npz");
    const auto damaged = [](std::string text, std::size_t at) {
        text[at] = static_cast<char>(text[at] ^ 1);
        return text;
    };
    // Data under a checksum.
    CHECK(codeOf([&] { storedBytes(openText(damaged(stored, 1000)), 0); }) == ErrorCode::malformed);
    CHECK_FALSE(survives(damaged(deflated, 300)));
    CHECK(openRefusal(damaged(stored, 30)).code == ErrorCode::malformed);  // a local name that is not the directory's
    CHECK(openRefusal(stored.substr(0, stored.size() - 1)).code == ErrorCode::truncated);
    CHECK(openRefusal(stored.substr(0, 200)).code == ErrorCode::truncated);
    CHECK(openRefusal("PK\5\6" + std::string(18, '\0')).code == ErrorCode::unsupported);  // empty
}

TEST_CASE("npz: a directory that says impossible things is refused") {
    const std::string text = fixture("compressed.npz");
    const std::size_t central = text.find("PK\1\2");
    REQUIRE(central != std::string::npos);
    const auto with = [&](std::size_t at, std::uint32_t value) {
        std::string changed = text;
        std::memcpy(changed.data() + central + at, &value, 4);
        return changed;
    };
    CHECK_THAT(openRefusal(with(24, 0x40000000)).message, ContainsSubstring("cannot hold"));  // a zip bomb's size
    CHECK_FALSE(survives(with(24, 575)));
    CHECK_FALSE(survives(with(24, 577)));
    CHECK_FALSE(survives(with(20, 100)));
    CHECK_THAT(openRefusal(with(20, 100000)).message, ContainsSubstring("reaches beyond"));
    CHECK_THAT(openRefusal(with(42, 5)).message, ContainsSubstring("not where the directory says"));
    std::string encrypted = text;
    encrypted[central + 8] = 1;
    CHECK_THAT(openRefusal(encrypted).message, ContainsSubstring("encrypted"));
    std::string method = text;
    method[central + 10] = 12;
    CHECK_THAT(openRefusal(method).message, ContainsSubstring("method 12"));
}
