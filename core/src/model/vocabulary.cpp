#include "regauge/vocabulary.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <new>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "io/gguf.hpp"
#include "io/json_text.hpp"
#include "regauge/error.hpp"
#include "regauge/io/checkpoint_files.hpp"
#include "regauge/io/tensor_file.hpp"

namespace regauge {
namespace {

using Json = nlohmann::json;
using Pieces = std::vector<std::optional<std::string>>;

constexpr std::string_view noPiece = "\xEF\xBF\xBD";          // U+FFFD
constexpr std::string_view blank = "\xE2\x96\x81";            // U+2581, SentencePiece's space
constexpr std::uint64_t mostPieces = std::uint64_t{1} << 21;  // Gemma's, the largest known, has 2^18

// How a vocabulary writes bytes and spaces.
enum class Writing {
    byteLevel,      // GPT-2: every byte is a letter
    sentencePiece,  // U+2581 for a space, "<0x0A>" for a byte
    wordPiece,      // BERT: words, and "##ing" for what goes on
};

std::string utf8(std::uint32_t code) {  // below U+0800
    if (code < 0x80) return {static_cast<char>(code)};
    return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

// GPT-2's letters of the bytes 0 to 255 (bytes_to_unicode of its encoder.py): printable ones stand for themselves, the
// others for U+0100 and on.
const std::array<std::string, 256>& byteLetters() {
    static const std::array<std::string, 256> letters = [] {
        std::array<std::string, 256> made;
        std::uint32_t next = 256;
        for (std::uint32_t byte = 0; byte < 256; ++byte) {
            const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
            made[byte] = utf8(printable ? byte : next++);
        }
        return made;
    }();
    return letters;
}

std::string ofByteLetters(std::string_view whole) {
    static const std::unordered_map<std::string_view, char> bytes = [] {
        std::unordered_map<std::string_view, char> made;
        for (std::size_t byte = 0; byte < 256; ++byte) made[byteLetters()[byte]] = static_cast<char>(byte);
        return made;
    }();
    std::string text;
    for (std::string_view piece = whole; !piece.empty();) {
        const std::size_t length = std::min<std::size_t>(piece.size(), (piece.front() & 0x80) != 0 ? 2 : 1);
        const auto found = bytes.find(piece.substr(0, length));
        if (found == bytes.end()) return std::string(whole);  // of another writing: as it stands
        text += found->second;
        piece.remove_prefix(length);
    }
    return text;
}

// "<0x0A>" as its byte; other pieces with spaces for U+2581.
std::string ofSentencePiece(std::string_view piece) {
    if (piece.size() == 6 && piece.starts_with("<0x") && piece.back() == '>') {
        unsigned byte = 0;
        if (std::from_chars(piece.data() + 3, piece.data() + 5, byte, 16).ptr == piece.data() + 5)
            return {static_cast<char>(byte)};
    }
    std::string text;
    while (!piece.empty()) {
        const bool space = piece.starts_with(blank);
        text += space ? ' ' : piece.front();
        piece.remove_prefix(space ? blank.size() : 1);
    }
    return text;
}

std::string written(std::string_view piece, Writing writing) {
    switch (writing) {
        case Writing::byteLevel: return ofByteLetters(piece);
        case Writing::sentencePiece: return ofSentencePiece(piece);
        default: return piece.starts_with("##") ? std::string(piece.substr(2)) : " " + std::string(piece);
    }
}

// limit: more tokens than what was read can hold.
void put(Pieces& pieces, std::uint64_t id, std::string text, std::uint64_t limit, const std::string& where) {
    if (id >= std::min(limit, mostPieces))
        throw Error(ErrorCode::malformed, where, "a token has the id " + std::to_string(id) + "; the file is damaged");
    if (id >= pieces.size()) pieces.resize(static_cast<std::size_t>(id) + 1);
    pieces[static_cast<std::size_t>(id)] = std::move(text);
}

// Whether a part of a tokenizer.json, or one of those in a Sequence of it, is of the type.
bool says(const Json& tokenizer, const char* part, std::string_view type) {
    const auto found = tokenizer.find(part);
    if (found == tokenizer.end() || !found->is_object()) return false;
    const auto is = [&](const Json& one) {
        return one.is_object() && one.contains("type") && one["type"].is_string() &&
               one["type"].get_ref<const std::string&>() == type;
    };
    if (is(*found)) return true;
    for (const char* list : {"decoders", "pretokenizers"})
        if (found->contains(list) && (*found)[list].is_array())
            for (const Json& one : (*found)[list])
                if (is(one)) return true;
    return false;
}

std::optional<Pieces> ofTokenizerJson(std::string_view text, const std::string& where) {
    const Json json = parseJson(text, where);
    if (!json.is_object()) throw Error(ErrorCode::malformed, where, "is no tokenizer.json: not a JSON object");
    const auto model = json.find("model");
    if (model == json.end() || !model->is_object() || !model->contains("vocab") || says(json, "model", "WordLevel"))
        return std::nullopt;
    const Json& vocab = (*model)["vocab"];
    const Writing writing = says(json, "decoder", "ByteLevel") || says(json, "pre_tokenizer", "ByteLevel")
                                ? Writing::byteLevel
                            : says(json, "decoder", "WordPiece") ? Writing::wordPiece
                                                                 : Writing::sentencePiece;
    Pieces pieces;
    const auto take = [&](std::uint64_t id, std::string piece) {
        put(pieces, id, std::move(piece), text.size(), where);  // each takes several bytes of the file
    };
    if (vocab.is_object()) {
        for (const auto& [piece, id] : vocab.items())
            if (id.is_number_unsigned()) take(id.get<std::uint64_t>(), written(piece, writing));
    } else if (vocab.is_array()) {  // Unigram: [piece, log probability]
        std::uint64_t id = 0;
        for (const Json& entry : vocab) {
            if (entry.is_array() && !entry.empty() && entry.front().is_string())
                take(id, written(entry.front().get_ref<const std::string&>(), writing));
            ++id;
        }
    }
    if (const auto added = json.find("added_tokens"); added != json.end() && added->is_array())
        for (const Json& one : *added)
            if (one.is_object() && one.contains("id") && one["id"].is_number_unsigned() && one.contains("content") &&
                one["content"].is_string())
                take(one["id"].get<std::uint64_t>(), one["content"].get<std::string>());
    return pieces;
}

// llama.cpp keeps the pieces as the tokenizer writes them, except that BERT's have U+2581 before a word and nothing
// before what goes on.
std::optional<Pieces> ofGguf(const TensorFile& file) {
    std::string kind;
    for (const auto& [key, value] : file.metadata)
        if (key == "tokenizer.ggml.model") kind = value;
    const std::optional<Writing> writing = kind == "gpt2"                    ? std::optional(Writing::byteLevel)
                                           : kind == "llama" || kind == "t5" ? std::optional(Writing::sentencePiece)
                                           : kind == "bert"                  ? std::optional(Writing::sentencePiece)
                                                                             : std::nullopt;
    if (!writing) return std::nullopt;
    Pieces pieces;
    eachGgufText(file, "tokenizer.ggml.tokens", mostPieces,
                 [&](const std::string& piece) { pieces.emplace_back(written(piece, *writing)); });
    return pieces;
}

std::optional<Pieces> piecesBeside(const Files& files, const std::string& model) {
    const std::string folder = snapshotOf(files, model);
    const std::string file = files.isFolder(folder) ? checkpointFileIn(files, folder) : folder;
    if (file.ends_with(".gguf")) return ofGguf(openCheckpointFiles(files, folder).shards.front());
    const std::string path = joinPath(folder, "tokenizer.json");
    if (!files.exists(path)) return std::nullopt;
    return ofTokenizerJson(readJsonText(*files.open(path), "a tokenizer"), path);
}

}  // namespace

Vocabulary Vocabulary::ofBytes() {
    Pieces pieces(256);
    for (std::size_t byte = 0; byte < 256; ++byte) pieces[byte] = std::string{static_cast<char>(byte)};
    return Vocabulary(std::move(pieces));
}

std::optional<Vocabulary> Vocabulary::beside(const Files& files, const std::string& model, std::string& unread) try {
    std::optional<Pieces> pieces = piecesBeside(files, model);
    if (!pieces || pieces->empty()) return std::nullopt;
    return Vocabulary(std::move(*pieces));
} catch (const Error& error) {
    unread = error.code() == ErrorCode::tooLarge ? model + ": its tokenizer is larger than any known" : error.what();
    return std::nullopt;
} catch (const std::bad_alloc&) {
    unread = model + ": its tokenizer does not fit into memory";
    return std::nullopt;
}

std::string Vocabulary::text(std::span<const std::int64_t> tokens) const {
    std::string text;
    for (const std::int64_t token : tokens) {
        const auto id = static_cast<std::uint64_t>(token);
        const bool known = id < pieces_.size() && pieces_[static_cast<std::size_t>(id)];
        text += known ? std::string_view(*pieces_[static_cast<std::size_t>(id)]) : noPiece;
    }
    return text;
}

}  // namespace regauge
