#include "regauge/ceiling.hpp"

#include <cstdio>
#include <memory>

#include "jobs.hpp"
#include "regauge/reports.hpp"
#include "summary.hpp"

namespace regauge {
namespace {

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value);
    return text;
}

// Both curves against the positive fraction, with the ceiling as a dashed diagonal. Colours have contrast on light and
// dark grounds alike.
std::string picture(const std::vector<CeilingPoint>& points, const CeilingOptions& options) {
    constexpr double left = 60, top = 40, width = 420, height = 260;
    const auto x = [&](double fraction) { return number(left + fraction * width); };
    const auto y = [&](double share) { return number(top + (1 - share) * height); };
    const auto curve = [&](double CeilingPoint::*share, const char* colour) {
        std::string line =
                        "<polyline fill=\"none\" stroke=\"" + std::string(colour) + "\" stroke-width=\"2.5\" points=\"",
                    dots;
        for (const CeilingPoint& point : points) {
            line += x(point.positive) + "," + y(point.*share) + " ";
            dots += "<circle cx=\"" + x(point.positive) + "\" cy=\"" + y(point.*share) + "\" r=\"3.5\" fill=\"" +
                    colour + "\"/>\n";
        }
        return line + "\"/>\n" + dots;
    };
    const auto text = [](const std::string& at, const std::string& anchor, const std::string& words,
                         const char* colour = "#6b7280") {
        return "<text " + at + " text-anchor=\"" + anchor + "\" fill=\"" + colour + "\">" + words + "</text>\n";
    };
    std::string svg =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 620 360\" font-family=\"system-ui, sans-serif\" "
        "font-size=\"13\" role=\"img\">\n";
    svg += "<title>Channels recovered against the fraction of positive signs: d = " + std::to_string(options.d) + ", " +
           std::to_string(options.rows) + " rows, noise " + number(options.noise) + "</title>\n";
    svg += text("x=\"60\" y=\"22\"", "start",
                "Channels recovered (%), d = " + std::to_string(options.d) + ", " + std::to_string(options.rows) +
                    " rows, noise " + number(options.noise));
    for (int tick = 0; tick <= 4; ++tick) {
        const double share = tick / 4.0;
        svg += "<line x1=\"60\" x2=\"480\" y1=\"" + y(share) + "\" y2=\"" + y(share) +
               "\" stroke=\"#9ca3af\" stroke-opacity=\"0.35\"/>\n";
        svg += text("x=\"52\" y=\"" + number(top + (1 - share) * height + 4) + "\"", "end", std::to_string(25 * tick));
        svg += text("x=\"" + x(share) + "\" y=\"320\"", "middle", std::to_string(25 * tick));
    }
    svg += text("x=\"270\" y=\"345\"", "middle", "positive signs (%)");
    svg += "<line x1=\"" + x(0) + "\" y1=\"" + y(0) + "\" x2=\"" + x(1) + "\" y2=\"" + y(1) +
           "\" stroke=\"#6b7280\" stroke-dasharray=\"5 5\"/>\n";
    svg += curve(&CeilingPoint::permutationOnly, "#d97706") + curve(&CeilingPoint::signMarginalized, "#3b82f6");
    svg += text("x=\"490\" y=\"" + y(0.92) + "\"", "start", "sign-marginalized", "#3b82f6");
    svg += text("x=\"490\" y=\"" + y(0.6) + "\"", "start", "permutation only", "#d97706");
    svg += text("x=\"490\" y=\"" + y(0.5) + "\"", "start", "dashed: the ceiling");
    return svg + "</svg>\n";
}

}  // namespace

RunJob addCeiling(CLI::App& command) {
    struct Options {
        CeilingOptions ceiling;
        OutputOptions output;
    };
    auto options = std::make_shared<Options>();
    command.add_option("--d", options->ceiling.d, "channels (default 128)")
        ->check(CLI::Range(std::size_t{2}, CeilingOptions::widest));
    command.add_option("--rows", options->ceiling.rows, "paired rows (default 1024)")->check(positive());
    command
        .add_option("--noise", options->ceiling.noise,
                    "standard deviation of the target's noise; channels have 1 (default 0.5)")
        ->check(notNegative());
    command.add_option("--steps", options->ceiling.steps, "positive fractions 0, 1/N, ..., 1 (default 10)")
        ->check(CLI::Range(std::size_t{1}, CeilingOptions::mostSteps));
    command.add_option("--seed", options->ceiling.seed, "of the simulated rows and gauges (default 0)");
    addOutput(command, options->output, false, "a picture (.svg) to write");
    return [options](const Job& job) {
        requireFree(job.host.files, options->output);
        options->ceiling.threads = job.host.threads;
        options->ceiling.memory = job.host.memory();
        const std::vector<CeilingPoint> points = ceiling(options->ceiling, job.progress());
        if (!options->output.path.empty())
            writeText(job.host.files, options->output, picture(points, options->ceiling));
        if (job.json) {
            job.print(ceilingJson(points, options->ceiling) + "\n");
        } else if (!job.quiet) {
            std::string text = "positive signs  permutation only  sign-marginalized\n";
            for (const CeilingPoint& point : points) {
                char line[96];
                std::snprintf(line, sizeof line, "%14s  %16s  %17s\n", percent(point.positive).c_str(),
                              percent(point.permutationOnly).c_str(), percent(point.signMarginalized).c_str());
                text += line;
            }
            job.print(text);
        }
        if (!options->output.path.empty()) job.wrote(options->output.path);
        return 0;
    };
}

}  // namespace regauge
