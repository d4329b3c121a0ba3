// A message is a promise: what a refusal says to do is done here, word for word, and works.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <sstream>

#include "command_run.hpp"
#include "memory_files.hpp"
#include "regauge/io/gauge_json.hpp"
#include "rows_fixture.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::size_t d = 16;

// A command line without quotes.
Ran say(MemoryFiles& files, const std::string& line) {
    std::vector<std::string> words;
    std::string word;
    for (std::istringstream in(line); in >> word;) words.push_back(word);
    return run(files, words);
}

// `line` is refused with these words of advice; each of the lines that follow it is done.
void follow(MemoryFiles& files, const std::string& line, const std::vector<std::string>& advice,
            const std::vector<std::string>& followed) {
    INFO(line);
    const Ran refused = say(files, line);
    CHECK(refused.status == 2);
    for (const std::string& words : advice) CHECK_THAT(refused.err, ContainsSubstring(words));
    for (const std::string& next : followed) {
        const Ran done = say(files, next);
        INFO(next << "\n" << done.err);
        CHECK(done.status == 0);
    }
}

MemoryFiles withGauge() {
    MemoryFiles files;
    files.put("g", toJson(alignmentOf(randomGauge(d, 1))));
    return files;
}

// A model of one layer, of the family `type`, with whatever else there is.
void putModel(MemoryFiles& files, const std::string& folder, const std::string& type,
              const std::vector<Array>& more = {}) {
    files.put(folder + "/config.json",
              R"({"model_type":")" + type + R"(","hidden_size":16,"num_attention_heads":2,"num_key_value_heads":1,)" +
                  R"("head_dim":8,"num_hidden_layers":1,"intermediate_size":8,"vocab_size":40,"rms_norm_eps":1e-5})");
    std::vector<Array> arrays;
    const auto add = [&](const std::string& name, const Shape& shape) {
        arrays.push_back(randomArray(name, shape, static_cast<unsigned>(arrays.size())));
    };
    const std::string layer = "model.layers.0.";
    add("model.embed_tokens.weight", {40, d}), add("model.norm.weight", {d}), add("lm_head.weight", {40, d});
    add(layer + "input_layernorm.weight", {d}), add(layer + "post_attention_layernorm.weight", {d});
    add(layer + "self_attn.q_proj.weight", {16, d}), add(layer + "self_attn.k_proj.weight", {8, d});
    add(layer + "self_attn.v_proj.weight", {8, d}), add(layer + "self_attn.o_proj.weight", {d, 16});
    add(layer + "mlp.gate_proj.weight", {8, d}), add(layer + "mlp.up_proj.weight", {8, d});
    add(layer + "mlp.down_proj.weight", {d, 8});
    arrays.insert(arrays.end(), more.begin(), more.end());
    files.put(folder + "/model.safetensors", safetensors(arrays));
}

// Activations of `rows` rows, and the same by a gauge.
void putRows(MemoryFiles& files, const std::string& name, std::size_t rows, const Gauge& gauge) {
    testing::Numbers numbers(5);
    Array array{"activations/resid.1", {rows, d}, std::vector<float>(rows * d)};
    for (float& value : array.values) value = numbers.normal();
    files.put(name, safetensors({movedAxis(array, gauge, 1)}));
}

// Activations of three sites that say the same, in the coordinates of a gauge.
void putSites(MemoryFiles& files, const std::string& name, const Gauge& gauge) {
    constexpr std::size_t rows = 600;
    std::vector<Array> arrays;
    for (const char* site : {"resid.1", "resid.2", "resid.3"}) {
        testing::Numbers numbers(6);
        Array array{std::string("activations/") + site, {rows, d}, std::vector<float>(rows * d)};
        for (float& value : array.values) value = numbers.normal();
        arrays.push_back(movedAxis(array, gauge, 1));
    }
    files.put(name, safetensors(arrays));
}

void putSae(MemoryFiles& files, const std::string& folder, const std::string& cfg) {
    if (!cfg.empty()) files.put(folder + "/cfg.json", cfg);
    files.put(folder + "/sae_weights.safetensors",
              safetensors({randomArray("W_enc", {d, 24}, 1), randomArray("W_dec", {24, d}, 2),
                           randomArray("b_enc", {24}, 3), randomArray("b_dec", {d}, 4)}));
}

std::string saeOf(const std::string& model, const std::string& hook) {
    return R"({"architecture":"standard","d_in":16,"d_sae":24,"model_name":")" + model + R"(","hook_name":")" + hook +
           R"(","normalize_activations":"none","apply_b_dec_to_input":false})";
}

// A model "a", and "b", the same in other coordinates.
void putMovedPair(MemoryFiles& files, const char* family) {
    putModel(files, "a", family);
    files.put("way", toJson(alignmentOf(randomGauge(d, 4))));
    CHECK(say(files, "transport a --gauge way -o b").status == 0);
}

}  // namespace

TEST_CASE("advice: a kind that is asked for is a kind that works", "[advice]") {
    MemoryFiles files = withGauge();
    files.put("list.json", "[3, 1, 0, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14]");
    follow(files, "transport list.json --gauge g -o out", {"say --kind vector or --kind neurons"},
           {"transport list.json --gauge g -o v --kind vector", "transport list.json --gauge g -o n --kind neurons"});
    follow(files, "audit list.json --kind neurons", {"give --d N, or a gauge"},
           {"audit list.json --kind neurons --d 16 --gauges 9", "audit list.json --kind neurons --gauge g --gauges 9"});
    files.put("odd.safetensors", safetensors({randomArray("some.thing", {3, d}, 1), randomArray("other", {d}, 2)}));
    follow(files, "transport odd.safetensors --gauge g -o o", {"--kind vector where every tensor's last axis"},
           {"transport odd.safetensors --gauge g -o o --kind vector"});
    putModel(files, "m", "a_model_of_tomorrow");
    follow(files, "transport m --gauge g -o moved", {"named as in", "llama", "--kind with that name moves it"},
           {"transport m --gauge g -o moved --kind llama"});
    putSae(files, "sae", "");
    follow(files, "transport sae --gauge g -o moved_sae", {"name one file, or give --kind"},
           {"transport sae --gauge g -o moved_sae --kind saelens"});
    follow(files, "transport sae/sae_weights.safetensors --gauge g -o moved_file", {"or give --kind saelens"},
           {"transport sae/sae_weights.safetensors --gauge g -o moved_file --kind saelens"});
}

TEST_CASE("advice: what is copied, forced or settled by a flag goes on with that flag", "[advice]") {
    MemoryFiles files = withGauge();
    putModel(files, "m", "llama", {randomArray("model.extra.scale", {3}, 9)});
    follow(files, "transport m --gauge g -o out", {"model.extra.scale", "--unknown copy copies them as they are"},
           {"transport m --gauge g -o out --unknown copy"});
    putSae(files, "sae", saeOf("llama", "blocks.1.hook_of_tomorrow"));
    follow(files, "transport sae --gauge g -o moved", {"--unknown copy goes on as if it were"},
           {"transport sae --gauge g -o moved --unknown copy"});
    Alignment unrelated = alignmentOf(randomGauge(d, 2));
    unrelated.verdict = Verdict::unrelated;
    files.put("u", toJson(unrelated));
    files.put("v", safetensors({randomArray("v", {d}, 1)}));
    follow(files, "transport v --gauge u -o w", {"--force does it all the same"},
           {"transport v --gauge u -o w --force"});
    follow(files, "transport v --gauge g -o w", {"--force overwrites it, or choose another name with -o"},
           {"transport v --gauge g -o w --force", "transport v --gauge g -o x"});
    follow(files, "transport v --gauge g -o y --site mlp.1", {"has no hidden part", "leave out --site to move it"},
           {"transport v --gauge g -o y"});
}

TEST_CASE("advice: an SAE of a LayerNorm model moves by a gauge of the group that is named", "[advice]") {
    MemoryFiles files = withGauge();
    putSae(files, "sae", saeOf("gpt2-small", "blocks.1.hook_resid_pre"));
    std::vector<std::int8_t> same(d, -1);
    putRows(files, "a", 600, Gauge::identity(d));
    putRows(files, "b", 600, Gauge(randomGauge(d, 3).perm(), same));
    putRows(files, "c", 600, Gauge(randomGauge(d, 3).perm(), std::vector<std::int8_t>(d, 1)));
    follow(files, "transport sae --gauge g -o moved", {"align with --group layernorm or --group permutation"},
           {"align a b --group layernorm -o l", "transport sae --gauge l -o by_layernorm",
            "align a c --group permutation -o p", "transport sae --gauge p -o by_permutation"});
}

TEST_CASE("advice: maps are fitted, and taken, as refusals say", "[advice]") {
    MemoryFiles files = withGauge();
    const Gauge gauge = randomGauge(d, 4);
    putRows(files, "a", 600, Gauge::identity(d));
    putRows(files, "b", 600, gauge);
    CHECK(say(files, "map a b -o m").status == 0);
    files.put("v", safetensors({randomArray("v", {d}, 1)}));
    follow(files, "transport v --gauge m -o out", {"is a map file; give it as --map m"},
           {"transport v --map m -o out"});
    files.put("list.json", R"({"neurons": [1, 15, 7]})");
    follow(files, "transport list.json --map m -o l",
           {"find one with 'regauge align SOURCE TARGET -o gauge.json', and move it with --gauge"},
           {"align a b -o gauge.json", "transport list.json --gauge gauge.json -o l"});
    // A channel that is always 0, and models of two widths.
    Array still = arrayIn(files, "a", "activations/resid.1");
    for (std::size_t i = 0; i < still.values.size(); i += d) still.values[i] = 0;
    files.put("still", safetensors({still}));
    follow(files, "map still b -o f --family affine --ridge 0", {"give --ridge a larger number, or leave it out"},
           {"map still b -o f --family affine --ridge 1", "map still b -o f2 --family affine"});
    Array wide{"activations/resid.1", {600, d + 4}, std::vector<float>(600 * (d + 4))};
    for (std::size_t row = 0; row < 600; ++row)
        for (std::size_t i = 0; i < d; ++i) wide.values[row * (d + 4) + i] = still.values[row * d + (i + 3) % d];
    files.put("wide", safetensors({wide}));
    follow(
        files, "map a wide -o w --family gauge", {"take --family orthogonal, affine or auto"},
        {"map a wide -o w1 --family orthogonal", "map a wide -o w2 --family affine", "map a wide -o w3 --family auto"});
    follow(files, "align a wide -o g2", {"regauge map SOURCE TARGET -o map.safetensors"},
           {"map a wide -o map.safetensors"});
}

TEST_CASE("advice: a gauge that goes the wrong way is inverted, or found the other way round", "[advice]") {
    MemoryFiles files;
    putMovedPair(files, "llama");
    CHECK(say(files, "align a b -o ab").status == 0);
    follow(files, "merge a b --gauge ab -o merged", {"run regauge invert on it, or align b a"},
           {"invert ab -o ba", "merge a b --gauge ba -o merged", "align b a -o again",
            "merge a b --gauge again -o merged2"});
    follow(files, "merge a b --gauge ba --base-gauge ba -o third", {"--base"},
           {"merge a b --gauge ba --base a --base-gauge ba -o third"});
}

TEST_CASE("advice: a family whose hidden units are not matched is aligned without them", "[advice]") {
    MemoryFiles files;
    putMovedPair(files, "granite");
    follow(files, "align a b --hidden -o h", {"align it without --hidden"}, {"align a b -o h"});
}

TEST_CASE("advice: statistics of both sides are given alone", "[advice]") {
    MemoryFiles files;
    putRows(files, "a", 600, Gauge::identity(d)), putRows(files, "b", 600, randomGauge(d, 4));
    CHECK(say(files, "stats a b -o s").status == 0);
    follow(files, "align s b -o g", {"give it alone: regauge align s"}, {"align s -o g"});
    // As a shell takes it, whatever the file is called.
    CHECK(run(files, {"stats", "a", "b", "-o", "our sums"}).status == 0);
    CHECK_THAT(run(files, {"align", "our sums", "b", "-o", "g2"}).err,
               ContainsSubstring("give it alone: regauge align 'our sums'"));
    CHECK_THAT(run(files, {"map", "our sums", "-o", "m"}).err,
               ContainsSubstring("regauge align 'our sums' -o gauge.json"));
    CHECK(run(files, {"stats", "a", "b", "--map", "-o", "-map"}).status == 0);
    CHECK_THAT(run(files, {"align", "-o", "g3", "--", "-map"}).err,
               ContainsSubstring("regauge map ./-map -o map.safetensors"));
    CHECK(say(files, "stats a b --shard 1/2 -o half").status == 0);
    follow(files, "align half -o h", {"merge the other parts too ('regauge merge-stats')", "with --partial"},
           {"align half -o h --partial", "stats a b --shard 2/2 -o other", "merge-stats half other -o all",
            "align all -o h2"});
}

TEST_CASE("advice: --keep-strength asks for a map that knows the spreads, and map writes one", "[advice]") {
    MemoryFiles files;
    putRows(files, "a", 600, Gauge::identity(d)), putRows(files, "b", 600, randomGauge(d, 4));
    files.put("v", safetensors({randomArray("v", {d}, 1)}));
    CHECK(say(files, "map a b -o m").status == 0);
    std::string without = files.text("m");  // as other tools write maps: the matrices alone
    for (const std::string name : {"source_deviation", "target_deviation"})
        without.replace(without.find(name), name.size(), "x" + name.substr(1));
    files.put("old", without);
    follow(files, "transport v --map old -o w --keep-strength", {"fit it again with 'regauge map'"},
           {"map a b -o again", "transport v --map again -o w --keep-strength"});
}

TEST_CASE("advice: a map of several sites is asked for by a site, and fitted for each layer", "[advice]") {
    MemoryFiles files;
    putSites(files, "a", Gauge::identity(d)), putSites(files, "b", randomGauge(d, 4));
    CHECK(say(files, "map a b -o m --site resid.1=resid.1 --site resid.2=resid.2").status == 0);
    files.put("v", safetensors({randomArray("v", {d}, 1)}));
    follow(files, "transport v --map m -o w", {"say which with --site S=T"},
           {"transport v --map m -o w --site resid.1=resid.1", "transport v --map m -o x --site resid.2"});
    files.put("by_layer", safetensors({randomArray("layer.2", {d}, 1), randomArray("layer.3", {d}, 2)}));
    follow(files, "transport by_layer --map m -o l",
           {"layer 3", "fit one for each layer: regauge map SOURCE TARGET --site S=T --site ..."},
           {"map a b -o all --site resid.2=resid.2 --site resid.3=resid.3", "transport by_layer --map all -o l"});
    CHECK(say(files, "map a b -o joined --site resid.2=resid.3 --site resid.3=resid.3").status == 0);
    follow(files, "transport by_layer --map joined -o j",
           {"would both become layer.3", "choose a target layer for each with --site S=T when fitting the map"},
           {"map a b -o apart --site resid.2=resid.3 --site resid.3=resid.2", "transport by_layer --map apart -o j"});
    CHECK(arrayIn(files, "j", "layer.3").values != arrayIn(files, "l", "layer.3").values);
    putSae(files, "sae", saeOf("llama", "blocks.3.hook_resid_pre"));
    follow(files, "transport sae --map m -o s",
           {"fit one for it (regauge map SOURCE TARGET --site resid.3=T)", "or say with --site which of these"},
           {"map a b -o third --site resid.3=resid.1", "transport sae --map third -o s",
            "transport sae --map m -o t --site resid.2"});
}

TEST_CASE("advice: what is said to need less memory needs no more than there is", "[advice]") {
    MemoryFiles files;
    putSites(files, "a", Gauge::identity(d)), putSites(files, "b", randomGauge(d, 4));
    std::uint64_t memory = 0;
    std::string said;
    Host host{.files = files,
              .out = [](std::string_view) {},
              .err = [&](std::string_view text) { said += text; },
              .memory = [&] { return memory; }};
    const auto status = [&](std::vector<std::string> args) {
        said.clear();
        args.insert(args.end(), {"--quiet", "--force", "-o", "out"});
        return runCommand(args, host);
    };
    constexpr std::uint64_t step = 256;
    memory = (std::uint64_t{48} << 20) + step;
    while (status({"align", "a", "b"}) == 2 && memory < (std::uint64_t{49} << 20)) memory += step;
    memory -= step;  // the most with which it is refused
    CHECK(status({"align", "a", "b"}) == 2);
    for (const char* advice : {"--statistic correlation needs", "one --site needs"})
        CHECK_THAT(said, ContainsSubstring(advice));
    CHECK(status({"align", "a", "b", "--statistic", "correlation"}) == 0);
    CHECK(status({"align", "a", "b", "--site", "resid.1"}) == 0);
}
