//! A broker that gives every secret it is told back, in whatever goes wrong.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What it issues where it issues a token.
pub(crate) const TOKEN: &str = "token-of-the-echo-token-of-the-echo-token-of-the-echo";

/// Status and body of an answer. `ECHO` in it stands for all secrets that came with the request,
/// `TOKEN` for the token.
pub(crate) type Template = (u16, &'static str);

/// The answer that issues the token.
pub(crate) const ISSUED: Template = (
    200,
    r#"{"access_token":"TOKEN","access_token_token_expired":"2099-01-01 00:00:00","token_type":"Bearer","expires_in":86400}"#,
);

/// A broker that always answers the same.
pub(crate) struct EchoBroker {
    address: String,
    _serving: JoinSet<()>,
}

impl EchoBroker {
    /// Answers requests for a token and all others.
    pub(crate) async fn start(token: Template, other: Template) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let templates = Arc::new((token, other));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                streams.spawn(answer(stream, Arc::clone(&templates)));
            }
        });
        Self {
            address,
            _serving: serving,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer(mut stream: TcpStream, templates: Arc<(Template, Template)>) -> Option<()> {
    let mut request = Vec::new();
    let head = loop {
        let end = request.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(end) = end {
            break String::from_utf8_lossy(&request[..end]).into_owned();
        }
        (stream.read_buf(&mut request).await.ok()? > 0).then_some(())?;
    };
    let length = field(&head, "content-length").and_then(|text| text.parse::<usize>().ok());
    while request.len() < head.len() + 4 + length.unwrap_or(0) {
        (stream.read_buf(&mut request).await.ok()? > 0).then_some(())?;
    }
    let body: serde_json::Value =
        serde_json::from_slice(&request[head.len() + 4..]).unwrap_or_default();
    let told = ["appkey", "appsecret", "authorization"].map(|name| {
        let in_body = body[name].as_str().map(str::to_owned);
        in_body.or_else(|| field(&head, name)).unwrap_or_default()
    });
    let echo = told.join(" ");
    let is_token = head.starts_with("POST /oauth2/tokenP");
    let (status, template) = if is_token { templates.0 } else { templates.1 };
    let body = template.replace("ECHO", &echo).replace("TOKEN", TOKEN);
    let answer = format!(
        "HTTP/1.1 {status} {echo}\r\nDate: {echo}\r\nLocation: /{}\r\nX-Echo: {echo}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        echo.replace(' ', "-"),
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.ok()
}

fn field(head: &str, name: &str) -> Option<String> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().to_owned())
}
