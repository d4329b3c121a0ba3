#include "chart.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace regauge::experiments {
namespace {

constexpr double left = 60, top = 40, width = 420, height = 260;

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value);
    return text;
}

std::string tickWord(const Axis& axis, std::size_t k) {
    if (!axis.words.empty()) return axis.words[k];
    char text[32];
    std::snprintf(text, sizeof text, "%g", axis.ticks[k]);
    return text;
}

std::string escaped(const std::string& words) {
    std::string result;
    for (const char c : words) result += c == '&' ? "&amp;" : c == '<' ? "&lt;" : std::string(1, c);
    return result;
}

std::string text(double x, double y, const char* anchor, const std::string& words, const char* colour = grey) {
    return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\" fill=\"" + colour +
           "\">" + escaped(words) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const std::string& style) {
    return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) + "\" y2=\"" + number(y2) +
           "\" " + style + "/>\n";
}

double along(const Axis& axis, double value) {
    const auto scale = [&](double v) { return axis.logarithmic ? std::log10(v) : v; };
    return std::clamp((scale(value) - scale(axis.low)) / (scale(axis.high) - scale(axis.low)), 0.0, 1.0);
}

double upTo(const Axis& y, double value) { return top + (1 - along(y, value)) * height; }

// Title, horizontal grid and the names of the series at the right.
std::string frame(const std::string& title, const Axis& y, const std::vector<Series>& series) {
    std::string svg =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 680 360\" font-family=\"system-ui, sans-serif\" "
        "font-size=\"13\" role=\"img\">\n";
    svg += "<title>" + escaped(title) + "</title>\n" + text(left, 22, "start", title);
    for (std::size_t k = 0; k < y.ticks.size(); ++k) {
        const double at = upTo(y, y.ticks[k]);
        svg += line(left, at, left + width, at, "stroke=\"#9ca3af\" stroke-opacity=\"0.35\"") +
               text(left - 8, at + 4, "end", tickWord(y, k));
    }
    for (std::size_t k = 0; k < series.size(); ++k)
        svg +=
            text(left + width + 12, top + 14 + 20 * static_cast<double>(k), "start", series[k].name, series[k].colour);
    return svg;
}

}  // namespace

std::string lineChart(const std::string& title, const Axis& x, const Axis& y, const std::vector<Series>& series) {
    std::string svg = frame(title, y, series);
    const auto across = [&](double value) { return left + along(x, value) * width; };
    for (std::size_t k = 0; k < x.ticks.size(); ++k)
        svg += text(across(x.ticks[k]), top + height + 20, "middle", tickWord(x, k));
    svg += text(left + width / 2, top + height + 45, "middle", x.label);
    for (const Series& one : series) {
        const std::string colour = "stroke=\"" + std::string(one.colour) + "\"";
        std::string points, marks;
        for (std::size_t k = 0; k < one.x.size(); ++k) {
            if (!std::isfinite(one.y[k])) continue;
            const double px = across(one.x[k]);
            points += number(px) + "," + number(upTo(y, one.y[k])) + " ";
            if (one.dashed) continue;
            if (!one.low.empty())
                marks += line(px, upTo(y, one.low[k]), px, upTo(y, one.high[k]), colour + " stroke-opacity=\"0.5\"");
            marks += "<circle cx=\"" + number(px) + "\" cy=\"" + number(upTo(y, one.y[k])) + "\" r=\"3.5\" fill=\"" +
                     one.colour + "\"/>\n";
        }
        svg += "<polyline fill=\"none\" " + colour +
               (one.dashed ? " stroke-dasharray=\"5 5\"" : " stroke-width=\"2.5\"") + " points=\"" + points + "\"/>\n" +
               marks;
    }
    return svg + "</svg>\n";
}

std::string barChart(const std::string& title, const std::vector<std::string>& groups, const Axis& y,
                     const std::vector<Series>& series) {
    std::string svg = frame(title, y, series);
    const double group = width / static_cast<double>(groups.size()),
                 bar = group * 0.8 / static_cast<double>(series.size()), zero = upTo(y, std::max(y.low, 0.0));
    for (std::size_t g = 0; g < groups.size(); ++g) {
        double below = top + height + 20;  // a line for each part of its name
        for (std::size_t from = 0; from < groups[g].size(); below += 16) {
            const std::size_t comma = std::min(groups[g].find(", ", from), groups[g].size());
            svg += text(left + (static_cast<double>(g) + 0.5) * group, below, "middle",
                        groups[g].substr(from, comma - from));
            from = comma + 2;
        }
        for (std::size_t k = 0; k < series.size(); ++k) {
            if (!std::isfinite(series[k].y[g])) continue;
            const double x = left + static_cast<double>(g) * group + group * 0.1 + static_cast<double>(k) * bar,
                         end = upTo(y, series[k].y[g]);
            svg += "<rect x=\"" + number(x + 1) + "\" y=\"" + number(std::min(end, zero)) + "\" width=\"" +
                   number(bar - 2) + "\" height=\"" + number(std::max(1.0, std::fabs(end - zero))) + "\" fill=\"" +
                   series[k].colour + "\"/>\n";
            if (!series[k].low.empty())
                svg += line(x + bar / 2, upTo(y, series[k].low[g]), x + bar / 2, upTo(y, series[k].high[g]),
                            "stroke=\"#111827\" stroke-opacity=\"0.7\"");
        }
    }
    return svg + line(left, zero, left + width, zero, "stroke=\"#6b7280\"") + "</svg>\n";
}

}  // namespace regauge::experiments
