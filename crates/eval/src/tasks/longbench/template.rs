//! Prompt templates: text with `{context}` and `{input}` in it, `{{` and `}}` being braces.

/// A template that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// Up to the context.
    before: Vec<Part>,
    /// After it.
    after: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Input,
}

impl Template {
    /// Reads a template, which must have the context in it once.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut sides = vec![Vec::new()];
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(doubled) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = doubled;
                continue;
            }
            let (name, behind) = match brace {
                "{" => rest.split_once('}').ok_or("a `{` has no `}`")?,
                _ => return Err("a `}` has no `{`".into()),
            };
            rest = behind;
            let text = Part::Text(std::mem::take(&mut literal));
            match (name, sides.last_mut()) {
                ("input", Some(side)) => side.extend([text, Part::Input]),
                ("context", Some(side)) => {
                    side.push(text);
                    sides.push(Vec::new());
                }
                _ => return Err(format!("`{{context}}` and `{{input}}` are known, `{{{name}}}` is not")),
            }
        }
        literal.push_str(rest);
        let places = sides.len() - 1;
        match <[Vec<Part>; 2]>::try_from(sides) {
            Ok([before, mut after]) => {
                after.push(Part::Text(literal));
                Ok(Self { before, after })
            }
            Err(_) => Err(format!("`{{context}}` was expected once, not {places} times")),
        }
    }

    /// What stands before and after the context.
    pub(super) fn around(&self, input: &str) -> (String, String) {
        let fill = |parts: &[Part]| {
            let texts = parts.iter().map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Input => input,
            });
            texts.collect::<String>()
        };
        (fill(&self.before), fill(&self.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_filled_in_on_both_sides() {
        let template = Template::parse("Q: {input}\n{context}\n{{x}} {input}!").unwrap();
        assert_eq!(template.around("{why}"), ("Q: {why}\n".into(), "\n{x} {why}!".into()));
    }

    #[test]
    fn odd_templates_are_refused() {
        for text in
            ["", "{input}", "{context}{context}", "{context} {other}", "{context} }", "{context", "{context} {input"]
        {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
