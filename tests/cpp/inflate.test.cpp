// Streams written by zlib 1.2.13 (Python's zlib.compressobj, raw), the oracle here.
#include "codec/inflate.hpp"

#include <catch2/catch_test_macros.hpp>

#include "tensor_files.hpp"

using namespace regauge;
using namespace regauge::test;

namespace {

std::string sentence(std::size_t size) {
    std::string text;
    while (text.size() < size) text += "residual stream, signed permutation, gauge; ";
    return text.substr(0, size);
}

std::string inflated(const std::string& compressed, std::uint64_t expected, std::uint64_t wanted) {
    const TextSource source("stream", "before" + compressed + "behind");
    const std::vector<std::byte> bytes = inflate(source, 6, compressed.size(), expected, wanted, "stream");
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Stream {
    const char* kind;
    std::string text;
    std::string compressed;
};

// Octal escapes: they end after three digits whatever follows.
const std::vector<Stream>& streams() {
    static const std::vector<Stream> all = {
        {"stored", sentence(60),
         std::string("\001\074\000\303\377\162\145\163\151\144\165\141\154\040\163\164\162\145\141\155\054\040\163\151"
                     "\147\156\145\144\040\160\145\162"
                     "\155\165\164\141\164\151\157\156\054\040\147\141\165\147\145\073\040\162\145\163\151\144\165\141"
                     "\154\040\163\164\162\145\141\155"
                     "\054",
                     65)},
        {"fixed", sentence(1500),
         std::string("\053\112\055\316\114\051\115\314\121\050\056\051\112\115\314\325\121\050\316\114\317\113\115\121"
                     "\050\110\055\312\055\055\111\054"
                     "\311\314\317\323\121\110\117\054\115\117\265\126\050\032\125\073\252\166\124\355\250\332\121\265"
                     "\103\102\055\000",
                     60)},
        {"dynamic", sentence(1500),
         std::string("\355\312\311\011\300\060\014\004\300\126\266\000\167\220\152\004\136\204\300\107\320\321\177\352"
                     "\010\150\336\343\014\233\045\013"
                     "\221\116\331\003\141\172\070\361\322\167\245\244\335\063\240\122\312\007\336\267\157\337\276\175"
                     "\177\161\077",
                     59)},
        {"huffman only", sentence(300),
         std::string("\005\301\211\011\000\061\010\004\300\126\266\200\164\160\325\010\056\042\044\046\370\364\177\063"
                     "\311\162\035\331\250\116\312\131"
                     "\050\267\240\342\061\317\264\264\337\130\060\031\343\207\144\271\216\154\124\047\345\054\224\133"
                     "\120\361\230\147\132\332\157\054"
                     "\230\214\361\103\262\134\107\066\252\223\162\026\312\055\250\170\314\063\055\355\067\026\114\306"
                     "\370\041\131\256\043\033\325\111"
                     "\071\013\345\026\124\074\346\231\226\366\033\013\046\143\374\220\054\327\221\215\352\244\234\205"
                     "\162\013\052\036\363\114\113\373"
                     "\215\005\223\061\176\110\226\353\310\106\165\122\316\102\271\005\025\217\171\246\245\375\306\202"
                     "\311\030\077\044\313\165\144\243"
                     "\072\051\147\241\334\202\212\307\074\323\322\176\143\375",
                     174)},
        {"rle", std::string(1500, 'a'), std::string("\113\034\005\243\140\024\214\202\121\060\354\000\000", 13)},
        {"empty", "", std::string("\003\000", 2)},
    };
    return all;
}

}  // namespace

TEST_CASE("inflate: every kind of block decodes to what zlib compressed") {
    for (const Stream& stream : streams()) {
        INFO(stream.kind);
        CHECK(inflated(stream.compressed, stream.text.size(), stream.text.size()) == stream.text);
        for (const std::size_t wanted : {std::size_t{0}, std::size_t{1}, stream.text.size() / 2})
            CHECK(inflated(stream.compressed, stream.text.size(), wanted) == stream.text.substr(0, wanted));
    }
}

TEST_CASE("inflate: a wrong length, a cut and bytes behind the end are refused") {
    for (const Stream& stream : streams()) {
        INFO(stream.kind);
        const std::uint64_t size = stream.text.size();
        CHECK_THROWS_AS(inflated(stream.compressed, size + 1, size + 1), Error);
        if (size > 0) CHECK_THROWS_AS(inflated(stream.compressed, size - 1, size - 1), Error);
        CHECK_THROWS_AS(inflated(stream.compressed + '\0', size, size), Error);
        for (std::size_t cut = 0; cut < stream.compressed.size(); ++cut)
            CHECK_THROWS_AS(inflated(stream.compressed.substr(0, cut), size, size), Error);
    }
    CHECK_THROWS_AS(inflated("\3", 1 << 20, 1 << 20), Error);  // more than DEFLATE can expand to
}

TEST_CASE("inflate: changed streams decode to something or are refused, and never to more than was promised") {
    std::mt19937 random(7);
    for (const Stream& stream : streams()) {
        for (int i = 0; i < 2000; ++i) {
            try {
                const std::string text =
                    inflated(mutate(stream.compressed, random), stream.text.size(), stream.text.size());
                CHECK(text.size() == stream.text.size());
            } catch (const Error& error) {
                CHECK(error.code() != ErrorCode::internal);
            }
        }
    }
}
