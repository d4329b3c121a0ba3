#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "io/bytes.hpp"
#include "regauge/evidence.hpp"
#include "tensor_files.hpp"
#include "transport/written_tensors.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string npy(const std::string& dict, const std::string& data, char major = 1) {
    std::string text = "\x93NUMPY";
    text += major;
    text += '\0';
    text += static_cast<char>(dict.size() & 0xFF);
    text += static_cast<char>(dict.size() >> 8);
    if (major > 1) text += std::string(2, '\0');
    return text + dict + data;
}

std::string f4(const std::string& shape, const std::string& data) {
    return npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }\n", data);
}

// All rows, as the matcher reads them.
std::vector<double> rowsOfFixture(const std::string& name, std::uint64_t block) {
    MemoryFiles files;
    files.put(name, fixture(name));
    const Evidence evidence = openEvidence(files, name);
    REQUIRE(evidence.sites.size() == 1);
    const RowReader& rows = *evidence.sites[0].rows;
    std::vector<double> values;
    for (std::uint64_t first = 0; first < rows.rows(); first += block) {
        const std::uint64_t count = std::min(block, rows.rows() - first);
        std::vector<std::byte> bytes(static_cast<std::size_t>(count) * rows.d() * byteSize(rows.dtype()));
        rows.read(first, count, bytes);
        std::vector<float> floats(static_cast<std::size_t>(count) * rows.d());
        convertToFloat(bytes, rows.dtype(), floats);
        values.insert(values.end(), floats.begin(), floats.end());
    }
    return values;
}

}  // namespace

TEST_CASE("npy: both orders, both endiannesses and every float width give NumPy's values") {
    const std::vector<double> expected = flatten(expectedJson()["c_order.npy"]["values"]);
    REQUIRE(expected.size() == 7 * 16);
    for (const std::uint64_t block : {1U, 3U, 7U, 100U}) {
        for (const char* name : {"c_order.npy", "fortran_order.npy", "big_endian.npy", "f64.npy", "f16.npy"}) {
            INFO(name);
            const std::vector<double> values = rowsOfFixture(name, block);
            REQUIRE(values.size() == expected.size());
            const double tolerance = std::string(name) == "f16.npy" ? 1e-3 : 1e-7;
            for (std::size_t i = 0; i < values.size(); ++i)
                CHECK(std::abs(values[i] - expected[i]) <= tolerance * std::max(1.0, std::abs(expected[i])));
        }
    }
}

TEST_CASE("npy: headers of versions 1 to 3, spaced and quoted freely, say dtype, shape and order") {
    for (const char major : {'\1', '\2', '\3'}) {
        const TensorFile file =
            openText(npy("{ \"shape\":(2,),'descr':'>f8',\t'fortran_order':False}", std::string(16, 'x'), major));
        CHECK(file.tensors[0].info.dtype == Dtype::F64);
        CHECK(file.tensors[0].bigEndian);
        CHECK(file.tensors[0].info.name == "array");
    }
    CHECK(openText(f4("()", "abcd")).tensors[0].info.shape.empty());
    CHECK(openText(f4("(2L, 1L)", "abcdefgh")).tensors[0].info.shape == Shape{2, 1});
    CHECK(openText(fixture("fortran_order.npy")).tensors[0].fortranOrder);
    CHECK(openText(fixture("three_d.npy")).tensors[0].info.shape == Shape{2, 3, 16});
    CHECK(openText(fixture("empty.npy")).tensors[0].info.bytes == 0);
    CHECK(openText(fixture("i8.npy")).tensors[0].info.dtype == Dtype::I8);
}

TEST_CASE("npy: rewriting keeps the header and moves only the data") {
    for (const char* name : {"c_order.npy", "fortran_order.npy", "big_endian.npy", "f64.npy", "f16.npy", "i8.npy",
                             "three_d.npy", "with_nan.npy", "empty.npy"}) {
        INFO(name);
        const std::string text = fixture(name);
        CHECK(rewrite(openText(text), copyTensor, {{"ignored", "here"}}) == text);
        if (std::string(name) != "empty.npy") checkComplementRoundTrip(text);
    }
}

TEST_CASE("npy: bad files are refused with what to do") {
    struct Case {
        std::string text;
        ErrorCode code;
        std::string says;
    };
    const std::string good = f4("(2,)", "abcdefgh");
    const auto descr = [](const std::string& type) {
        return npy("{'descr': " + type + ", 'fortran_order': False, 'shape': (1,), }", std::string(16, 'x'));
    };
    const Case cases[] = {
        {fixture("object.npy"), ErrorCode::unsupported, "never runs"},
        {good.substr(0, good.size() - 1), ErrorCode::truncated, "needs 8 bytes, but only 7"},
        {good + "x", ErrorCode::malformed, "1 bytes follow"},
        {good.substr(0, 9), ErrorCode::truncated, "header"},
        {good.substr(0, 40), ErrorCode::truncated, "header"},
        {npy("{}", ""), ErrorCode::malformed, "damaged"},
        {npy("{'descr': '<f4', 'shape': (1,), }", "abcd"), ErrorCode::malformed, "damaged"},
        {npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "abcd"), ErrorCode::malformed,
         "damaged"},
        {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", "abcd"), ErrorCode::malformed, "damaged"},
        {f4("(-1,)", "abcd"), ErrorCode::malformed, "damaged"},
        {f4("(4294967296, 4294967296)", ""), ErrorCode::malformed, "impossibly large"},
        {f4("(99999999999999999999999,)", ""), ErrorCode::malformed, "damaged"},
        {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "abcd", 4), ErrorCode::unsupported,
         "version 4"},
        {descr("'|V2'"), ErrorCode::unsupported, "bfloat16"},
        {descr("'<U3'"), ErrorCode::unsupported, "'<U3'"},
        {descr("'<c16'"), ErrorCode::unsupported, "not understood"},
        {descr("[('a', '<f4')]"), ErrorCode::unsupported, "structured"},
    };
    for (const Case& bad : cases) {
        const Refusal refusal = openRefusal(bad.text, "bad.npy");
        INFO(refusal);
        CHECK(refusal.code == bad.code);
        CHECK_THAT(refusal.message, ContainsSubstring("bad.npy: ") && ContainsSubstring(bad.says));
    }
}

TEST_CASE("arrays are written with the headers of np.save, whatever their dtype, order and endianness", "[npy]") {
    struct Case {
        const char *descr, *order, *shape;  // as NumPy 2 prints them, of an array of that shape, dtype and order
        std::size_t bytes;
    };
    const Case cases[] = {
        {"|b1", "False", "(2, 3)", 6},  {"|i1", "False", "(2, 3)", 6},  {"|u1", "False", "(2, 3)", 6},
        {"<i2", "False", "(2, 3)", 12}, {">i2", "False", "(2, 3)", 12}, {"<u2", "False", "(2, 3)", 12},
        {"<i4", "False", "(2, 3)", 24}, {"<u4", "False", "(2, 3)", 24}, {"<i8", "False", "(2, 3)", 48},
        {">i8", "False", "(2, 3)", 48}, {"<u8", "False", "(2, 3)", 48}, {"<f2", "False", "(2, 3)", 12},
        {"<f4", "False", "(2, 3)", 24}, {">f4", "False", "(2, 3)", 24}, {"<f8", "False", "(2, 3)", 48},
        {"<c8", "False", "(2, 3)", 48}, {"<f4", "True", "(2, 3)", 24},  {">i8", "True", "(2, 3)", 48},
        {"<f4", "False", "()", 4},      {"<i4", "False", "(7,)", 28},   {"|u1", "True", "(1, 2, 3)", 6},
    };
    for (const Case& one : cases) {
        std::string dict = std::string("{'descr': '") + one.descr + "', 'fortran_order': " + one.order +
                           ", 'shape': " + one.shape + ", }";
        INFO(dict);
        dict.resize(117, ' ');  // NumPy fills to a multiple of 64
        const std::string text = npy(dict + '\n', std::string(one.bytes, '\1'));
        const TensorFile file = openText(text);
        const StoredTensor& tensor = file.tensors.front();
        const Written copy{tensor.info.name,    tensor.info.dtype,
                           tensor.info.shape,   readBytes(*tensorBytes(file, 0), 0, one.bytes),
                           tensor.fortranOrder, tensor.bigEndian};
        TextSink again;
        writeAnew(file, {copy}, {}, "it", again);
        CHECK(again.text == text);
    }
}
