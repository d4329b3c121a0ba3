// SAELens SAEs that read with their decoder: matching pursuit and temporal.
#include <catch2/catch_test_macros.hpp>

#include "regauge/transport.hpp"
#include "transport_objects.hpp"

using namespace regauge;
using namespace regauge::test;

TEST_CASE("tied SAEs move by their decoder, and attention among latents stays") {
    constexpr std::size_t d = 8, latents = 16;
    const Gauge gauge = randomGauge(d, 5);
    const Array decoder = randomArray("W_dec", {latents, d}, 1), point = randomArray("b_dec", {d}, 2),
                encoder = randomArray("W_enc", {d, latents}, 3),
                keys = randomArray("attn_layers.0.k_ctx.weight", {d, latents}, 4),
                bias = randomArray("attn_layers.0.k_ctx.bias", {d}, 6);  // as long as the stream, and not it
    for (const auto& [architecture, tensors] :
         std::vector<std::pair<std::string, std::vector<Array>>>{{"matching_pursuit", {decoder, point}},
                                                                 {"temporal", {decoder, point, keys, bias}},
                                                                 {"temporal", {decoder, point, encoder, keys, bias}}}) {
        MemoryFiles files;
        files.put("s/sae_weights.safetensors", safetensors(tensors));
        files.put("s/cfg.json", R"({"architecture":")" + architecture +
                                    R"(","d_in":8,"d_sae":16,"metadata":{"hook_name":"blocks.1.hook_resid_post"}})");
        transport(files, "s", alignmentOf(gauge), "out");
        for (const Array& array : tensors) {
            const bool stays = array.name.starts_with("attn");
            const std::size_t axis = array.name == "W_dec" ? 1 : 0;
            CHECK(arrayIn(files, "out/sae_weights.safetensors", array.name).values ==
                  (stays ? array : movedAxis(array, gauge, axis)).values);
        }
    }
}
