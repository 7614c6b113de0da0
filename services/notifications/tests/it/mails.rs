//! Reading a mail as a mail program does, as far as these need it.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Mail {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .expect("headers, an empty line, a body");
        // A long header goes on in lines that begin with a blank.
        let head = head.replace("\r\n ", " ");
        let headers = head.split("\r\n").map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_owned(), value.to_owned())
        });
        Self {
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.iter().filter(|(n, _)| n == name).collect();
        assert_eq!(values.len(), 1, "{name} in {:?}", self.headers);
        &values[0].1
    }

    pub(crate) fn subject(&self) -> &str {
        self.header("Subject")
    }
}
