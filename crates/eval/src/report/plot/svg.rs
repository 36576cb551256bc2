//! Writing SVG: coordinates in pixels, texts escaped.

use crate::report::escape::xml;

/// Where a text's given point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At its beginning.
    Start,
    /// In its middle.
    Middle,
    /// At its end.
    End,
}

/// What names a figure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Unique in a page: the figure's file stem.
    pub id: String,
    /// Its title, which is also drawn.
    pub title: String,
    /// What it shows, for those who cannot see it.
    pub description: String,
}

/// The classes that the figures use, for light and dark.
const STYLE: &str = "\
.fkv text{font:13px system-ui,'DejaVu Sans',sans-serif;fill:#1d2329}\
.fkv .paper{fill:#fff}\
.fkv text.title{font-size:16px;font-weight:600}\
.fkv text.small{font-size:12px;fill:#5b6570}\
.fkv text.cell{font-size:12px;fill:#111}\
.fkv .grid{stroke:#dfe3e8;stroke-width:1}\
.fkv .frame{stroke:#6b7580;stroke-width:1;fill:none}\
.fkv .reference{stroke:#1d2329;stroke-width:2;stroke-dasharray:7 5;fill:none}\
.fkv .missing{fill:#e3e6ea}\
.fkv .line{fill:none;stroke-width:2}\
.fkv .marker{stroke:#fff;stroke-width:1}\
@media (prefers-color-scheme:dark){\
.fkv text{fill:#e4e8ec}.fkv .paper{fill:#14181d}.fkv text.small{fill:#a3adb8}\
.fkv .grid{stroke:#2c343d}.fkv .frame{stroke:#8b96a2}.fkv .reference{stroke:#e4e8ec}\
.fkv .missing{fill:#39424c}.fkv text.dash{fill:#e4e8ec}.fkv .marker{stroke:#14181d}}";

/// A figure being drawn.
#[derive(Clone, Debug)]
pub struct Svg {
    out: String,
}

impl Svg {
    /// An empty sheet with the figure's names.
    pub fn new(names: &Names, width: f64, height: f64) -> Svg {
        let (id, title, description) = (xml(&names.id), xml(&names.title), xml(&names.description));
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"fkv\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n\
             <title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-desc\">{description}</desc>\n\
             <style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"
        );
        Svg { out }
    }

    /// A text on one line.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        self.text_with((x, y), anchor, class, "", text);
    }

    /// A text that reads upwards.
    pub fn text_upwards(&mut self, (x, y): (f64, f64), text: &str) {
        self.text_with((x, y), Anchor::Middle, "", &format!(" transform=\"rotate(-90 {x:.1} {y:.1})\""), text);
    }

    fn text_with(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, more: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = xml(text);
        self.out += &format!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{text}</text>\n"
        );
    }

    /// A straight line of a class.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.out += &format!("<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n");
    }

    /// A line of a class through points; `stroke` holds its colour and dashes as attributes.
    pub fn polyline(&mut self, points: &[(f64, f64)], class: &str, stroke: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.out += &format!("<polyline class=\"{class}\" {stroke} points=\"{}\"/>\n", points.join(" "));
    }

    /// A rectangle of a class, or of a colour where `fill` is not empty, with a text to be read on pointing at it.
    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str, fill: &str, hint: &str) {
        let fill = if fill.is_empty() { String::new() } else { format!(" fill=\"{fill}\"") };
        self.out += &format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"{fill}"
        );
        self.out +=
            &if hint.is_empty() { "/>\n".to_owned() } else { format!("><title>{}</title></rect>\n", xml(hint)) };
    }

    /// A closed shape with a text to be read on pointing at it.
    pub fn shape(&mut self, path: &str, fill: &str, hint: &str) {
        let hint = xml(hint);
        self.out += &format!("<path class=\"marker\" fill=\"{fill}\" d=\"{path}\"><title>{hint}</title></path>\n");
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        self.out += "</svg>\n";
        self.out
    }
}
