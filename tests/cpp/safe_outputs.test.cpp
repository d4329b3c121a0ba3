// What the command may do to files that are there already.
#ifndef __EMSCRIPTEN__  // the machine's own inodes, pipes and permissions
#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <fstream>

#include "command_run.hpp"
#include "machine.hpp"
#include "native_files.hpp"
#include "os.hpp"
#include "refusal.hpp"
#include "regauge/error.hpp"
#include "regauge/gauge.hpp"
#include "scratch.hpp"

using namespace regauge;
using Catch::Matchers::ContainsSubstring;
using test::codeOf;
using test::Ran;
namespace fs = std::filesystem;

namespace {

const std::string sample = std::string(REGAUGE_TEST_DATA) + "/shakespeare-d128/source/";
const std::string target = std::string(REGAUGE_TEST_DATA) + "/shakespeare-d128/target/";

Ran run(const std::vector<std::string>& args, bool losesAnswer = false) {
    NativeFiles files;
    Ran ran;
    Host host{.files = files,
              .out =
                  [&](std::string_view text) {
                      if (losesAnswer)
                          throw Error(ErrorCode::writeFailed, "standard output",
                                      "the answer could not be written: No space left on device");
                      ran.out += text;
                  },
              .err = [&](std::string_view text) { ran.err += text; }};
    ran.status = runCommand(args, host);
    return ran;
}

std::string bytesOf(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// A folder with a gauge, a vector and an SAE in it.
class Scratch : public test::Scratch {
public:
    Scratch() {
        std::string perm, sign;
        for (int i = 0; i < 128; ++i) perm += (i ? "," : "") + std::to_string(127 - i), sign += i ? ",-1" : "-1";
        write(path() / "g", R"({"format":"regauge-gauge","version":1,"d":128,"group":"signed","perm":[)" + perm +
                                R"(],"sign":[)" + sign + "]}");
        fs::copy_file(sample + "steering_resid2.npy", path() / "v.npy");
        fs::copy(sample + "sae_resid2", path() / "sae");
    }
    // Within it and its folders.
    std::size_t entries() const {
        using Iterator = fs::recursive_directory_iterator;
        return static_cast<std::size_t>(std::distance(Iterator(path()), Iterator()));
    }
    Ran move(const std::string& object, const std::string& out, bool force = true) const {
        std::vector<std::string> args{"transport", *this / object, "--gauge", *this / "g", "-o", *this / out};
        if (force) args.push_back("--force");
        return run(args);
    }
};

}  // namespace

TEST_CASE("no command writes to its input, by whatever name the output is called", "[outputs]") {
    const Scratch scratch;
    if (!test::makeLink("v.npy", scratch / "link.npy")) fs::create_hard_link(scratch / "v.npy", scratch / "link.npy");
    fs::create_hard_link(scratch / "v.npy", scratch / "hard.npy");
    if (!test::makeLink("g", scratch / "g2")) fs::create_hard_link(scratch / "g", scratch / "g2");
    fs::copy_file(sample + "evidence.safetensors", scratch / "e1");
    fs::copy_file(target + "evidence.safetensors", scratch / "e2");
    const std::string here = test::makeLink(".", scratch / "here") ? "here/" : "sae/../";
    const std::size_t before = scratch.entries();
    const std::string vector = bytesOf(scratch / "v.npy"), gauge = bytesOf(scratch / "g"),
                      evidence = bytesOf(scratch / "e1");
    const std::vector<std::vector<std::string>> commands{
        {"transport", scratch / "v.npy", "--gauge", scratch / "g", "-o", scratch / "v.npy"},
        {"transport", scratch / "v.npy", "--gauge", scratch / "g", "-o", scratch / "./v.npy"},
        {"transport", scratch / "v.npy", "--gauge", scratch / "g", "-o", scratch / (here + "v.npy")},
        {"transport", scratch / "v.npy", "--gauge", scratch / "g", "-o", scratch / "link.npy"},
        {"transport", scratch / "v.npy", "--gauge", scratch / "g", "-o", scratch / "hard.npy"},
        {"transport", scratch / "link.npy", "--gauge", scratch / "g", "-o", scratch / "v.npy"},
        {"transport", scratch / "v.npy", "--gauge", scratch / "g", "-o", scratch / "g"},
        {"invert", scratch / "g", "-o", scratch / "g"},
        {"invert", scratch / "g", "-o", scratch / "g2"},
        {"compose", scratch / "g", scratch / "g2", "-o", scratch / "g"},
        {"align", scratch / "e1", scratch / "e2", "-o", scratch / "e1"},
        {"align", scratch / "e1", scratch / "e2", "-o", scratch / (here + "e2")},
        {"trace", scratch / "e1", scratch / "e2", "-o", scratch / "e2"},
        {"stats", scratch / "e1", scratch / "e2", "-o", scratch / "e1"},
    };
    for (std::vector<std::string> command : commands) {
        INFO(command[0] << " ... " << command.back());
        command.push_back("--force");
        const Ran ran = run(command);
        CHECK(ran.status == 2);
        CHECK_THAT(ran.err, ContainsSubstring("input"));
        CHECK(scratch.entries() == before);
    }
    CHECK(bytesOf(scratch / "v.npy") == vector);
    CHECK(bytesOf(scratch / "g") == gauge);
    CHECK(bytesOf(scratch / "e1") == evidence);
}

TEST_CASE("--force replaces a folder of regauge's own, and no folder that holds anything else", "[outputs]") {
    const Scratch scratch;
    REQUIRE(scratch.move("sae", "out", false).status == 0);
    const std::string moved = bytesOf(scratch / "out/sae_weights.safetensors");
    CHECK(scratch.move("sae", "out", false).status == 2);
    write(scratch / "out/sae_weights.safetensors", "older");
    CHECK(scratch.move("sae", "out").status == 0);
    CHECK(bytesOf(scratch / "out/sae_weights.safetensors") == moved);

    fs::create_directories(scratch / "home/photos");
    write(scratch / "home/photos/one.jpg", "mine");
    fs::create_directories(scratch / "note/.empty");
    fs::create_directories(scratch / "linked");
    if (!test::makeLink("../v.npy", scratch / "linked/cfg.json")) write(scratch / "linked/other.json", "{}");
    if (!test::makeLink("out", scratch / "alias")) write(scratch / "alias", "a file");
    fs::create_directories(scratch / "big");
    fs::rename(scratch / "sae", scratch / "big/sae");
    const std::size_t before = scratch.entries();
    for (const auto& [object, out] : {std::pair<std::string, std::string>{"big/sae", "home"},
                                      {"big/sae", "note"},
                                      {"big/sae", "linked"},
                                      {"big/sae", "alias"},
                                      {"big/sae", "big"},
                                      {"big/sae", "big/sae"},
                                      {"big/sae", "big/sae/"},
                                      {"big/sae", "big/sae/inside"},
                                      {"big/sae", "."}}) {
        INFO(object << " -> " << out);
        const Ran ran = scratch.move(object, out);
        CHECK(ran.status == 2);
        CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
        CHECK(scratch.entries() == before);
    }
    CHECK(bytesOf(scratch / "home/photos/one.jpg") == "mine");
}

TEST_CASE("a file or folder that appears between the check and the rename is not replaced without --force",
          "[outputs]") {
    const Scratch scratch;
    for (const bool folder : {false, true}) {
        NativeFiles files;
        const std::string out = scratch / (folder ? "folder" : "file");
        const std::unique_ptr<Output> output = files.create(out, folder, false);
        output->file(folder ? "member" : "").write(std::as_bytes(std::span("mine")));
        if (folder)
            fs::create_directories(out + "/theirs");
        else
            write(out, "theirs");
        CHECK(codeOf([&] { output->commit(); }) == ErrorCode::outputExists);
        CHECK((folder ? fs::exists(out + "/theirs") : bytesOf(out) == "theirs"));
    }
}

TEST_CASE("an answer that is lost is a refusal, and the output is not written", "[outputs]") {
    const Scratch scratch;
    const std::size_t before = scratch.entries();
    const std::vector<std::vector<std::string>> commands{
        {"show", scratch / "g", "--json"},
        {"--help"},
        {"transport", scratch / "v.npy", "--gauge", scratch / "g", "-o", scratch / "out", "--json"},
        {"invert", scratch / "g", "-o", scratch / "out", "--json"},
        {"stats", sample + "evidence.safetensors", target + "evidence.safetensors", "-o", scratch / "out"}};
    for (const auto& command : commands) {
        const Ran ran = run(command, true);
        CHECK(ran.status == 2);
        CHECK_THAT(ran.err, ContainsSubstring("standard output"));
        CHECK(scratch.entries() == before);
    }
}

TEST_CASE("statistics whose rows cannot be numbered are refused before anything is written", "[outputs]") {
    const Scratch scratch;
    for (const std::string row : {"18446744073709551615", "18446744073709551000", "17592186044417"}) {
        const Ran ran = run({"stats", sample + "evidence.safetensors", target + "evidence.safetensors", "--first-row",
                             row, "-o", scratch / "part.stats"});
        CHECK(ran.status == 2);
        CHECK_FALSE(fs::exists(scratch / "part.stats"));
    }
}

TEST_CASE("an input that is written to while it is read, its size kept, is noticed", "[outputs]") {
    const Scratch scratch;
    NativeFiles files;
    const std::unique_ptr<ByteSource> input = files.open(scratch / "v.npy");
    const std::unique_ptr<Output> output = files.create(scratch / "out", false, false);
    output->file("").write(std::as_bytes(std::span("text")));
    fs::last_write_time(scratch / "v.npy", fs::last_write_time(scratch / "v.npy") + std::chrono::seconds(1));
    CHECK(codeOf([&] { output->commit(); }) == ErrorCode::truncated);
    CHECK_FALSE(fs::exists(scratch / "out"));
}

#ifdef _WIN32
TEST_CASE("only regular files are opened: no console, no device", "[outputs]") {
    NativeFiles files;
    CHECK(codeOf([&] { files.open("NUL"); }) == ErrorCode::missingFile);
    CHECK(codeOf([&] { files.open("CON"); }) == ErrorCode::missingFile);
}
#else  // what Windows has none of: pipes among files, permissions for owner, group and others, links for everyone
TEST_CASE("only regular files are opened, and nothing is waited for", "[outputs]") {
    const Scratch scratch;
    REQUIRE(::mkfifo((scratch / "pipe").c_str(), 0600) == 0);
    NativeFiles files;
    CHECK(codeOf([&] { files.open(scratch / "pipe"); }) == ErrorCode::missingFile);
    CHECK(codeOf([&] { files.open("/dev/zero"); }) == ErrorCode::missingFile);
    const Ran ran = run({"inspect", scratch / "pipe"});
    CHECK(ran.status == 2);
    CHECK_THAT(ran.err, ContainsSubstring("regular file"));
}

TEST_CASE(
    "a private input comes out private, and a companion that is a link out of the folder does not come out at all",
    "[outputs]") {
    const Scratch scratch;
    ::chmod((scratch / "v.npy").c_str(), 0600);
    REQUIRE(scratch.move("v.npy", "moved.npy").status == 0);
    struct stat status {};
    REQUIRE(::stat((scratch / "moved.npy").c_str(), &status) == 0);
    CHECK((status.st_mode & 077) == 0);

    write(scratch / "passwords", "secret");
    fs::create_symlink("../passwords", scratch / "sae/notes.txt");
    const Ran refused = scratch.move("sae", "out");
    CHECK(refused.status == 2);
    CHECK_THAT(refused.err, ContainsSubstring("notes.txt"));
    CHECK_FALSE(fs::exists(scratch / "out"));
    fs::remove(scratch / "sae/notes.txt");
    fs::create_symlink("loop.txt", scratch / "sae/loop.txt");
    CHECK_THAT(scratch.move("sae", "out").err, ContainsSubstring("loop.txt"));
    fs::remove(scratch / "sae/loop.txt");
    fs::create_symlink("cfg.json", scratch / "sae/same.json");
    CHECK(scratch.move("sae", "out").status == 0);

    // The hub's cache.
    fs::create_directories(scratch / "models--x/blobs");
    fs::create_directories(scratch / "models--x/snapshots/abc");
    for (const std::string name : {"cfg.json", "sae_weights.safetensors"}) {
        fs::rename(scratch / ("sae/" + name), scratch / ("models--x/blobs/" + name + "-blob"));
        fs::create_symlink("../../blobs/" + name + "-blob", scratch / ("models--x/snapshots/abc/" + name));
    }
    CHECK(scratch.move("models--x/snapshots/abc", "hub").status == 0);
}

#endif

TEST_CASE("names are UTF-8: files and folders in any script are written, replaced, listed and read", "[outputs]") {
    const Scratch scratch;
    const std::string word = "\u00e9\u20ac\U0001d54a";  // two, three and four bytes
    const std::string folder = os::textOf(scratch.path()) + "/" + word,
                      inner = folder + "/" + word;  // as users type it
    NativeFiles files;
    for (const std::string older : {"older", "new"}) {
        const std::unique_ptr<Output> output = files.create(folder, true, older == "new");
        output->file(word + "/" + word).write(std::as_bytes(std::span(older)));
        output->commit();
    }
    CHECK(files.isFolder(inner));
    CHECK(files.list(inner) == std::vector<std::string>{word});
    CHECK(fs::exists(scratch.path() / fs::path(u8"\u00e9\u20ac\U0001d54a")));
    CHECK(files.open(inner + "/" + word)->size() == 3);
    CHECK_FALSE(files.exists(folder + "x"));
    const auto move = [&](const std::string& from) {
        return run({"transport", from, "--gauge", scratch / "g", "-o", folder + ".npy", "--force"});
    };
    for (int again = 0; again < 2; ++again) CHECK(move(scratch / "v.npy").status == 0);
    CHECK(files.open(folder + ".npy")->size() == files.open(scratch / "v.npy")->size());
    const Ran refused = move(folder + ".npy");
    CHECK(refused.status == 2);
    CHECK_THAT(refused.err, ContainsSubstring(word));
}

TEST_CASE("a name with a NUL in it is that of no file, and not of the one before it", "[outputs]") {
    const Scratch scratch;
    const std::string name = scratch / "v.npy" + std::string("\0x", 2);
    NativeFiles files;
    CHECK_FALSE(files.exists(name));
    CHECK_FALSE(files.isFolder(scratch / std::string("sae\0x", 5)));
    CHECK(codeOf([&] { files.open(name); }) == ErrorCode::usage);
    CHECK(codeOf([&] { files.list(scratch / std::string("sae\0x", 5)); }) == ErrorCode::usage);
    CHECK(codeOf([&] { files.create(scratch / std::string("new\0x", 5), false, false); }) == ErrorCode::usage);
    CHECK(codeOf([&] { files.create(scratch / "new", true, false)->file(std::string("a\0b", 3)); }) ==
          ErrorCode::usage);
    CHECK_FALSE(fs::exists(scratch / "new"));
}

TEST_CASE("a folder to be made may be named with a slash at its end, and a file may not", "[outputs]") {
    const test::Scratch folder;
    NativeFiles files;
    const auto output = files.create(folder / "new/", true, false);
    output->file("member").write({});
    output->commit();
    CHECK(fs::exists(folder / "new/member"));
    CHECK_THROWS_WITH(files.create(folder / "file/", false, false), ContainsSubstring("its folder does not exist"));
}

TEST_CASE("an output that is an input, or in no folder, is refused before the work begins", "[outputs]") {
    const Scratch scratch;
    fs::copy_file(sample + "evidence.safetensors", scratch / "e1");
    fs::copy_file(target + "evidence.safetensors", scratch / "e2");
    if (!test::makeLink("e1", scratch / "link")) fs::create_hard_link(scratch / "e1", scratch / "link");
    for (const std::string command : {"align", "trace"})
        for (const std::string out : {"e1", "link", "no/such/folder"}) {
            INFO(command << " -o " << out);
            NativeFiles files;
            bool worked = false;
            Host host{.files = files,
                      .out = [](std::string_view) {},
                      .err = [](std::string_view) {},
                      .cancelled = [&] { return worked = true; }};  // asked during long work only
            CHECK(runCommand({command, scratch / "e1", scratch / "e2", "-o", scratch / out, "--force"}, host) == 2);
            CHECK_FALSE(worked);
        }
}

TEST_CASE("what killed runs left is collected, and a folder that one had moved aside comes back", "[outputs]") {
    const Scratch scratch;
    const std::string nobody = std::to_string((1 << 22) + 1);  // beyond the largest process number
    const std::string alive = ".out.npy.regauge-" + std::to_string(os::processNumber()) + "-9";
    write(scratch / (".out.npy.regauge-" + nobody), "half");
    write(scratch / (".out.npy.regauge-" + nobody + "-3"), "half");
    write(scratch / alive, "at work");
    write(scratch / ".out.npy.regauge-notes", "mine");
    write(scratch / (".other.npy.regauge-" + nobody), "another output's");
    REQUIRE(scratch.move("v.npy", "out.npy", false).status == 0);
    CHECK_FALSE(fs::exists(scratch / (".out.npy.regauge-" + nobody)));
    CHECK_FALSE(fs::exists(scratch / (".out.npy.regauge-" + nobody + "-3")));
    CHECK(bytesOf(scratch / alive) == "at work");
    CHECK(bytesOf(scratch / ".out.npy.regauge-notes") == "mine");
    CHECK(fs::exists(scratch / (".other.npy.regauge-" + nobody)));

    const std::string aside = scratch / (".kept.regauge-" + nobody + "-0-old");
    fs::create_directories(aside);
    write(aside + "/sae_weights.safetensors", "old");
    CHECK(scratch.move("sae", "kept", false).status == 2);  // it is there again
    CHECK(bytesOf(scratch / "kept/sae_weights.safetensors") == "old");
}
#endif
