// Maps between sites: against scikit-learn and the SVD (tests/interop/maps.py writes the fixture), planted rungs,
// files, and what moves through a map.
#include "regauge/map.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <numeric>

#include "base/float_blocks.hpp"
#include "io/bytes.hpp"
#include "io/zip.hpp"
#include "maps/fitted.hpp"
#include "maps/joint_sums.hpp"
#include "maps/polar.hpp"
#include "maps/spd_solve.hpp"
#include "numeric/linalg.hpp"
#include "regauge/io/safetensors_writer.hpp"
#include "regauge/map_transport.hpp"
#include "rows_fixture.hpp"
#include "tensor_files.hpp"
#include "written_files.hpp"

using namespace regauge;
using Catch::Matchers::ContainsSubstring;
using regauge::test::MemoryFiles;
using regauge::testing::Numbers;
using regauge::testing::onEveryInstructionSet;

namespace {

using Values = std::vector<float>;

struct Tensor {
    std::string name;
    Shape shape;
    Values values;
};

void put(MemoryFiles& files, const std::string& path, const std::vector<Tensor>& tensors) {
    std::vector<NewTensor> list;
    for (const Tensor& tensor : tensors)
        list.push_back({tensor.name, Dtype::F32, tensor.shape, std::as_bytes(std::span(tensor.values))});
    const auto out = files.create(path, false, true);
    writeSafetensors(list, {}, out->file(""));
    out->commit();
}

Values valuesOf(const TensorFile& file, const std::string& name) {
    const StoredTensor* tensor = file.find(name);
    INFO(name);
    REQUIRE(tensor != nullptr);
    Values values(static_cast<std::size_t>(*elementCount(tensor->info.shape)));
    convertToFloat(readBytes(*file.source, tensor->info.offset, tensor->info.bytes), tensor->info.dtype, values);
    return values;
}

Values random(std::size_t count, std::uint64_t seed) {
    Numbers numbers(seed);
    Values values(count);
    for (float& value : values) value = numbers.normal();
    return values;
}

// rows of x by a [target, source] matrix.
Values times(const Values& x, std::size_t ds, const std::vector<double>& m, std::size_t dt) {
    const std::size_t rows = x.size() / ds;
    Values y(rows * dt);
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t i = 0; i < dt; ++i) {
            double sum = 0;
            for (std::size_t j = 0; j < ds; ++j) sum += m[i * ds + j] * static_cast<double>(x[r * ds + j]);
            y[r * dt + i] = static_cast<float>(sum);
        }
    return y;
}

std::vector<double> doubles(const Values& values) { return {values.begin(), values.end()}; }

std::vector<double> rotation(std::size_t d, std::uint64_t seed) {
    return polarFactor(doubles(random(d * d, seed)), d, d, 1);
}

MapOptions only(MapFamily family, std::optional<double> ridge = std::nullopt) {
    MapOptions options;
    options.family = family;
    options.ridge = ridge;
    return options;
}

// Evidence files of one site each.
struct Pair {
    MemoryFiles files;
    Pair(const Values& x, std::size_t ds, const Values& y, std::size_t dt, const std::string& siteX = "resid.1",
         const std::string& siteY = "resid.1") {
        put(files, "x", {{"activations/" + siteX, {x.size() / ds, ds}, x}});
        put(files, "y", {{"activations/" + siteY, {y.size() / dt, dt}, y}});
    }
    MapSet fit(const MapOptions& options = {}) const {
        return fitMaps(openEvidence(files, "x"), openEvidence(files, "y"), options);
    }
};

double largestDifference(const Values& a, const std::vector<double>& b) {
    REQUIRE(a.size() == b.size());
    double largest = 0;
    for (std::size_t k = 0; k < a.size(); ++k) largest = std::max(largest, std::fabs(static_cast<double>(a[k]) - b[k]));
    return largest;
}

}  // namespace

TEST_CASE("the polar factor has orthonormal columns or rows, whatever the shape", "[map]") {
    for (const auto& [rows, columns] : {std::pair<std::size_t, std::size_t>{5, 5}, {12, 7}, {7, 12}, {1, 3}}) {
        const std::vector<double> u = polarFactor(doubles(random(rows * columns, rows)), rows, columns, 1);
        const std::vector<double> t = transposed(u, rows, columns);
        const std::size_t small = std::min(rows, columns), large = std::max(rows, columns);
        const std::vector<double>& tall = rows >= columns ? u : t;  // [large, small]
        for (std::size_t i = 0; i < small; ++i)
            for (std::size_t j = 0; j < small; ++j) {
                double dot = 0;
                for (std::size_t k = 0; k < large; ++k) dot += tall[k * small + i] * tall[k * small + j];
                CHECK(std::fabs(dot - (i == j ? 1 : 0)) < 1e-12);
            }
    }
}

TEST_CASE("maps are those of scikit-learn's Ridge and of the singular value decomposition to 1e-5", "[map]") {
    const TensorFile oracle =
        openTensorFile(std::make_shared<test::TextSource>("oracle", test::fixture("maps/oracle.safetensors")));
    const Pair pair(valuesOf(oracle, "x"), 6, valuesOf(oracle, "y"), 9);
    const auto want = [&](const char* name) {
        const StoredTensor& tensor = *oracle.find(name);
        std::vector<double> values(static_cast<std::size_t>(*elementCount(tensor.info.shape)));
        loadDoubles(readBytes(*oracle.source, tensor.info.offset, tensor.info.bytes), tensor.info.dtype, values);
        return values;
    };
    const Map affine = pair.fit(only(MapFamily::affine, 3.0)).maps[0];
    CHECK(largestDifference(affine.forward, want("forward")) < 1e-5);
    CHECK(largestDifference(affine.forwardBias, want("forward_bias")) < 1e-5);
    CHECK(largestDifference(affine.backward, want("backward")) < 1e-5);
    CHECK(largestDifference(affine.backwardBias, want("backward_bias")) < 1e-5);
    const Map orthogonal = pair.fit(only(MapFamily::orthogonal)).maps[0];
    CHECK(largestDifference(orthogonal.forward, want("orthogonal")) < 1e-5);
    CHECK(largestDifference(orthogonal.forwardBias, want("orthogonal_bias")) < 1e-5);
}

TEST_CASE("the ladder stops at the rung that was planted", "[map]") {
    const std::size_t d = 24, rows = 512;
    const Values x = random(rows * d, 1);
    Numbers numbers(2);
    std::vector<double> gauge(d * d, 0.0);
    for (std::size_t i = 0; i < d; ++i) gauge[i * d + (i * 5 + 3) % d] = i % 3 == 0 ? -1 : 1;
    const auto familyOf = [&](Values y, std::size_t dt) {
        for (float& value : y) value += 0.05f * numbers.normal();
        return Pair(x, d, y, dt).fit().maps[0];
    };
    CHECK(familyOf(x, d).family == MapFamily::identity);
    CHECK(familyOf(times(x, d, gauge, d), d).family == MapFamily::gauge);
    CHECK(familyOf(times(x, d, rotation(d, 3), d), d).family == MapFamily::orthogonal);
    const Map affine = familyOf(times(x, d, doubles(random(40 * d, 4)), 40), 40);
    CHECK(affine.family == MapFamily::affine);
    CHECK(affine.r2 > 0.99);
    CHECK(affine.helps);
}

TEST_CASE("a gauge between models that have drifted apart is still the answer", "[map]") {
    const std::size_t d = 32, rows = 1024;
    const Values x = random(rows * d, 1);
    std::vector<double> drifted = doubles(random(d * d, 2));
    for (std::size_t i = 0; i < d; ++i)
        for (std::size_t j = 0; j < d; ++j)
            drifted[i * d + j] = 0.02 * drifted[i * d + j] + (j == (i * 5 + 3) % d ? (i % 3 == 0 ? -1 : 1) : 0);
    Values y = times(x, d, drifted, d);
    Numbers numbers(3);
    for (float& value : y) value += 0.3f * numbers.normal();
    CHECK(Pair(x, d, y, d).fit().maps[0].family == MapFamily::gauge);
}

TEST_CASE("rows that do not belong together have an R2 of 0 within noise, and no map helps", "[map]") {
    const std::size_t d = 16, rows = 1024;
    const Map map = Pair(random(rows * d, 1), d, random(rows * 20, 2), 20).fit().maps[0];
    CHECK_FALSE(map.helps);
    CHECK(std::fabs(map.r2) < 0.02);
}

TEST_CASE("a map is the same to the bit for every number of threads and instruction set", "[map]") {
    const std::size_t d = 40, rows = 700;
    const Values x = random(rows * d, 1);
    const Pair pair(x, d, times(x, d, doubles(random(50 * d, 2)), 50), 50);
    const std::string fingerprint = pair.fit().fingerprint();
    onEveryInstructionSet([&](std::string_view name) {
        INFO(name);
        for (const unsigned threads : {1U, 3U}) {
            MapOptions options;
            options.threads = threads;
            CHECK(pair.fit(options).fingerprint() == fingerprint);
        }
    });
}

TEST_CASE("the sums' moments are those of the rows", "[map]") {
    const std::size_t dx = 5, dy = 7, rows = 300;
    const Values x = random(rows * dx, 1), y = random(rows * dy, 2);
    const Pair pair(x, dx, y, dy);
    const Evidence source = openEvidence(pair.files, "x"), target = openEvidence(pair.files, "y");
    const SitePair sites(source, target, "resid.1", "resid.1", MatchOptions());
    const JointSums sums = JointSums::of(sites, FineStepsPair::of(sites), 1, Progress());
    const Moments moments = sums.moments(1);
    CHECK(moments.rows == rows);
    CHECK(sums.moments(0, 1).rows + sums.moments(1, 1).rows == rows);
    const auto mean = [&](const Values& v, std::size_t d, std::size_t j) {
        double sum = 0;
        for (std::size_t r = 0; r < rows; ++r) sum += static_cast<double>(v[r * d + j]);
        return sum / rows;
    };
    for (std::size_t i = 0; i < dy; ++i)
        for (std::size_t j = 0; j < dx; ++j) {
            double sum = 0;
            for (std::size_t r = 0; r < rows; ++r)
                sum += (static_cast<double>(y[r * dy + i]) - mean(y, dy, i)) *
                       (static_cast<double>(x[r * dx + j]) - mean(x, dx, j));
            CHECK(std::fabs(moments.yx[i * dx + j] - sum) < 2e-3);
        }
}

TEST_CASE("what cannot be fitted is refused with what to do", "[map]") {
    const Values x = random(256 * 8, 1);
    const Pair narrow(x, 8, random(256 * 5, 2), 5);
    CHECK_THROWS_WITH(narrow.fit(only(MapFamily::gauge)), ContainsSubstring("--family orthogonal"));
    MapOptions options;
    options.memory = 1000;
    CHECK_THROWS_WITH(narrow.fit(options), ContainsSubstring("memory"));
    options = {};
    options.sites = {{"resid.1", "resid.8"}};
    CHECK_THROWS_WITH(narrow.fit(options), ContainsSubstring("its sites: resid.1"));
    CHECK_THROWS_WITH(Pair(random(40 * 8, 1), 8, random(40 * 5, 2), 5).fit(), ContainsSubstring("at least 64"));
    CHECK_THROWS_WITH(Pair(x, 8, random(128 * 5, 2), 5).fit(), ContainsSubstring("no site and no gains in common"));
}

TEST_CASE("each source site finds its own place among the target's sites", "[map]") {
    const std::size_t d = 12, rows = 256;
    const Values a = random(rows * d, 1), b = random(rows * d, 2);
    MemoryFiles files;
    put(files, "x", {{"activations/resid.1", {rows, d}, a}, {"activations/resid.2", {rows, d}, b}});
    put(files, "y",
        {{"activations/resid.5", {rows, 9}, times(b, d, doubles(random(9 * d, 3)), 9)},
         {"activations/resid.7", {rows, 9}, times(a, d, doubles(random(9 * d, 4)), 9)}});
    const MapSet set = fitMaps(openEvidence(files, "x"), openEvidence(files, "y"));
    REQUIRE(set.maps.size() == 2);
    CHECK(set.maps[0].sourceSite == "resid.1");
    CHECK(set.maps[0].targetSite == "resid.7");
    CHECK(set.maps[1].targetSite == "resid.5");
    CHECK(set.depths.size() == 4);
}

TEST_CASE("a source site finds its place though another target site is easier and one channel holds the variance",
          "[map]") {
    const std::size_t d = 12, rows = 512;
    Values shallow = random(rows * d, 1), deep = random(rows * d, 2);
    Numbers numbers(3);
    Values toShallow = shallow, toDeep = deep;
    for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t j = 0; j < d; ++j) {
            toShallow[r * d + j] += 0.1f * numbers.normal();
            toDeep[r * d + j] += numbers.normal();  // half of it is the target's own
        }
        // A channel whose variance is hundreds of times the others', and which both target sites share.
        const float huge = 30 * numbers.normal();
        deep[r * d] = huge, toDeep[r * d] = huge + 20 * numbers.normal(), toShallow[r * d] = huge;
    }
    MemoryFiles files;
    put(files, "x", {{"activations/resid.1", {rows, d}, shallow}, {"activations/resid.2", {rows, d}, deep}});
    put(files, "y", {{"activations/resid.1", {rows, d}, toShallow}, {"activations/resid.2", {rows, d}, toDeep}});
    const MapSet set = fitMaps(openEvidence(files, "x"), openEvidence(files, "y"));
    REQUIRE(set.maps.size() == 2);
    CHECK(set.maps[0].targetSite == "resid.1");
    CHECK(set.maps[1].targetSite == "resid.2");
    const auto fromDeep = [&](const std::string& to) {
        return std::ranges::find_if(
            set.depths, [&](const MapDepth& depth) { return depth.sourceSite == "resid.2" && depth.targetSite == to; });
    };
    CHECK(fromDeep("resid.1")->r2 > fromDeep("resid.2")->r2);  // by variance the easier site would be taken
}

TEST_CASE("rows that are massive at one site choose no place at another", "[map]") {
    const std::size_t d = 12, rows = 512, every = 16;
    Values x = random(rows * d, 1), same = x, other = random(rows * d, 2);
    Numbers numbers(3);
    for (float& value : same) value += numbers.normal();  // half of it is the target's own
    for (std::size_t r = 0; r < rows; r += every) {
        const float sign = r / every % 2 == 0 ? 1.0f : -1.0f;
        for (std::size_t j = 0; j < d; ++j) {
            x[r * d + j] = other[r * d + j] = 6 * sign;  // large, and two thirds of what both share; not massive
            same[r * d + j] = 100 * sign;                // massive
        }
    }
    MemoryFiles files;
    put(files, "x", {{"activations/resid.1", {rows, d}, x}});
    put(files, "y", {{"activations/resid.1", {rows, d}, same}, {"activations/resid.2", {rows, d}, other}});
    const MapSet set = fitMaps(openEvidence(files, "x"), openEvidence(files, "y"));
    REQUIRE(set.maps.size() == 1);
    CHECK(set.maps[0].targetSite == "resid.1");
    CHECK(set.maps[0].setAside == rows / every);
    REQUIRE(set.depths.size() == 2);
    CHECK(set.depths[1].r2Known < 0.05);  // they share nothing else
}

TEST_CASE("an affine map solves its system as well as an inverse does, whatever the blocks", "[map]") {
    for (const std::size_t n : std::initializer_list<std::size_t>{1, 5, 63, 64, 65, 150}) {
        const std::size_t rows = n % 2 == 0 ? 300 : 3;
        const std::vector<double> root = doubles(random(n * n, n)), wanted = doubles(random(rows * n, n + 1));
        std::vector<double> a(n * n, 0.0), b(rows * n, 0.0);
        multiply(root.data(), transposed(root, n, n).data(), a.data(), n, n, n, 1);
        for (std::size_t i = 0; i < n; ++i) a[i * n + i] += static_cast<double>(n);
        multiply(wanted.data(), a.data(), b.data(), rows, n, n, 1);
        std::vector<double> factor = a;
        REQUIRE(choleskyInPlace(factor.data(), n, 1));
        onEveryInstructionSet([&](std::string_view isa) {
            std::vector<double> first;
            for (const unsigned threads : {1u, 3u}) {
                INFO(isa << ", " << threads << " threads, n = " << n);
                std::vector<double> x = b;
                solveFromRight(factor, n, x.data(), rows, threads);
                double worst = 0;
                for (std::size_t k = 0; k < x.size(); ++k) worst = std::max(worst, std::fabs(x[k] - wanted[k]));
                CHECK(worst < 1e-11);
                if (first.empty()) first = x;
                CHECK(first == x);
            }
        });
    }
}

TEST_CASE("a map file says what was written, and one that was changed is refused", "[map]") {
    const std::size_t d = 8, rows = 256;
    const Values x = random(rows * d, 1);
    MapSet set = Pair(x, d, times(x, d, doubles(random(5 * d, 2)), 5), 5).fit();
    MemoryFiles files;
    const auto write = [&](const std::string& path) {
        const auto out = files.create(path, false, true);
        writeMaps(set, out->file(""));
        out->commit();
    };
    write("map");
    CHECK(isMapFile(*files.open("map")));
    const MapSet read = readMaps(files, "map");
    CHECK(read.fingerprint() == set.fingerprint());
    CHECK(read.maps[0].family == set.maps[0].family);
    CHECK(read.maps[0].sourceSite == "resid.1");
    CHECK(read.maps[0].r2 == set.maps[0].r2);
    CHECK(read.maps[0].rungs.size() == set.maps[0].rungs.size());
    files.contents["map"].back() ^= std::byte{1};  // of the last tensor, which is no part of the map
    CHECK(readMaps(files, "map").fingerprint() == set.fingerprint());
    std::string text = files.text("map");
    const TensorFile file = openTensorFile(files.open("map"));
    text[static_cast<std::size_t>(file.find("forward")->info.offset)] ^= 1;
    files.put("map", text);
    CHECK_THROWS_WITH(readMaps(files, "map"), ContainsSubstring("fingerprint"));
    put(files, "vector", {{"v", {8}, random(8, 1)}});
    CHECK_FALSE(isMapFile(*files.open("vector")));
    CHECK_THROWS_WITH(readMaps(files, "vector"), ContainsSubstring("no map file"));
    set.maps.push_back(set.maps[0]);
    set.maps[1].targetSite = "resid.9";
    write("two");
    const MapSet two = readMaps(files, "two");
    REQUIRE(two.maps.size() == 2);
    CHECK(two.maps[1].targetSite == "resid.9");
}

namespace {

// A map of 4 to 6 channels with an exact way back, and a file of it.
struct Wide {
    static constexpr std::size_t ds = 4, dt = 6, latents = 3;
    MemoryFiles files;
    MapSet set;
    Wide() {
        const Values x = random(512 * ds, 1);
        Values y = times(x, ds, doubles(random(dt * ds, 2)), dt);
        for (std::size_t k = 0; k < y.size(); ++k) y[k] += static_cast<float>(k % dt);
        set = Pair(x, ds, y, dt, "resid.1", "resid.3").fit();
        const auto out = files.create("map", false, true);
        writeMaps(set, out->file(""));
        out->commit();
    }
    TensorFile moved(const std::string& path, const MapTransportOptions& options = {}) {
        transport(files, path, set, "out", options);
        return openTensorFile(files.open("out"));
    }
    const Map& map() const { return set.maps[0]; }
};

void checkClose(const Values& a, const Values& b) {
    REQUIRE(a.size() == b.size());
    for (std::size_t k = 0; k < a.size(); ++k) CHECK(std::fabs(a[k] - b[k]) < 2e-4f);
}

double dot(const Values& a, const Values& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

}  // namespace

TEST_CASE("directions, activations and probes move as their formulas say", "[map]") {
    Wide wide;
    const Values v = random(Wide::ds, 5), x = random(Wide::ds, 6);
    put(wide.files, "v", {{"vector", {Wide::ds}, v}});
    Values direction = wide.map().apply(v);
    for (std::size_t i = 0; i < Wide::dt; ++i) direction[i] -= wide.map().forwardBias[i];
    checkClose(valuesOf(wide.moved("v"), "vector"), direction);

    put(wide.files, "a", {{"activations/resid.1", {1, Wide::ds}, x}, {"gains/final", {Wide::ds}, Values(Wide::ds, 1)}});
    wide.files.contents.erase("out");
    const TensorFile activations = wide.moved("a");
    checkClose(valuesOf(activations, "activations/resid.3"), wide.map().apply(x));
    CHECK(activations.find("gains/final") == nullptr);

    put(wide.files, "p", {{"coef_", {1, Wide::ds}, v}, {"intercept_", {1}, {0.5f}}});
    wide.files.contents.erase("out");
    const TensorFile probe = wide.moved("p");
    const double before = dot(v, x) + 0.5, after = dot(valuesOf(probe, "coef_"), wide.map().apply(x)) +
                                                   static_cast<double>(valuesOf(probe, "intercept_")[0]);
    CHECK(std::fabs(before - after) < 2e-3);  // the way back is exact here
}

TEST_CASE("an SAE that is moved gives the same latents on moved activations, and moved reconstructions", "[map]") {
    const bool subtracts = GENERATE(true, false);
    Wide wide;
    const std::size_t ds = Wide::ds, dt = Wide::dt, f = Wide::latents;
    const Values enc = random(ds * f, 7), dec = random(f * ds, 8), bEnc = random(f, 9), bDec = random(ds, 10);
    put(wide.files, "sae/sae_weights.safetensors",
        {{"W_enc", {ds, f}, enc}, {"W_dec", {f, ds}, dec}, {"b_enc", {f}, bEnc}, {"b_dec", {ds}, bDec}});
    wide.files.put(
        "sae/cfg.json",
        std::string("{\"architecture\": \"standard\", \"d_in\": 4, \"d_sae\": 3, \"apply_b_dec_to_input\": ") +
            (subtracts ? "true" : "false") + ", \"hook_name\": \"blocks.0.hook_resid_post\"}");
    wide.set.maps[0].sourceSite = "resid.2";
    CHECK_THROWS_WITH(transport(wide.files, "sae", wide.set, "moved"), ContainsSubstring("which is resid.1"));
    wide.set.maps[0].sourceSite = "resid.1";
    transport(wide.files, "sae", wide.set, "moved");
    CHECK_THAT(wide.files.text("moved/cfg.json"), ContainsSubstring("\"d_in\": 6"));
    const TensorFile moved = openTensorFile(wide.files.open("moved/sae_weights.safetensors"));
    const auto latents = [&](const Values& x, std::size_t d, const Values& w, const Values& b, const Values& point) {
        Values z = b;
        for (std::size_t k = 0; k < f; ++k)
            for (std::size_t j = 0; j < d; ++j) z[k] += (x[j] - (subtracts ? point[j] : 0)) * w[j * f + k];
        return z;
    };
    const auto decoded = [&](const Values& z, std::size_t d, const Values& w, const Values& point) {
        Values x = point;
        for (std::size_t k = 0; k < f; ++k)
            for (std::size_t j = 0; j < d; ++j) x[j] += z[k] * w[k * d + j];
        return x;
    };
    const Values x = random(ds, 11), y = wide.map().apply(x);
    const Values before = latents(x, ds, enc, bEnc, bDec),
                 after = latents(y, dt, valuesOf(moved, "W_enc"), valuesOf(moved, "b_enc"), valuesOf(moved, "b_dec"));
    for (std::size_t k = 0; k < f; ++k) CHECK(std::fabs(before[k] - after[k]) < 5e-3f);
    checkClose(decoded(before, dt, valuesOf(moved, "W_dec"), valuesOf(moved, "b_dec")),
               wide.map().apply(decoded(before, ds, dec, bDec)));
}

TEST_CASE("control vectors move layer by layer, and a layer without a map is refused", "[map]") {
    Wide wide;  // resid.1=resid.3: after layer 0, and after layer 2
    const Values v = random(Wide::ds, 5);
    put(wide.files, "c", {{"direction.0", {Wide::ds}, v}});
    CHECK(wide.moved("c").find("direction.2") != nullptr);
    put(wide.files, "d", {{"direction.0", {Wide::ds}, v}, {"direction.2", {Wide::ds}, v}});
    CHECK_THROWS_WITH(transport(wide.files, "d", wide.set, "out2"), ContainsSubstring("layer 2"));
}

TEST_CASE("what lies beside the arrays of an .npz comes along byte for byte where a map widens them", "[map][npz]") {
    Wide wide;
    // np.array(["abc"]): UTF-32, as NumPy 2 writes it
    std::string dict = "{'descr': '<U3', 'fortran_order': False, 'shape': (1,), }";
    dict.resize(117, ' ');
    const std::string names = "\x93NUMPY" + std::string("\1\0", 2) + test::littleEndian(dict.size() + 1, 2) + dict +
                              '\n' + std::string("a\0\0\0b\0\0\0c\0\0\0", 12);
    const Values v = random(Wide::ds, 5);
    wide.files.put("v", test::storedZip({{"names.npy", names},
                                         {"direction.0.npy", test::npy({"direction.0", {Wide::ds}, v})},
                                         {"read me", "not an array"}}));
    const TensorFile moved = wide.moved("v");
    REQUIRE(moved.tensors.size() == 1);
    CHECK(moved.find("direction.2")->info.shape == Shape{Wide::dt});
    const std::shared_ptr<const ByteSource> out = wide.files.open("out");
    const ZipDirectory zip = readZip(*out);
    for (const auto& [name, bytes] : test::Texts{{"names.npy", names}, {"read me", "not an array"}}) {
        INFO(name);
        REQUIRE(zip.find(name) != nullptr);
        const auto member = openMember(out, *zip.find(name), zip.find(name)->size, name);
        CHECK(asText(readBytes(*member, 0, member->size())) == bytes);
    }

    wide.files.put("twice",
                   test::storedZip({{"direction.2.npy", names}, {"direction.0.npy", test::npy({"", {Wide::ds}, v})}}));
    CHECK_THROWS_WITH(transport(wide.files, "twice", wide.set, "none"), ContainsSubstring("two members"));
    CHECK_FALSE(wide.files.exists("none"));
}

TEST_CASE("--keep-strength keeps a direction's length in the streams' own standard deviations", "[map]") {
    Wide wide;
    const Values v = random(Wide::ds, 5);
    put(wide.files, "v", {{"vector", {Wide::ds}, v}});
    MapTransportOptions options;
    options.keepStrength = true;
    const Values kept = valuesOf(wide.moved("v", options), "vector");
    const auto spread = [](const Values& deviation) { return std::sqrt(dot(deviation, deviation)); };
    CHECK_THAT(std::sqrt(dot(kept, kept)) / spread(wide.map().targetDeviation),
               Catch::Matchers::WithinRel(std::sqrt(dot(v, v)) / spread(wide.map().sourceDeviation), 1e-4));
}

TEST_CASE("what means nothing under a map is refused with the rung that it needs", "[map]") {
    Wide wide;
    wide.files.put("list.json", "{\"channels\": [1, 2]}");
    CHECK_THROWS_WITH(transport(wide.files, "list.json", wide.set, "out"), ContainsSubstring("signed permutation"));
    put(wide.files, "lora/adapter_model.safetensors",
        {{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", {2, 4}, random(8, 1)},
         {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", {4, 2}, random(8, 2)}});
    wide.files.put("lora/adapter_config.json", "{\"peft_type\": \"LORA\", \"r\": 2}");
    CHECK_THROWS_WITH(transport(wide.files, "lora", wide.set, "out"), ContainsSubstring("signed permutation"));
    put(wide.files, "scaled", {{"coef_", {1, 4}, random(4, 1)}, {"scale_", {4}, random(4, 2)}});
    CHECK_THROWS_WITH(transport(wide.files, "scaled", wide.set, "out"), ContainsSubstring("scale_"));
    put(wide.files, "long", {{"vector", {5}, random(5, 1)}});
    CHECK_THROWS_WITH(transport(wide.files, "long", wide.set, "out"), ContainsSubstring("d = 5"));
    wide.set.maps[0].helps = false;
    put(wide.files, "v", {{"vector", {4}, random(4, 1)}});
    CHECK_THROWS_WITH(transport(wide.files, "v", wide.set, "out"), ContainsSubstring("--force"));
}
