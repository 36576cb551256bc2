//! LongBench's English and code tasks, and how each is asked and scored.

use crate::tasks::Metric;

/// One of LongBench's tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LongBenchTask {
    /// Questions about a novel or a film script.
    NarrativeQa,
    /// Questions about a scientific article.
    Qasper,
    /// Questions about articles of several fields.
    MultiFieldQaEn,
    /// Questions that take two Wikipedia passages.
    HotpotQa,
    /// Questions that take several Wikipedia passages.
    TwoWikiMqa,
    /// Questions that take up to four Wikipedia passages.
    Musique,
    /// A summary of a government report.
    GovReport,
    /// What a meeting said about a query.
    QmSum,
    /// A summary of several news articles.
    MultiNews,
    /// The type of a question, after examples.
    Trec,
    /// A trivia question about a passage, after examples.
    TriviaQa,
    /// A summary of a chat, after examples.
    SamSum,
    /// How many of the passages are different.
    PassageCount,
    /// Which of thirty passages an abstract is of.
    PassageRetrievalEn,
    /// The next line of a source file.
    Lcc,
    /// The next line, with other files of the repository at hand.
    RepoBenchP,
}

/// What LongBench groups its tasks by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Questions about one document.
    SingleDocument,
    /// Questions about several documents.
    MultiDocument,
    /// Summaries.
    Summary,
    /// Examples in the prompt.
    FewShot,
    /// Counting and finding passages.
    Synthetic,
    /// The next line of code.
    Code,
}

impl Category {
    /// All of them, in LongBench's order.
    pub const ALL: [Self; 6] =
        [Self::SingleDocument, Self::MultiDocument, Self::Summary, Self::FewShot, Self::Synthetic, Self::Code];

    /// As it is written in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleDocument => "single-document QA",
            Self::MultiDocument => "multi-document QA",
            Self::Summary => "summarisation",
            Self::FewShot => "few-shot",
            Self::Synthetic => "synthetic",
            Self::Code => "code",
        }
    }
}

impl LongBenchTask {
    /// All of them, in LongBench's order.
    pub const ALL: [Self; 16] = [
        Self::NarrativeQa,
        Self::Qasper,
        Self::MultiFieldQaEn,
        Self::HotpotQa,
        Self::TwoWikiMqa,
        Self::Musique,
        Self::GovReport,
        Self::QmSum,
        Self::MultiNews,
        Self::Trec,
        Self::TriviaQa,
        Self::SamSum,
        Self::PassageCount,
        Self::PassageRetrievalEn,
        Self::Lcc,
        Self::RepoBenchP,
    ];

    /// LongBench's name for it, which is also its file's.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// The task of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    /// The group it is in.
    pub fn category(self) -> Category {
        self.facts().1
    }

    /// What it is scored by.
    pub fn metric(self) -> Metric {
        self.facts().2
    }

    /// Tokens of an answer at most, where the data's own configuration does not say.
    pub fn max_tokens(self) -> usize {
        self.facts().3
    }

    /// Whether a chat model gets the prompt as a user's turn. Examples and code are left for the model to continue.
    pub fn chat(self) -> bool {
        !matches!(self.category(), Category::FewShot | Category::Code)
    }

    /// Whether only the first line of a prediction counts.
    pub fn first_line(self) -> bool {
        self.category() == Category::FewShot
    }

    /// Rows of the published data.
    pub fn rows(self) -> usize {
        self.facts().4
    }

    /// Name, group, metric, tokens of an answer and rows.
    fn facts(self) -> (&'static str, Category, Metric, usize, usize) {
        use Category::{Code, FewShot, MultiDocument, SingleDocument, Summary, Synthetic};
        match self {
            Self::NarrativeQa => ("narrativeqa", SingleDocument, Metric::QaF1, 128, 200),
            Self::Qasper => ("qasper", SingleDocument, Metric::QaF1, 128, 200),
            Self::MultiFieldQaEn => ("multifieldqa_en", SingleDocument, Metric::QaF1, 64, 150),
            Self::HotpotQa => ("hotpotqa", MultiDocument, Metric::QaF1, 32, 200),
            Self::TwoWikiMqa => ("2wikimqa", MultiDocument, Metric::QaF1, 32, 200),
            Self::Musique => ("musique", MultiDocument, Metric::QaF1, 32, 200),
            Self::GovReport => ("gov_report", Summary, Metric::Rouge, 512, 200),
            Self::QmSum => ("qmsum", Summary, Metric::Rouge, 512, 200),
            Self::MultiNews => ("multi_news", Summary, Metric::Rouge, 512, 200),
            Self::Trec => ("trec", FewShot, Metric::Classification, 64, 200),
            Self::TriviaQa => ("triviaqa", FewShot, Metric::QaF1, 32, 200),
            Self::SamSum => ("samsum", FewShot, Metric::Rouge, 128, 200),
            Self::PassageCount => ("passage_count", Synthetic, Metric::Count, 32, 200),
            Self::PassageRetrievalEn => ("passage_retrieval_en", Synthetic, Metric::Retrieval, 32, 200),
            Self::Lcc => ("lcc", Code, Metric::CodeSim, 64, 500),
            Self::RepoBenchP => ("repobench-p", Code, Metric::CodeSim, 64, 500),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_and_only_five_tasks_take_no_chat_template() {
        assert!(LongBenchTask::ALL.iter().all(|&task| LongBenchTask::parse(task.name()) == Some(task)));
        let raw: Vec<&str> = LongBenchTask::ALL.iter().filter(|t| !t.chat()).map(|t| t.name()).collect();
        assert_eq!(raw, ["trec", "triviaqa", "samsum", "lcc", "repobench-p"]);
        let first: Vec<&str> = LongBenchTask::ALL.iter().filter(|t| t.first_line()).map(|t| t.name()).collect();
        assert_eq!(first, ["trec", "triviaqa", "samsum"]);
    }
}
