//! Lists in pages.

use axum::extract::Query;
use axum::http::Uri;
use serde_json::{Value, json};

use super::answer::{Origin, Refusal};

/// The way in which a list names its next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pages {
    /// The address by which the caller reached DataRobot. The last page names none.
    Right,
    /// An address at this origin, e.g. `https://elsewhere.test`: a client that follows it sends the
    /// token there.
    At(String),
    /// Every page names itself as the next one.
    Endless,
}

/// The page that a caller asks for.
pub(super) struct Page {
    offset: usize,
    limit: usize,
    types: Vec<String>,
    newest_first: bool,
}

impl Page {
    /// Reads `offset`, `limit`, `types` (any number of times) and `orderBy` of a query.
    pub(super) fn read(uri: &Uri, default_limit: usize) -> Result<Self, Refusal> {
        let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| Refusal::invalid("query"))?;
        let mut page = Self { offset: 0, limit: default_limit, types: Vec::new(), newest_first: false };
        for (name, value) in query {
            let number = || value.parse().map_err(|_| Refusal::field(&name, "is not a number"));
            match name.as_str() {
                "offset" => page.offset = number()?,
                "limit" => page.limit = number()?,
                "types" => page.types.push(value),
                "orderBy" => page.newest_first = value.starts_with('-'),
                _ => return Err(Refusal::field(&name, "is not a parameter")),
            }
        }
        if page.limit == 0 {
            return Err(Refusal::field("limit", "is not at least 1"));
        }
        Ok(page)
    }

    /// Whether the caller asks for this type of credential.
    pub(super) fn has(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|asked| asked == kind)
    }

    /// The answer with this page of a whole list of credentials.
    pub(super) fn of(&self, mut all: Vec<Value>, pages: &Pages, origin: &Origin) -> Value {
        if self.newest_first {
            all.reverse();
        }
        let total = all.len();
        let data: Vec<Value> = all.into_iter().skip(self.offset).take(self.limit).collect();
        let end = self.offset + self.limit;
        let next = match pages {
            Pages::Endless => Some(self.path(self.offset)),
            _ => (end < total).then(|| self.path(end)),
        };
        let next = next.map(|path| match pages {
            Pages::At(elsewhere) => format!("{elsewhere}/api/v2{path}"),
            _ => origin.url(&path),
        });
        let previous = (self.offset > 0).then(|| origin.url(&self.path(self.offset.saturating_sub(self.limit))));
        json!({ "count": data.len(), "totalCount": total, "next": next, "previous": previous, "data": data })
    }

    fn path(&self, offset: usize) -> String {
        let types = self.types.iter().fold(String::new(), |types, kind| types + "&types=" + kind);
        let order = if self.newest_first { "&orderBy=-creationDate" } else { "" };
        format!("/credentials/?offset={offset}&limit={}{types}{order}", self.limit)
    }
}
