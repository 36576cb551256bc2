//! The facts that are hidden: made up, so that no model can know them.

/// A fact and how it is asked for.
pub(super) struct Fact {
    /// The sentence without its keyword and full stop: how an answer may begin.
    pub(super) lead: &'static str,
    /// What is asked for.
    pub(super) keyword: &'static str,
    /// The question.
    pub(super) question: &'static str,
}

impl Fact {
    /// The whole sentence.
    pub(super) fn sentence(&self) -> String {
        format!("{} {}.", self.lead, self.keyword)
    }
}

/// The facts to choose from.
pub(super) const FACTS: &[Fact] = &[
    Fact {
        lead: "The keeper of the Varn Point lighthouse hides his spare key inside a",
        keyword: "brass telescope",
        question: "Where does the keeper of the Varn Point lighthouse hide his spare key?",
    },
    Fact {
        lead: "The secret ingredient of Madame Orsel's prize-winning soup is",
        keyword: "smoked juniper",
        question: "What is the secret ingredient of Madame Orsel's prize-winning soup?",
    },
    Fact {
        lead: "The password to the Library of Teldrin is",
        keyword: "Copper Heron",
        question: "What is the password to the Library of Teldrin?",
    },
    Fact {
        lead: "The explorer Ansa Fjeldby named her sledge dog",
        keyword: "Quicksilver Joe",
        question: "What did the explorer Ansa Fjeldby name her sledge dog?",
    },
    Fact {
        lead: "The treaty between Lower Sarn and Upper Sarn was signed in a",
        keyword: "hot-air balloon",
        question: "Where was the treaty between Lower Sarn and Upper Sarn signed?",
    },
    Fact {
        lead: "The jewel that was stolen from the Duke of Pellmoor is called the",
        keyword: "Moonlit Pomegranate",
        question: "What is the jewel called that was stolen from the Duke of Pellmoor?",
    },
    Fact {
        lead: "The favourite instrument of the composer Iven Trask was the",
        keyword: "glass harmonica",
        question: "What was the favourite instrument of the composer Iven Trask?",
    },
    Fact {
        lead: "The rare flower that only blooms on Mount Kessary is the",
        keyword: "Thirteen-Petal Lily",
        question: "Which rare flower only blooms on Mount Kessary?",
    },
    Fact {
        lead: "The robot that won the Halvern chess tournament was built out of a",
        keyword: "sewing machine",
        question: "What was the robot built out of that won the Halvern chess tournament?",
    },
    Fact {
        lead: "The submarine Petrel's last message was sent from the bay of",
        keyword: "Old Candlewick",
        question: "From which bay was the submarine Petrel's last message sent?",
    },
];

/// First halves of the names that numbers are given to.
pub(super) const PLACES: &[&str] = &[
    "amber", "birch", "cobalt", "dapple", "ember", "falcon", "granite", "hazel", "indigo", "jasmine", "kestrel",
    "lilac", "marble", "nutmeg", "ochre", "pepper", "quartz", "raven", "saffron", "tulip", "umber", "velvet", "walnut",
    "zephyr",
];

/// Second halves of the names that numbers are given to.
pub(super) const ROOMS: &[&str] = &[
    "archive",
    "cellar",
    "depot",
    "gallery",
    "hangar",
    "kiosk",
    "laboratory",
    "observatory",
    "pavilion",
    "shelter",
    "tower",
    "vault",
    "workshop",
    "terminal",
    "chapel",
    "greenhouse",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::filler::prose;
    use crate::tasks::rng::Rng;

    #[test]
    fn keywords_are_said_only_in_their_own_needle() {
        let filler = prose(&mut Rng::new(0), 100_000);
        for (i, fact) in FACTS.iter().enumerate() {
            assert!(!fact.question.contains(fact.keyword) && !filler.contains(fact.keyword));
            let elsewhere = FACTS.iter().enumerate().any(|(j, f)| i != j && f.sentence().contains(fact.keyword));
            assert!(!elsewhere, "{}", fact.keyword);
        }
    }
}
