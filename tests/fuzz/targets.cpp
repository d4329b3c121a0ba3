#include "targets.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "io/bytes.hpp"
#include "io/dequantized.hpp"
#include "io/json_edit.hpp"
#include "io/json_text.hpp"
#include "memory_files.hpp"
#include "regauge/command.hpp"
#include "regauge/evidence.hpp"
#include "regauge/first_row.hpp"
#include "regauge/io/checkpoint_files.hpp"
#include "regauge/io/gauge_json.hpp"
#include "regauge/map_transport.hpp"
#include "regauge/model.hpp"
#include "regauge/statistics.hpp"
#include "regauge/steer.hpp"
#include "regauge/transport.hpp"
#include "regauge/vocabulary.hpp"
#include "some_map.hpp"
#include "transport_objects.hpp"

namespace regauge::fuzz {
namespace {

using test::MemoryFiles;

constexpr std::size_t width = 16;  // of the gauge and of most seeds
constexpr std::uint64_t mostRead =
    1 << 20;  // bytes of one tensor that are looked at: views of a .pt may claim any number
constexpr std::size_t mostWritten = 32 << 20;  // then the disk is full

// Does the work, or lets an Error say why not.
template <class Work>
bool refusable(Work work) {
    try {
        work();
        return true;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::internal) throw;
        return false;
    }
}

class NoSink final : public ByteSink {
public:
    void write(std::span<const std::byte> bytes) override {
        written_ += bytes.size();
        if (written_ > mostWritten) throw Error(ErrorCode::writeFailed, "", "enough");
    }

private:
    std::size_t written_ = 0;
};

MemoryFiles filesWith(const std::string& name, std::string_view input) {
    MemoryFiles files;
    files.writableBytes = mostWritten;
    files.put(name, std::string(input));
    return files;
}

const Alignment& someGauge() {
    static const Alignment gauge = test::alignmentOf(test::randomGauge(width, 1));
    return gauge;
}

const Alignment& backGauge() {
    static const Alignment gauge = test::alignmentOf(someGauge().gauge.inverse());
    return gauge;
}

void readEnds(const ByteSource& bytes) {
    std::vector<std::byte> part(static_cast<std::size_t>(std::min(bytes.size(), mostRead)));
    bytes.read(0, part);
    bytes.read(bytes.size() - part.size(), part);
}

// Opens evidence, and reads the first and last row of each site.
void readEvidence(const Files& files, const std::string& path) {
    refusable([&] {
        for (const Site& site : openEvidence(files, path).sites) {
            const std::size_t bytes = site.rows->d() * byteSize(site.rows->dtype());
            if (bytes > mostRead) continue;
            std::vector<std::byte> row(bytes);
            site.rows->read(0, 1, row);
            site.rows->read(site.rows->rows() - 1, 1, row);
        }
    });
}

// The same of a folder of rows whose ids, or rows, are the input.
void readFolderOfRows(std::string_view input, const std::string& ending) {
    for (const char* stem : {"rows", "token_ids"}) {
        MemoryFiles files = filesWith("r/" + (stem + ending), input);
        files.put("r/other.safetensors", test::safetensors({test::randomArray("other", {6, 4}, 1)}));
        readEvidence(files, "r");
    }
}

// Moves object `name`, and says how it would move; a refused move leaves nothing.
void moves(MemoryFiles& files, const std::string& name) {
    TransportOptions options;
    options.copyUnknown = true;
    refusable([&] { planTransport(files, name, options); });
    refusable([&] { planTransport(files, name, options, width); });
    const bool moved = refusable([&] { transport(files, name, someGauge(), "out", options); });
    if (moved != files.exists("out")) throw std::logic_error("an output that a refusal left, or none that was made");
    options.dequantize = Dtype::BF16;
    refusable([&] { transport(files, name, someGauge(), "floats", options); });
}

// Each byte of a tensor, turned by turn(tensor, place).
template <class Turn>
MoveTensor eachByte(Turn turn) {
    return [turn](std::size_t tensor, const ByteSource& in, ByteSink& out) {
        if (in.size() > mostWritten) throw Error(ErrorCode::writeFailed, "", "enough");
        std::vector<std::byte> bytes(static_cast<std::size_t>(in.size()));
        in.read(0, bytes);
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] ^= static_cast<std::byte>(turn(tensor, i));
        out.write(bytes);
    };
}

// Everything that happens to a file of tensors, whatever its format.
void tensors(std::string_view input) {
    MemoryFiles files = filesWith("f", input);
    refusable([&] {
        const TensorFile file = openTensorFile(files.open("f"));
        for (std::size_t i = 0; i < file.tensors.size(); ++i) refusable([&] { readEnds(*tensorBytes(file, i)); });
        NoSink sink;
        rewriteTensorFile(file, {{"regauge.fingerprint", "0123"}}, eachByte([](std::size_t, std::size_t) { return 0; }),
                          sink);
    });
    refusable([&] {
        const TensorFile file = dequantized(openTensorFile(files.open("f")), Dtype::F32);
        for (std::size_t i = 0; i < file.tensors.size(); ++i) refusable([&] { readEnds(*tensorBytes(file, i)); });
    });
    readEvidence(files, "f");
    refusable([&] { firstRow(files, "f", "rows"); });
    refusable([&] { readSteeringVector(files, "f", width); });
    moves(files, "f");
}

// Written again with other bytes for each tensor and place, so that tensors of one storage part.
void rewritesApart(std::string_view input) {
    MemoryFiles files = filesWith("f", input);
    const bool written = refusable([&] {
        MemorySink apart;
        rewriteTensorFile(openTensorFile(files.open("f")), {},
                          eachByte([](std::size_t tensor, std::size_t place) { return 17 * tensor + place; }), apart);
        files.contents["apart"] = apart.bytes();
    });
    if (written) openTensorFile(files.open("apart"));
}

// An entry that is put into a configuration and taken out again leaves every byte as it was.
void editsBack(std::string_view input) {
    refusable([&] {
        const nlohmann::json json = parseJson(input, "edited");
        if (!json.is_object()) return;
        constexpr std::string_view key = "regauge";
        for (const std::string object : {"", "text_config", "made"}) {
            const auto inner = json.find(object);
            if (object.empty() ? json.contains(key)
                               : inner != json.end() && (!inner->is_object() || inner->contains(key)))
                continue;
            const std::string with = withJsonEntry(input, object, key, "0123", 8);
            if (jsonEntry(with, object, key) != "0123") throw std::logic_error("an entry that is not there: " + with);
            if (withJsonEntry(with, object, key, "", 8) != input)
                throw std::logic_error("an entry that leaves a trace: " + with);
        }
    });
}

std::string folderConfig() {
    return R"({"model_type":"llama","hidden_size":16,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":8,)"
           R"("num_hidden_layers":1,"intermediate_size":8,"vocab_size":5,"rms_norm_eps":1e-5,)"
           R"("tie_word_embeddings":true})";
}

// A checkpoint of one layer.
const std::string& weights() {
    static const std::string file = [] {
        std::vector<test::Array> arrays;
        const auto add = [&](const std::string& name, const Shape& shape) {
            arrays.push_back(test::randomArray(name, shape, static_cast<unsigned>(arrays.size())));
        };
        const std::string layer = "model.layers.0.";
        add("model.embed_tokens.weight", {5, width}), add("model.norm.weight", {width});
        add(layer + "input_layernorm.weight", {width}), add(layer + "post_attention_layernorm.weight", {width});
        add(layer + "self_attn.q_proj.weight", {16, width}), add(layer + "self_attn.k_proj.weight", {8, width});
        add(layer + "self_attn.v_proj.weight", {8, width}), add(layer + "self_attn.o_proj.weight", {width, 16});
        add(layer + "mlp.gate_proj.weight", {8, width}), add(layer + "mlp.up_proj.weight", {8, width});
        add(layer + "mlp.down_proj.weight", {width, 8});
        return test::safetensors(arrays);
    }();
    return file;
}

// To a stream that is wider by one.
void movesByMap(const MemoryFiles& before, const std::string& name) {
    static const MapSet maps{{someMap(width, width + 1, "resid.1", "resid.2")}, {}, {}, {}};
    MemoryFiles files = before;
    const bool moved = refusable([&] { transport(files, name, maps, "wider"); });
    if (moved != files.exists("wider")) throw std::logic_error("an output that a refusal left, or none that was made");
}

std::string gaugeText() { return toJson(someGauge()); }

// Runs the command on files; a refusal is one line and changes none of them.
void command(MemoryFiles& files, const std::vector<std::string>& args) {
    constexpr int patience = 200;  // questions whether to go on
    const std::map<std::string, test::Bytes> before = files.contents;
    std::string said;
    int asked = 0;
    Host host{.files = files,
              .out = [](std::string_view) {},
              .err = [&](std::string_view text) { said += text; },
              .cancelled = [&] { return ++asked > patience; },
              .memory = [] { return std::uint64_t{256} << 20; }};
    const int status = runCommand(args, host);
    // At the beginning of a line: further on it may be a word that was given, and those have no line ends.
    if (('\n' + said).find("\nregauge: a defect of regauge: ") != std::string::npos) throw std::logic_error(said);
    if (status >= 2 && files.contents != before) throw std::logic_error("refused, and a file is another: " + said);
    if (status < 0 || (status > 2 && status != 130)) throw std::logic_error("an exit status that has no meaning");
}

bool begins(std::string_view input, std::string_view with) { return input.starts_with(with); }

// The first byte that is no space, or 0.
char firstOf(std::string_view input) {
    const std::size_t at = input.find_first_not_of(" \t\r\n");
    return at == std::string_view::npos ? '\0' : input[at];
}
bool isJson(std::string_view input) { return firstOf(input) == '{' || firstOf(input) == '['; }

}  // namespace

bool safetensors(std::string_view input) {
    if (input.size() < 9 || input[8] != '{') return false;
    tensors(input);
    return true;
}

bool npy(std::string_view input) {
    if (!begins(input, "\x93NUMPY")) return false;
    tensors(input);
    readFolderOfRows(input, ".npy");
    return true;
}

bool npz(std::string_view input) {
    if (!begins(input, "PK")) return false;
    tensors(input);
    readFolderOfRows(input, ".npz");
    movesByMap(filesWith("f", input), "f");
    return true;
}

bool torch(std::string_view input) {
    if (!begins(input, "PK") && !begins(input, "\x80")) return false;
    tensors(input);
    rewritesApart(input);
    MemoryFiles files = filesWith("o/optimizer.pt", input);  // beside the model that it is of
    files.put("o/model.safetensors", weights());
    files.put("o/config.json", folderConfig());
    moves(files, "o");
    return true;
}

// The first tokens of the vocabulary beside a model.
void asWords(const Files& files, const std::string& model) {
    refusable([&] {
        const std::vector<std::int64_t> first{0, 1, 2, 3, 255, 256, -1};
        std::string unread;
        if (const auto vocabulary = Vocabulary::beside(files, model, unread)) vocabulary->text(first);
    });
}

bool gguf(std::string_view input) {
    if (!begins(input, "GGUF")) return false;
    tensors(input);
    MemoryFiles files = filesWith("m.gguf", input);
    refusable([&] {
        const Model model = Model::load(files, "m.gguf");
        const std::vector<std::int64_t> token{0};
        model.logits(token);
    });
    asWords(files, "m.gguf");
    files.put("parts/m-00001-of-00002.gguf", std::string(input));  // twice the same is refused, after both are read
    files.put("parts/m-00002-of-00002.gguf", std::string(input));
    readEvidence(files, "parts");
    return true;
}

bool json(std::string_view input) {
    if (!isJson(input)) return false;
    tensors(input);
    return true;
}

bool arrow(std::string_view input) {
    if (!begins(input, "ARROW1") && !begins(input, "\xff\xff\xff\xff")) return false;
    tensors(input);
    MemoryFiles files = filesWith("t/data-2.arrow", input);
    for (const char* other : {"t/data-10.arrow", "t/cache-1.arrow", "part/data-00000-of-00003.arrow",
                              "splits/x-train.arrow", "splits/x-test.arrow"})
        files.put(other, std::string(input));
    for (const char* folder : {"t", "part", "splits"}) refusable([&] { openEvidence(files, folder); });
    return true;
}

bool gauge(std::string_view input) {
    if (!isJson(input)) return false;
    refusable([&] {
        const Alignment read = parseGauge(input, "gauge");
        const Alignment again = parseGauge(toJson(read), "again");
        if (again.gauge != read.gauge) throw std::logic_error("a gauge that is another one when it is read again");
        read.gauge.then(read.gauge.inverse());
    });
    MemoryFiles files = filesWith("g", input);
    command(files, {"show", "g"});
    command(files, {"show", "g", "--json"});
    command(files, {"invert", "g", "-o", "back"});
    return true;
}

bool map(std::string_view input) {
    if (input.size() < 9 || input[8] != '{') return false;
    MemoryFiles files = filesWith("map", input);
    const std::size_t d = 3;
    files.put("v", test::safetensors({test::randomArray("v", {d}, 1)}));
    refusable([&] {
        const MapSet maps = readMaps(files, "map");
        for (const Map& one : maps.maps) {
            const std::vector<float> x(one.sourceWidth, 1), y(one.targetWidth, 1);
            one.apply(x), one.applyBack(y);
        }
        NoSink sink;
        writeMaps(maps, sink);
        files.put("v", test::safetensors({test::randomArray("v", {maps.maps[0].sourceWidth}, 1)}));
        MapTransportOptions options;
        refusable([&] { planTransport(files, "v", maps, options); });
        options.keepStrength = true;
        const bool moved = refusable([&] { transport(files, "v", maps, "out", options); });
        if (moved != files.exists("out")) throw std::logic_error("an output that a refusal left, or none");
    });
    command(files, {"show", "map"});
    command(files, {"show", "map", "--json"});
    return true;
}

bool config(std::string_view input) {
    if (firstOf(input.substr(byteOrderMark(input))) != '{') return false;
    refusable([&] { parseModelConfig(input, "config.json"); });
    editsBack(input);
    MemoryFiles files = filesWith("m/config.json", input);
    files.put("m/model.safetensors", weights());
    moves(files, "m");
    readEvidence(files, "m");
    refusable([&] {
        const Model model = Model::load(files, "m");
        const std::vector<std::int64_t> tokens{0, 1};
        model.logits(tokens);
    });
    for (const char* beside : {"a/adapter_config.json", "s/cfg.json", "o/trainer_state.json"}) {
        MemoryFiles others = filesWith(beside, input);
        const std::string folder(1, beside[0]);
        others.put(folder + "/weights.safetensors", test::safetensors({test::randomArray("W_dec", {3, width}, 1),
                                                                       test::randomArray("b_dec", {width}, 2)}));
        movesByMap(others, folder);
        moves(others, folder);
        if (others.exists("out")) refusable([&] { transport(others, "out", backGauge(), "back"); });
    }
    return true;
}

bool index(std::string_view input) {
    if (!isJson(input)) return false;
    MemoryFiles files = filesWith("m/model.safetensors.index.json", input);
    files.put("m/model-00001-of-00002.safetensors", weights());
    files.put("m/model-00002-of-00002.safetensors",
              test::safetensors({test::randomArray("lm_head.weight", {5, 16}, 2)}));
    files.put("m/config.json", folderConfig());
    files.put("secret", weights());
    for (const char* beside : {"t/state.json", "t/dataset_dict.json"}) {
        MemoryFiles table = filesWith(beside, input);
        for (const char* name : {"t/data-00000-of-00002.arrow", "t/data-00001-of-00002.arrow", "t/train/data.arrow"})
            table.put(name, weights());  // which is none
        readEvidence(table, "t");
    }
    refusable([&] {
        const CheckpointFiles found = openCheckpointFiles(files, "m");
        if (std::ranges::any_of(found.names,
                                [](const std::string& name) { return name.find('/') != std::string::npos; }))
            throw std::logic_error("a shard that is no name beside the index");
    });
    moves(files, "m");
    readEvidence(files, "m");
    files.contents.erase("m/model.safetensors.index.json");  // and as the hub's cache has it, of PyTorch's files
    files.put("hub/refs/main", "0123\n");
    files.put("hub/snapshots/0123/pytorch_model.bin.index.json", std::string(input));
    for (const auto& [name, bytes] : std::map(files.contents))
        if (name.starts_with("m/")) files.contents["hub/snapshots/0123" + name.substr(1)] = bytes;
    readEvidence(files, "hub");
    readEvidence(files, "m");
    return true;
}

bool tokens(std::string_view input) {
    MemoryFiles files = filesWith("tokens", input);
    refusable([&] { readTokens(files, "tokens"); });
    files.put("m/config.json", folderConfig());
    files.put("m/tokenizer.json", std::string(input));
    asWords(files, "m");
    return true;
}

bool lists(std::string_view input) {
    if (!isJson(input)) return false;
    MemoryFiles files = filesWith("list.json", input);
    moves(files, "list.json");
    command(files, {"audit", "list.json", "--d", "16", "--gauges", "20"});
    return true;
}

bool csv(std::string_view input) {
    if (isJson(input)) return false;
    MemoryFiles files = filesWith("list.csv", input);
    moves(files, "list.csv");
    command(files, {"audit", "list.csv", "--d", "16", "--gauges", "20"});
    return true;
}

bool statistics(std::string_view input) {
    MemoryFiles files = filesWith("part", input);
    if (!Statistics::recognises(*files.open("part"))) return false;
    refusable([&] {
        const auto read = std::make_shared<const Statistics>(files.open("part"));
        const std::size_t sites = read->heading().forMaps() ? 0 : read->heading().sites.size();
        for (std::size_t i = 0; i < sites; ++i)
            for (const Resolution resolution : {Resolution::coarse, Resolution::fine})
                if (resolution == Resolution::coarse || read->heading().withGram)
                    refusable([&] { read->sums(i, resolution); });
        NoSink sink;
        const std::vector<std::shared_ptr<const Statistics>> parts{read};
        refusable([&] { mergeStatistics(parts, sink); });
        if (read->heading().d > width || read->heading().mapWidth > width) return;
        refusable([&] { match(*read); });
        refusable([&] { fitMaps(*read); });
    });
    command(files, {"show", "part"});
    return true;
}

bool commandLine(std::string_view input) {
    // Numbers between: work as honest as it is long, or memory.
    constexpr std::size_t fewDigits = 4, manyDigits = 16;
    std::vector<std::string> args(1);
    std::size_t digits = 0;
    for (const char c : std::string(input) + '\n') {
        if (c >= '0' && c <= '9') {
            ++digits;
        } else {
            if (digits > fewDigits && digits < manyDigits) return false;
            digits = 0;
        }
        if (c == '\n')
            args.emplace_back();
        else
            args.back() += c;
    }
    args.pop_back();
    MemoryFiles files = filesWith("g", gaugeText());
    for (const char* side : {"a", "b"}) {
        files.put(std::string(side) + "/config.json", folderConfig());
        files.put(std::string(side) + "/model.safetensors", weights());
        files.put(std::string("rows-") + side, test::safetensors({test::randomArray("activations/x", {40, 8}, 7)}));
    }
    files.put("v", test::safetensors({test::randomArray("v", {width}, 1)}));
    files.put("t.json", "[[0, 1, 2], [4, 3]]");
    files.put("list.json", R"({"neurons": [1, 15, 7]})");
    command(files, args);
    return true;
}

bool run(const std::string& target, std::string_view input) {
#define REGAUGE_FUZZ_TARGET(name) \
    if (target == #name) return name(input);
#include "targets.inc"
#undef REGAUGE_FUZZ_TARGET
    throw std::out_of_range("no fuzz target " + target);
}

}  // namespace regauge::fuzz
